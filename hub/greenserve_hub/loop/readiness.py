"""Waits of green threads for a descriptor. (Callbacks use Descriptor.when_readable and on_writable directly.)

Called by green sockets and by the server's streams. Invariant: one waiter per descriptor and direction, unless
allow_several() was called. The error for a second one names the first, with both stacks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from greenlet import getcurrent

from greenserve_hub.errors import ConcurrentUseError, IOClosed
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import name_of, stack_of
from greenserve_hub.loop.parking import TIMED_OUT, Waiter
from greenserve_hub.pollers.contract import READ, WRITE


def wait_readable(descriptor: Descriptor, timeout: float | None = None, drained: bool = False) -> None:
    """Wait until there is something to read. Switches: always; with `drained`, unless an edge has come since.

    `drained`: the caller has called drained() after the last read, so an edge since then is remembered. TimeoutError
    after `timeout` s, IOClosed, ConcurrentUseError.
    """
    hub = descriptor.hub
    assert isinstance(hub, Hub)  # only a Hub makes descriptors
    waiter = Waiter(hub, "read", descriptor)
    wake = waiter.wake
    if descriptor.closed:
        raise IOClosed(str(descriptor))
    if descriptor.reader is not None:
        if _several:
            _wait_in_line(descriptor, waiter, True, timeout)
            return
        raise _second(hub, descriptor, "read", descriptor.reader)
    if drained and descriptor.readable and descriptor.readable is not True:
        return
    descriptor.reader = wake  # no interruption since the test: a turn of the hub could bring an edge
    try:
        if not drained or not hub.edge:
            hub.poller.arm(descriptor.fd, READ)
        if waiter.park(timeout) is TIMED_OUT:
            raise TimeoutError("timed out")
    finally:
        if descriptor.reader is wake:
            descriptor.reader = None
        elif isinstance(descriptor.reader, _Line):
            leave(descriptor, True, wake)
    if descriptor.closed:
        raise IOClosed(str(descriptor))


wait_for_more: Final = partial(wait_readable, drained=True)


def wait_writable(descriptor: Descriptor, timeout: float | None = None) -> None:
    """Wait until there is room to write. Switches: always.

    TimeoutError after `timeout` s, IOClosed, ConcurrentUseError.
    """
    hub = descriptor.hub
    assert isinstance(hub, Hub)  # only a Hub makes descriptors
    waiter = Waiter(hub, "write", descriptor)
    wake = waiter.wake
    if descriptor.closed:
        raise IOClosed(str(descriptor))
    if descriptor.writer is not None:
        if _several:
            _wait_in_line(descriptor, waiter, False, timeout)
            return
        raise _second(hub, descriptor, "write", descriptor.writer)
    descriptor.writer = wake
    try:
        hub.poller.arm(descriptor.fd, WRITE)  # reports again if there is room already
        if waiter.park(timeout) is TIMED_OUT:
            raise TimeoutError("timed out")
    finally:
        if descriptor.writer is wake:
            descriptor.writer = None
        elif isinstance(descriptor.writer, _Line):
            leave(descriptor, False, wake)
    if descriptor.closed:
        raise IOClosed(str(descriptor))


# Several waiters -----------------------------------------------------------------------------------------------

_several = False


def allow_several(state: bool) -> None:
    """Let several green threads wait for one descriptor in one direction, in all hubs. Off by default.

    Each time the descriptor is ready, the first in line wakes. Which of them gets which bytes is up to the program.
    Switches: never.
    """
    global _several
    _several = state


def several_allowed() -> bool:
    """Return True after allow_several(True). Switches: never."""
    return _several


class _Line:
    """Stands for the only waiter of a descriptor, and calls the first of several each time it is ready."""

    __slots__ = ("_descriptor", "_reads", "waiting")

    def __init__(self, descriptor: Descriptor, reads: bool, first: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._reads = reads
        self.waiting = [first]

    def __call__(self) -> None:
        descriptor = self._descriptor
        if descriptor.closed:
            for wake in self.waiting:
                wake()
            return
        wake = self.waiting.pop(0)
        if self.waiting:
            _put(descriptor, self._reads, self)
        wake()


def _put(descriptor: Descriptor, reads: bool, callback: Callable[[], object]) -> None:
    if reads:
        descriptor.reader = callback
    else:
        descriptor.writer = callback
    hub = descriptor.hub
    hub.poller.arm(descriptor.fd, READ if reads else WRITE)  # reports again what is ready already


def join(descriptor: Descriptor, reads: bool, callback: Callable[[], object]) -> None:
    """Call back once when it is ready, behind those that wait already. Switches: never."""
    first = descriptor.reader if reads else descriptor.writer
    if first is None:
        _put(descriptor, reads, callback)
    elif isinstance(first, _Line):
        first.waiting.append(callback)
    else:
        line = _Line(descriptor, reads, first)
        line.waiting.append(callback)
        _put(descriptor, reads, line)


def leave(descriptor: Descriptor, reads: bool, callback: Callable[[], object]) -> None:
    """Undo join(). Repeatable. Switches: never."""
    first = descriptor.reader if reads else descriptor.writer
    if isinstance(first, _Line) and callback in first.waiting:
        first.waiting.remove(callback)
    if first == callback or (isinstance(first, _Line) and not first.waiting):
        if reads:
            descriptor.reader = None
        else:
            descriptor.writer = None


def _wait_in_line(descriptor: Descriptor, waiter: Waiter, reads: bool, timeout: float | None) -> None:
    wake = waiter.wake
    join(descriptor, reads, wake)
    try:
        if waiter.park(timeout) is TIMED_OUT:
            raise TimeoutError("timed out")
    finally:
        leave(descriptor, reads, wake)
    if descriptor.closed:
        raise IOClosed(str(descriptor))


def _second(hub: Hub, descriptor: Descriptor, side: str, first: Callable[[], object]) -> ConcurrentUseError:
    waiter = getattr(first, "__self__", None)
    green = next((green for green, parked in hub.parked.items() if parked is waiter), None)
    who, stack = f"{first!r}", "  a callback of the hub, without a stack\n"
    if green is not None:
        who, stack = name_of(green), stack_of(green.gr_frame)
    return ConcurrentUseError(
        f"{name_of(getcurrent())} would {side} {descriptor} while {who} waits to do so: "
        "use a socket from one green thread per direction, or use a lock\n"
        f"The one that waits:\n{stack}"
        f"The one that came second:\n{stack_of(sys._getframe(2))}"
    )
