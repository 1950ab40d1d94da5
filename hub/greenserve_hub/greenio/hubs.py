"""`greenserve.hubs`: wait for a descriptor of your own, and report that it is closed. With eventlet's names.

For libraries that do their own I/O (a C client with a callback for waiting); green sockets do not need it. Uses
loop/readiness.py: one waiter per descriptor and direction, and closing a descriptor wakes its waiters at once.

Invariant: `trampoline` leaves nothing registered, so the kernel may give a number out again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from greenserve_hub.errors import HubError, IOClosed
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub, use_hub
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.readiness import wait_readable, wait_writable
from greenserve_hub.unpatched import select


class HasFileno(Protocol):
    """A socket, a file, or the end of a pipe."""

    def fileno(self) -> int:
        """Return its descriptor."""


_borrowed: set[Descriptor] = set()  # registered by trampoline, while it has waiters


def trampoline(
    fd: int | HasFileno,
    read: object = None,
    write: object = None,
    timeout: float | None = None,
    timeout_exc: BaseException | type[BaseException] = Timeout,
    mark_as_closed: Callable[[], object] | None = None,
) -> None:
    """Wait until a descriptor is readable, or writable. Switches: always.

    Raises `timeout_exc` after `timeout` seconds. IOClosed if it is closed meanwhile, by its green socket or by
    notify_close(), after a call of `mark_as_closed`. ConcurrentUseError if another green thread waits in the same
    direction. OSError if the kernel cannot watch its kind, such as a regular file.
    """
    if bool(read) == bool(write):
        raise HubError("trampoline() waits either to read or to write")
    hub = get_hub()
    register = getattr(fd, "_registered", None)
    if register is not None:
        descriptor: Descriptor | None = register()  # a green socket has its own
    else:
        descriptor = hub.descriptors.get(fd if isinstance(fd, int) else fd.fileno())
    if descriptor is None:
        descriptor = hub.open_descriptor(fd if isinstance(fd, int) else fd.fileno())
        _borrowed.add(descriptor)
    elif _is_ready(descriptor.fd, bool(read)):
        # It was registered before: its edge may have been reported already, and will not come again.
        sleep()
        return
    try:
        (wait_readable if read else wait_writable)(descriptor, timeout)
    except TimeoutError:
        raise timeout_exc from None
    except IOClosed:
        if mark_as_closed is not None:
            mark_as_closed()
        raise
    finally:
        if descriptor in _borrowed and descriptor.reader is None and descriptor.writer is None:
            _borrowed.remove(descriptor)
            descriptor.close()


def _is_ready(fd: int, read: bool) -> bool:
    wanted = (fd,)
    if not hasattr(select, "poll"):
        return any(select.select(wanted if read else (), () if read else wanted, (), 0))
    asked = select.poll()
    asked.register(fd, select.POLLIN if read else select.POLLOUT)
    return bool(asked.poll(0))


def notify_close(fd: int) -> None:
    """Report that a descriptor is about to be closed: its waiters get IOClosed. Switches: never."""
    descriptor = get_hub().descriptors.get(fd)
    if descriptor is not None:
        descriptor.close()


def notify_opened(fd: int) -> None:
    """Report that a descriptor is new: waiters of the previous owner of its number get IOClosed. Switches: never."""
    notify_close(fd)


__all__ = ["get_hub", "notify_close", "notify_opened", "trampoline", "use_hub"]
