"""Waiting for a descriptor, for green threads; callbacks use Descriptor.on_readable and on_writable themselves.

Called by green sockets and by the server's streams. The invariant: one waiter per descriptor and side, and a
second one is told who the first is.
"""

from __future__ import annotations

from collections.abc import Callable

from greenlet import getcurrent

from greenserve_hub.descriptors import Descriptor
from greenserve_hub.errors import ConcurrentUseError, IOClosed
from greenserve_hub.parking import TIMED_OUT, Waiter


def wait_readable(descriptor: Descriptor, timeout: float | None = None) -> None:
    """Wait until there is something to read. Switches: always.

    TimeoutError after `timeout` s, IOClosed, ConcurrentUseError.
    """
    waiter = Waiter(descriptor.hub, "read", descriptor)
    wake = waiter.wake
    if descriptor.closed:
        raise IOClosed(str(descriptor))
    if descriptor.reader is not None:
        raise _second(descriptor, "read", descriptor.reader)
    descriptor.on_readable(wake)
    try:
        if waiter.park(timeout) is TIMED_OUT:
            raise TimeoutError("timed out")
    finally:
        if descriptor.reader is wake:
            descriptor.reader = None
    if descriptor.closed:
        raise IOClosed(str(descriptor))


def wait_writable(descriptor: Descriptor, timeout: float | None = None) -> None:
    """Wait until there is room to write. Switches: always.

    TimeoutError after `timeout` s, IOClosed, ConcurrentUseError.
    """
    waiter = Waiter(descriptor.hub, "write", descriptor)
    wake = waiter.wake
    if descriptor.closed:
        raise IOClosed(str(descriptor))
    if descriptor.writer is not None:
        raise _second(descriptor, "write", descriptor.writer)
    descriptor.on_writable(wake)
    try:
        if waiter.park(timeout) is TIMED_OUT:
            raise TimeoutError("timed out")
    finally:
        if descriptor.writer is wake:
            descriptor.writer = None
    if descriptor.closed:
        raise IOClosed(str(descriptor))


def _second(descriptor: Descriptor, side: str, first: Callable[[], object]) -> ConcurrentUseError:
    waiter = getattr(first, "__self__", None)
    greens = [green for green, parked in descriptor.hub.parked.items() if parked is waiter]
    who = f"{greens[0]!r}" if greens else f"{first!r}"
    return ConcurrentUseError(
        f"{getcurrent()!r} would {side} {descriptor} while {who} waits to: "
        "use a socket from one green thread per direction, or a lock"
    )
