"""Timers in one heap, made for deadlines that are nearly always postponed.

Knows no hub, no greenlet and no clock: time is an argument. The hub owns one DeadlineQueue. sleep, Timeout, every wait
with a timeout and every deadline of a server's connection is a Deadline in it.

Facts: a server arms and disarms a deadline (keep-alive, head, send) with each request, and it almost never expires. One
FIFO per timeout value would make arming an append, but dead entries would pile up: rate times timeout, or 1.5 million
at 20,000 requests/s with a keep-alive of 75 s. Consequence: arming must leave nothing behind. Decision: an entry keeps
its place in the heap while its deadline moves to a later time. When the entry comes due too early, it is pushed again
at the time that is valid by then. So postponing and disarming are one attribute store, and each Deadline has one live
entry. Cost: one wakeup per connection and timeout period that finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

NEVER = float("inf")
_COMPACT_ABOVE = 1000  # below this many cancelled entries, sweeping costs more than keeping them


class Deadline:
    """A callback and the time when it is due, in seconds of the hub's clock. Reusable until cancelled."""

    __slots__ = ("_queue", "_queued", "args", "callback", "when")

    def __init__(
        self, queue: DeadlineQueue, callback: Callable[..., object], args: tuple[Any, ...] = ()
    ) -> None:
        """Not armed yet."""
        self._queue = queue
        self._queued = NEVER  # the time of its live entry in the heap
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.when = NEVER

    @property
    def pending(self) -> bool:
        """True while it is armed."""
        return self.when != NEVER

    def arm(self, when: float) -> None:
        """Make it due at `when`. Postponing costs no heap operation. ValueError for NaN. Switches: never."""
        self.when = when
        if not when >= self._queued:  # also true for NaN, which push() rejects
            self._queue.push(when, self)

    def disarm(self) -> None:
        """Make it never due. It can be armed again. Switches: never."""
        self.when = NEVER

    def cancel(self) -> None:
        """Disarm it permanently and release the callback. Repeatable. Switches: never."""
        if self.callback is not None:
            self.callback = None
            self.args = ()
            self.when = NEVER
            if self._queued != NEVER:
                self._queue.note_cancelled()

    def move(self, queue: DeadlineQueue) -> None:
        """Move to another queue, due at the same time. Switches: never."""
        self._queue = queue
        self._queued = NEVER
        if self.when != NEVER:
            self.arm(self.when)

    def _entry_due(self, entry: float, now: float) -> bool:
        """Return True if it must fire, after its heap entry for the time `entry` was removed."""
        if entry != self._queued:
            return False  # an earlier entry replaced this one
        self._queued = NEVER
        if self.when <= now:
            self.when = NEVER
            return True
        if self.when != NEVER:
            self.arm(self.when)
        return False


class DeadlineQueue:
    """All deadlines of one hub. Those due at the same time fire in the order in which they were armed."""

    __slots__ = ("cancelled", "firing", "heap", "pushed")

    def __init__(self) -> None:
        """An empty queue."""
        self.heap: list[tuple[float, int, Deadline]] = []
        self.cancelled = 0  # entries of cancelled deadlines; read-only for other modules
        self.firing: Deadline | None = None  # removed from the heap, perhaps not called yet
        self.pushed = 0  # entries ever pushed, and the number of the next one

    def __len__(self) -> int:
        """Count the armed deadlines. Walks the heap: for debugging and tests."""
        return len({id(deadline) for _, _, deadline in self.heap if deadline.pending})

    def push(self, when: float, deadline: Deadline) -> None:
        """Push an entry; for Deadline only."""
        if when != when:
            raise ValueError("Invalid value NaN (not a number)")  # Python's own text for it
        number = self.pushed
        # Before the push, because a finalizer may push too, and other code may run before this returns. An entry that
        # does not match its deadline is dropped when it comes due.
        self.pushed = number + 1
        deadline._queued = when
        heappush(self.heap, (when, number, deadline))

    def note_cancelled(self) -> None:
        """Count a cancelled entry, and remove all of them when they are more than half of the heap."""
        self.cancelled += 1
        if self.cancelled > _COMPACT_ABOVE and self.cancelled * 2 > len(self.heap):
            # In place: the hub holds this list while it fires deadlines.
            self.heap[:] = [entry for entry in self.heap if entry[2].callback is not None]
            heapify(self.heap)
            self.cancelled = 0

    def pop_due(self, now: float, before: float = NEVER) -> Deadline | None:
        """Return the next deadline due at `now`, disarmed, for the caller to call; or None.

        `before`: only consider entries whose number is below it.
        """
        heap = self.heap
        while heap and heap[0][0] <= now and heap[0][1] < before:
            entry, _, deadline = heap[0]
            self.firing = deadline
            heappop(heap)
            if deadline.callback is None:
                self.cancelled = max(0, self.cancelled - 1)
            elif deadline._entry_due(entry, now):
                return deadline
        return None

    def next_moment(self) -> float:
        """Return when to look again: at or before the first armed deadline, or NEVER."""
        heap = self.heap
        while heap:
            entry, _, deadline = heap[0]
            if deadline.callback is not None:
                return entry  # too early if it was postponed, which costs one empty turn
            heappop(heap)
            self.cancelled = max(0, self.cancelled - 1)
        return NEVER
