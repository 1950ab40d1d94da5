"""Timers: moments at which a callback is due, in one heap, made for deadlines that are nearly always put off.

It knows no hub, no greenlet and no clock: time is an argument. The hub owns one DeadlineQueue; sleep,
Timeout, every wait with a timeout and every deadline of a server's connection is a Deadline in it.

Facts: a server's deadline (keep-alive, head, send) is armed and disarmed with each request and expires almost
never. A FIFO per constant timeout makes arming an append, but its dead entries pile up: rate times timeout of
them, 1.5 million at 20,000 requests/s with a keep-alive of 75 s. Consequence: what arming must not do is
leave something behind. Decision: an entry stays in the heap where it is while its deadline moves away; when
the entry comes due too early, it is pushed again at the moment that holds by then. Arming later and disarming
are thus one attribute store, and each Deadline has one live entry. Cost: a wake-up per connection and timeout
period that finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

NEVER = float("inf")
_COMPACT_ABOVE = 1000  # below this many cancelled entries, sweeping costs more than keeping them


class Deadline:
    """A callback and the moment it is due, in seconds of the hub's clock.

    Made by DeadlineQueue; reusable until cancelled.
    """

    __slots__ = ("_queue", "_queued", "args", "callback", "when")

    def __init__(
        self, queue: DeadlineQueue, callback: Callable[..., object], args: tuple[Any, ...] = ()
    ) -> None:
        """A deadline that is not armed yet."""
        self._queue = queue
        self._queued = NEVER  # the moment of its live entry in the heap
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.when = NEVER

    @property
    def pending(self) -> bool:
        """Whether it is armed."""
        return self.when != NEVER

    def arm(self, when: float) -> None:
        """Make it due at `when`. Putting it off costs no heap operation. ValueError for NaN. Switches: never."""
        self.when = when
        if not when >= self._queued:  # NaN too, for push() to refuse
            self._queue.push(when, self)

    def disarm(self) -> None:
        """Make it due never; it can be armed again. Switches: never."""
        self.when = NEVER

    def cancel(self) -> None:
        """Disarm it for good and let go of the callback. Repeatable. Switches: never."""
        if self.callback is not None:
            self.callback = None
            self.args = ()
            self.when = NEVER
            if self._queued != NEVER:
                self._queue.note_cancelled()

    def move(self, queue: DeadlineQueue) -> None:
        """Be due in another queue, at the same moment. Switches: never."""
        self._queue = queue
        self._queued = NEVER
        if self.when != NEVER:
            self.arm(self.when)

    def _entry_due(self, entry: float, now: float) -> bool:
        """Whether to fire, now that the heap entry for the moment `entry` has been taken out."""
        if entry != self._queued:
            return False  # an entry that an earlier one overtook
        self._queued = NEVER
        if self.when <= now:
            self.when = NEVER
            return True
        if self.when != NEVER:
            self.arm(self.when)
        return False


class DeadlineQueue:
    """All deadlines of one hub. Those due at the same moment fire in the order they were armed."""

    __slots__ = ("_cancelled", "firing", "heap", "pushed")

    def __init__(self) -> None:
        """An empty queue."""
        self.heap: list[tuple[float, int, Deadline]] = []
        self._cancelled = 0  # how many of them nobody needs
        self.firing: Deadline | None = None  # taken out, and perhaps not called yet
        self.pushed = 0  # how many entries were ever put in, and the number of the next

    def __len__(self) -> int:
        """How many deadlines are armed. Walks the heap: for debugging and tests."""
        return len({id(deadline) for _, _, deadline in self.heap if deadline.pending})

    def push(self, when: float, deadline: Deadline) -> None:
        """Put an entry into the heap; for Deadline only."""
        if when != when:
            raise ValueError("Invalid value NaN (not a number)")  # Python's own words for it
        number = self.pushed
        # First, since what a finalizer does now may push too, and since others may run before this returns: an entry
        # that its deadline does not know is thrown away when it comes due.
        self.pushed = number + 1
        deadline._queued = when
        heappush(self.heap, (when, number, deadline))

    def note_cancelled(self) -> None:
        """Count an entry that nobody needs, and sweep when these are the greater part."""
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self.heap):
            # In place: the hub holds the list while it fires what is due.
            self.heap[:] = [entry for entry in self.heap if entry[2].callback is not None]
            heapify(self.heap)
            self._cancelled = 0

    def pop_due(self, now: float, before: float = NEVER) -> Deadline | None:
        """The next deadline that is due at `now`, disarmed and to be called by the caller, or None.

        `before`: only entries put in while `pushed` was below it.
        """
        heap = self.heap
        while heap and heap[0][0] <= now and heap[0][1] < before:
            entry, _, deadline = heap[0]
            self.firing = deadline
            heappop(heap)
            if deadline.callback is None:
                self._cancelled = max(0, self._cancelled - 1)
            elif deadline._entry_due(entry, now):
                return deadline
        return None

    def next_moment(self) -> float:
        """When to look again: at or before the first armed deadline, or NEVER."""
        heap = self.heap
        while heap:
            entry, _, deadline = heap[0]
            if deadline.callback is not None:
                return entry  # too early if it was put off, which costs one empty turn
            heappop(heap)
            self._cancelled = max(0, self._cancelled - 1)
        return NEVER
