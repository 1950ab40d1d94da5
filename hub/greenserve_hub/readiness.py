"""Waiting for a descriptor, for green threads; callbacks use Descriptor.on_readable and on_writable themselves.

Called by green sockets and by the server's streams. The invariant: one waiter per descriptor and side, and a
second one is told who the first is, with both stacks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from greenlet import getcurrent

from greenserve_hub.descriptors import Descriptor
from greenserve_hub.errors import ConcurrentUseError, IOClosed
from greenserve_hub.origins import name_of, stack_of
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
    green = next((green for green, parked in descriptor.hub.parked.items() if parked is waiter), None)
    who, stack = f"{first!r}", "  a callback of the hub, without a stack\n"
    if green is not None:
        who, stack = name_of(green), stack_of(green.gr_frame)
    return ConcurrentUseError(
        f"{name_of(getcurrent())} would {side} {descriptor} while {who} waits to: "
        "use a socket from one green thread per direction, or a lock\n"
        f"The one that waits:\n{stack}"
        f"The one that came second:\n{stack_of(sys._getframe(2))}"
    )
