"""GreenMap: the result of starmap and imap, an iterator over the results of many concurrent calls.

Used by GreenPool only, and runs on its workers. Knows nothing of how slots are counted.

Facts: a switch into a green thread and back costs ten times a call of a trivial function, and it is not known before
which functions will wait. Consequence: a worker that has finished a call should take the next item itself; another
worker is needed only when this one waits. Decision: workers ("lanes") take items from the shared input one after
another. Each lane that begins starts as many further lanes as there are, at least two. They run when this one waits, so
the lanes double in each turn: a thousand waiting calls run after ten turns. If calls never wait, the two find nothing
to do. Cost: one lane may block the hub for as many trivial calls as the pool has slots.

Invariants: at most `pool.size` items were taken from the input whose results were not taken from here. No lane waits
while it holds a slot, unless the function or the input does. While there is an item and room for it, a lane holds a
slot or is about to take one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from greenlet import GreenletExit

from greenserve_hub import forks
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.origins import Origin, origin
from greenserve_hub.loop.parking import Waiter, WaitQueue
from greenserve_hub.sync.semaphores import Semaphore

T = TypeVar("T")

_HELPERS = 2  # started lanes, at least
_END: Any = object()


class _Failure:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Lanes(Protocol):
    """The pool, as a map uses it."""

    size: int
    sem: Semaphore

    def free(self) -> int:
        """Return the number of free slots."""

    def _runs_here(self) -> bool: ...

    def _start_helper(self, fn: Callable[[], object], origin: Origin) -> None: ...

    def _join(self) -> None: ...


class GreenMap(Generic[T]):
    """The results in the order of the input. Several green threads may iterate: each result goes to one of them."""

    def __init__(self, pool: Lanes, fn: Callable[..., T], inputs: Iterator[Any]) -> None:
        """For GreenPool.starmap only."""
        self._pool = pool
        self._fn = fn
        self._inputs: Iterator[Any] | None = inputs  # None: exhausted
        self._pulling = False  # the input itself may wait, and a generator cannot be entered twice
        self._begun = 0  # items taken from the input
        self._taken = 0  # results handed out
        self._results: deque[T | _Failure] = deque()  # the next results, without a gap
        self._gap = 0  # the number of the first result that is missing there
        self._early: dict[int, T | _Failure] = {}  # results after the gap
        self._helpers = 0  # started lanes
        self._in_line = (
            0  # started lanes that wait for a slot: one is enough to use the slots that others give back
        )
        self._lanes = 0  # lanes that hold a slot
        self._takers = WaitQueue()
        self._origin = origin(get_hub().now, 3)
        if not pool._runs_here():
            self._call_helpers()

    def __iter__(self) -> Iterator[T]:
        """Return the map itself."""
        return self

    def __next__(self) -> T:
        """Return the next result, or raise its exception. Switches: when it is not ready."""
        results = self._results
        while not results:
            if self._inputs is None and self._begun == self._taken:
                raise StopIteration
            if not self._lanes and self._room() > 0 and self._pool._runs_here():
                return self._call_here()
            self._call_helpers()
            waiter = Waiter(get_hub(), "the next result of", self)
            if not results and not (self._inputs is None and self._begun == self._taken):
                self._takers.waiting[waiter] = None
                self._takers.park_in(waiter, undo=self._hand_on)
        value = results.popleft()
        self._taken += 1
        if not self._helpers:
            self._call_helpers()
        if self._inputs is None and self._begun == self._taken:
            self._takers.wake_all()
        if type(value) is _Failure:
            raise value.error
        return value  # type: ignore[return-value]

    next = __next__

    def _room(self) -> int:
        # The number of items that may be taken from the input now. In a pool without slots one lane waits for a resize.
        if self._inputs is None or self._pulling:
            return 0
        return (self._pool.size or 1) - self._begun + self._taken

    def _call_helpers(self) -> None:
        wanted = min(self._room(), max(self._lanes, _HELPERS))
        while self._helpers < wanted:
            self._helpers += 1
            self._pool._start_helper(self._lane, self._origin)

    def _join(self) -> bool:
        # Return True if the current worker now has a slot, and an item to use it for.
        try:
            if self._room() <= 0 or (self._in_line and self._pool.free() <= 0):
                return False
            self._in_line += 1
            try:
                self._pool._join()
            finally:
                self._in_line -= 1
        finally:
            self._helpers -= 1
        self._lanes += 1
        return True

    def _lane(self) -> None:  # noqa: C901  # a function of its own for a part would cost each item a tenth
        if not self._join():
            return
        self._call_helpers()
        sem = self._pool.sem
        fn = self._fn
        value: Any
        try:
            while self._room() > 0:
                number = self._claim()
                if number is None:
                    continue
                try:
                    item = self._pull()
                    if item is _END:
                        break
                    if self._helpers < _HELPERS:
                        self._call_helpers()
                    value = fn(*item)
                except BaseException as error:
                    value = _Failure(error)
                if forks.last is not None:
                    _end_child_with(value)
                if number == self._gap and not self._early:
                    self._results.append(value)
                    self._gap = number + 1
                    if self._takers.waiting:
                        self._takers.wake_one()
                    if self._early:
                        self._put_in_order()  # results that came in this moment
                else:
                    self._put_early(number, value)
                if type(value) is _Failure and isinstance(value.error, GreenletExit):
                    raise value.error
                if sem.counter < 0 or sem.waiting() > self._in_line:
                    break  # others wait for a slot: the next item is queued after them
        finally:
            self._lanes -= 1

    def _claim(self) -> int | None:
        # Return the number of the next item, with the right to take it; None while another lane takes one.
        if self._inputs is None or self._pulling:
            return None
        self._pulling = True
        number = self._begun
        self._begun = number + 1
        return number

    def _pull(self) -> Any:
        inputs = self._inputs
        assert inputs is not None
        item = None
        try:
            item = next(inputs, _END)
        except BaseException:
            self._inputs = None
            raise
        finally:
            self._pulling = False
            if item is _END:
                self._inputs = None
                self._begun -= 1
                if self._begun == self._taken:
                    self._takers.wake_all()
        return item

    def _put_early(self, number: int, value: T | _Failure) -> None:
        self._early[number] = value
        self._put_in_order()

    def _put_in_order(self) -> None:
        early = self._early
        while self._gap in early:
            value = early.pop(self._gap, _END)
            if value is _END:
                break  # another green thread is doing this
            self._results.append(value)
            self._gap += 1
            self._takers.wake_one()

    def _call_here(self) -> T:
        # A member of a full pool takes results: no lane could get a slot while it waits, so it calls `fn` itself. No
        # lane holds a slot, so no result is missing, and the next item is the next result.
        self._claim()
        try:
            item = self._pull()
            if item is _END:
                raise StopIteration
        finally:
            self._taken = self._gap = self._begun
            self._takers.wake_one()  # it may have found the input taken
        return self._fn(*item)

    def _hand_on(self, _: Any) -> None:
        self._takers.wake_one()


def _end_child_with(value: Any) -> None:
    """In the child of a fork, in the green thread that forked: end the process."""
    if forks.is_last():
        forks.end_child(value.error if type(value) is _Failure else None)
