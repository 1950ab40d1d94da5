"""Waiting in C for things that no poller can watch: an OS thread waits instead of the green thread.

Used for multiprocessing's semaphores and for the end of OS threads, which wake their waiters by a futex. Knows neither
of them, only `Native` below.

Facts: an OS thread that waits in C cannot be interrupted. Consequence: a green thread that is killed, or gets a
Timeout, continues at once. Its OS thread checks once a second whether it is still needed, and gives back what nobody
waits for any more. Cost: for each wait about 100 microseconds to start an OS thread or to wake an idle one.

Invariant: what was taken belongs to the green thread that waits, or is given back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Protocol

from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.osthreads.thread_pools import ThreadPool
from greenserve_hub.sync.handoffs import Crossing
from greenserve_hub.unpatched import time

_LOOK: Final = 1.0  # seconds between two checks of an OS thread whether it is still needed
_LATE: Final = 1.0  # seconds to wait for the answer of an OS thread that is late
_POLL: Final = 0.01  # seconds between two checks without OS threads
_REST: Final = (
    0.1  # seconds until an idle OS thread ends; short, because Python warns when a process with them forks
)

# Practically unlimited: the holder of what one waits for may need an OS thread too.
_os_threads: Final = ThreadPool(100_000, rest=_REST)


class Native(Protocol):
    """A lock in C, or an object that behaves like one."""

    def acquire(self, block: bool, timeout: float, /) -> bool:
        """Take it within `timeout` seconds. Called in an OS thread, which it may block."""

    def release(self) -> object:
        """Give it back. Never blocks."""


def take(native: Native, subject: object, seconds: float | None, in_hub: bool = False) -> bool:
    """Take it; False after `seconds`. `subject` describes the wait in a dump. Switches: always.

    `in_hub`: wait even in a callback of the hub.
    """
    return _Wait(native, subject).take(seconds, in_hub)


class _Wait:
    __slots__ = ("_crossing", "_native", "_taken", "_undecided")

    def __init__(self, native: Native, subject: object) -> None:
        self._native = native
        self._crossing = Crossing("acquire", subject)
        # Emptied by the first of the two: the OS thread when it has an answer, or the waiter when it gives up.
        self._undecided = [None]
        self._taken = False

    def take(self, seconds: float | None, in_hub: bool) -> bool:
        end = None if seconds is None else time.monotonic() + seconds
        try:
            try:
                _os_threads.submit(lambda: self._run(end))
            except RuntimeError:
                self._decide()
                return self._poll(end)
            # The OS thread measures the timeout. The extra time is for a system that cannot run it in time.
            self._crossing.park(None if seconds is None else seconds + _LATE, in_hub)
        except BaseException:
            if not self._decide() and self._taken:
                self._give_back()
            raise
        return not self._decide() and self._taken

    def _poll(self, end: float | None) -> bool:
        # No OS thread can be started, for example at the end of the interpreter.
        while not self._native.acquire(True, 0):
            if end is not None and time.monotonic() >= end:
                return False
            sleep(_POLL)
        return True

    def _decide(self) -> bool:
        try:
            self._undecided.pop()
        except IndexError:
            return False
        return True

    def _run(self, end: float | None) -> None:
        while self._undecided:
            left = None if end is None else max(0.0, end - time.monotonic())
            look = _LOOK if left is None else min(left, _LOOK)
            self._taken = self._native.acquire(True, look)
            if self._taken or look == left:
                break
        if self._decide():
            self._crossing.wake()
        elif self._taken:
            self._give_back()

    def _give_back(self) -> None:
        with suppress(ValueError):  # others have released a bounded semaphore too often
            self._native.release()
