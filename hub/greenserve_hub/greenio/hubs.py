"""The hub for those who bring their own descriptors: wait for one, and say that one was closed. eventlet's names.

For libraries that do their own I/O (a C client with a callback for waiting); green sockets need none of it. Stands on
loop/readiness.py: one waiter per descriptor and side, and a closed descriptor wakes its waiters at once.

Invariant: `trampoline` leaves nothing registered behind, so a number that the kernel gives out again means nothing.
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
    """A socket, a file, a pipe's end."""

    def fileno(self) -> int:
        """Its descriptor."""


_borrowed: set[Descriptor] = set()  # registered by trampoline for as long as somebody waits


def trampoline(
    fd: int | HasFileno,
    read: object = None,
    write: object = None,
    timeout: float | None = None,
    timeout_exc: BaseException | type[BaseException] = Timeout,
    mark_as_closed: Callable[[], object] | None = None,
) -> None:
    """Wait until a descriptor can be read, or written. Switches: always.

    Raises `timeout_exc` after `timeout` seconds; IOClosed when it is closed meanwhile, by its green socket or
    notify_close(), after a call of `mark_as_closed`; ConcurrentUseError when another green thread waits for that
    side; OSError when the kernel cannot watch its kind, as a file's.
    """
    if bool(read) == bool(write):
        raise HubError("trampoline() waits either to read or to write")
    hub = get_hub()
    register = getattr(fd, "_registered", None)
    if register is not None:
        descriptor: Descriptor | None = register()  # a green socket has one of its own
    else:
        descriptor = hub.descriptors.get(fd if isinstance(fd, int) else fd.fileno())
    if descriptor is None:
        descriptor = hub.open_descriptor(fd if isinstance(fd, int) else fd.fileno())
        _borrowed.add(descriptor)
    elif _is_ready(descriptor.fd, bool(read)):
        # It was registered before: the edge may have been told already, and would not be again.
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
    """Say that a descriptor is about to be closed: whoever waits for it gets IOClosed. Switches: never."""
    descriptor = get_hub().descriptors.get(fd)
    if descriptor is not None:
        descriptor.close()


def notify_opened(fd: int) -> None:
    """Say that a descriptor is new: whoever waited for what had its number before gets IOClosed. Switches: never."""
    notify_close(fd)


__all__ = ["get_hub", "notify_close", "notify_opened", "trampoline", "use_hub"]
