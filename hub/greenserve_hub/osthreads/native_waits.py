"""Waiting in C for what no poller can watch: an OS thread does it in the place of the green thread.

Called for multiprocessing's semaphores and for the end of OS threads, both of which wake their waiters by a futex.
Knows neither: `Native` below is all that it asks.

Facts: an OS thread that waits in C can't be interrupted. Consequence: a green thread that is killed, or runs into a
Timeout, goes on at once; its OS thread looks once a second whether it is still wanted, and gives back what it took for
nobody. Cost: starting an OS thread, or waking one that rests, for each wait: some 100 microseconds.

Invariant: what was taken belongs to the green thread that waits, or is given back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Protocol

from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.osthreads.thread_pools import ThreadPool
from greenserve_hub.sync.handoffs import Crossing
from greenserve_hub.unpatched import time

_LOOK: Final = 1.0  # seconds between two looks of an OS thread whether it is still wanted
_LATE: Final = 1.0  # seconds after which an OS thread that has not answered is given up
_POLL: Final = 0.01  # seconds between two looks where there are no OS threads
_REST: Final = 0.1  # seconds without work: a process that has OS threads is warned when it forks

# Without a bound that matters: what one waits for may be held by who needs an OS thread too.
_os_threads: Final = ThreadPool(100_000, rest=_REST)


class Native(Protocol):
    """A lock in C, or what behaves so."""

    def acquire(self, block: bool, timeout: float, /) -> bool:
        """Take it within `timeout` seconds. Called in an OS thread, and may block that."""

    def release(self) -> object:
        """Give it back. Never blocks."""


def take(native: Native, subject: object, seconds: float | None, in_hub: bool = False) -> bool:
    """Take it; False after `seconds`. `subject` is what a dump says. Switches: always.

    `in_hub`: even in a callback of the hub.
    """
    return _Wait(native, subject).take(seconds, in_hub)


class _Wait:
    __slots__ = ("_crossing", "_native", "_taken", "_undecided")

    def __init__(self, native: Native, subject: object) -> None:
        self._native = native
        self._crossing = Crossing("acquire", subject)
        self._undecided = [
            None
        ]  # emptied by the first of two: the OS thread that has an answer, the one that gives up
        self._taken = False

    def take(self, seconds: float | None, in_hub: bool) -> bool:
        end = None if seconds is None else time.monotonic() + seconds
        try:
            try:
                _os_threads.submit(lambda: self._run(end))
            except RuntimeError:
                self._decide()
                return self._poll(end)
            # The OS thread keeps the time; only that the system may have none to give.
            self._crossing.park(None if seconds is None else seconds + _LATE, in_hub)
        except BaseException:
            if not self._decide() and self._taken:
                self._give_back()
            raise
        return not self._decide() and self._taken

    def _poll(self, end: float | None) -> bool:
        # There are no OS threads to be had, as at the end of the interpreter.
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
        with suppress(ValueError):  # a semaphore that others have released more often than acquired
            self._native.release()
