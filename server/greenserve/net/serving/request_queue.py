"""Which request runs when: the line of those that are ready, the pool they run on, the answers that go out together.

Knows connections by five of their methods and no bytes. The invariants: requests begin in the order in which they
were complete, at most as many run at once as the pool has slots, and nobody stands in line while a slot is free.

Facts: a slot that a request holds while it waits for its own client is one that a slow client holds, and a thousand of
those are cheap to come by. No deadline short enough to keep the line moving would let an honest phone through a tunnel.
Decision: who waits for its client lends its slot (`pool_overflow` such at once) and takes one again, before all those
in line, when the client has moved. Cost: more requests may have begun than there are slots, each with its green thread
and what the app holds meanwhile, a database connection say; `--pool-overflow 0` is for apps that cannot have that.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

from greenlet import getcurrent

from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.workers import PoolWorker
from greenserve_hub.loop.hub import MAX_TURN, Hub
from greenserve_hub.sync.semaphores import Semaphore

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection

_TOGETHER: Final = 0.0005  # seconds that an app may run without giving way, for answers to be gathered
_NO_GATHERING: Final = 1.0  # seconds without it after one ran for longer


class _Slots(Semaphore):
    """The slots of the pool. Who waits for one has had one before: those in line are no green threads yet."""

    def __repr__(self) -> str:
        return "a slot of the pool: its client has moved"


class Dispatcher:
    """The line in front of a pool, and the pool."""

    def __init__(self, hub: Hub, size: int, overflow: int, limit: int) -> None:
        """A pool of `size` slots, of which `overflow` may be lent; nobody in line, where `limit` may stand."""
        self.pool = GreenPool(size)
        self.pool.sem = _Slots(size)
        self.lent = 0  # slots of requests that wait for their clients
        self.upgraded = 0  # green threads of the pool whose requests have left HTTP
        self._overflow = overflow
        self._limit = limit
        self._returning = 0  # how many want theirs back
        self.begun = 0  # requests so far
        self._hub = hub
        self._queue: deque[Connection] = deque()
        self._unsent: deque[Connection] = deque()
        self._dispatch_due = False
        self._gathers = False
        self._gather_from = 0.0
        self._is_ending = False

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._queue)

    def refuse_all(self) -> None:
        """Begin no more: answer those in line that the server stops. Switches: never."""
        self._is_ending = True
        while self._queue:
            self._queue.popleft().refuse_stopping()

    def leave_behind(self) -> None:
        """For the child of a fork, which may be within a turn, which then goes on here. Switches: never."""
        self._queue.clear()
        self._unsent.clear()

    def submit(self, connection: Connection) -> None:
        """Its head is complete: it runs in this turn if a slot is free, else when its turn comes."""
        self._queue.append(connection)
        if not self._dispatch_due:
            self._dispatch_soon()

    def unqueue(self, connection: Connection) -> None:
        """It waits no longer: its time ran out, or it closed."""
        if connection in self._queue:
            self._queue.remove(connection)

    def _dispatch(self) -> None:
        """Run what is in line, on as many green threads as wait in it; then send the answers that came at once.

        A worker whose app gives way comes back here, and the next one goes on. So an app that never does costs one
        switch a turn, and not one for each request.
        """
        self._dispatch_due = False
        if self._is_ending:
            self.refuse_all()  # what was complete only when the end had begun
            return
        self._gathers = self._hub.now >= self._gather_from
        try:
            while self._queue and self.pool.start_nowait(self._work):
                if self._dispatch_due:
                    return  # the turn is over; the rest is for the next one
        finally:
            self._gathers = False
            self._send_all()
            if len(self._queue) > self._limit and self.pool.sem.counter <= 0:
                self._refuse_last()
            for connection in reversed(self._queue):
                if not connection.queue():
                    break  # nor are those before it new here

    def _refuse_last(self) -> None:
        # All slots are taken. A line that is long only since many came in this turn is none to shorten.
        queue = self._queue
        while len(queue) > self._limit:
            queue.pop().refuse_busy("the server is busy (limit_queue)")

    def _dispatch_soon(self) -> None:
        if not self._dispatch_due:
            self._dispatch_due = True
            self._hub.call_soon(self._dispatch)

    def _work(self) -> None:
        """The life of a slot while there are requests in line. On a worker of the pool."""
        worker = cast(PoolWorker, getcurrent())
        queue = self._queue
        slots = self.pool.sem
        hub = self._hub
        clock = hub.clock
        before = clock()
        while queue and not self._is_ending:
            turn = hub.now
            connection = queue.popleft()
            self.begun += 1
            try:
                connection.run()
            except Exception:
                connection.broke()
            except BaseException:
                connection.close()
                self._dispatch_soon()
                raise  # to the worker, which tells of it
            # What this request has left behind, a Timeout say, is not for the next one.
            worker.generation += 1
            now = clock()
            if now - before > _TOGETHER and hub.now == turn:
                # An app that holds the hub: answers that are ready must not wait for the next such run.
                self._gathers = False
                self._gather_from = now + _NO_GATHERING
                self._send_all()
            before = now
            if slots.counter < 0 or (self._returning and slots.waiting()):
                self._dispatch_soon()
                return  # our slot was one too many, or is for one that has begun
            if queue and now - hub.now > MAX_TURN:
                self._dispatch_soon()
                return

    # Slots that are lent --------------------------------------------------------------------------------

    def lend(self) -> bool:
        """A request is about to wait for its client: let others have its slot; whether they may. Switches: never."""
        if self.lent >= self._overflow:
            return False
        self.lent += 1
        self.pool.sem.release()
        if self._queue:
            self._dispatch_soon()
        return True

    def take_back(self) -> None:
        """Its client has moved: it needs a slot again, before those in line. Switches: when none is free."""
        self.lent -= 1
        self._returning += 1
        try:
            self.pool.sem.acquire()
        except BaseException:
            self.pool.sem.counter -= 1  # see take_back_now
            raise
        finally:
            self._returning -= 1

    def take_back_now(self) -> None:
        """As take_back, for one that an exception has reached: it goes on at once, one above the pool's size.

        Switches: never.
        """
        self.lent -= 1
        self.pool.sem.counter -= 1

    # Slots that are given up ---------------------------------------------------------------------------

    def give_up_slot(self) -> None:
        """The request on this green thread has left HTTP: its slot is for others, for good. Switches: never."""
        self.upgraded += 1
        self.pool.sem.release()
        if self._queue:
            self._dispatch_soon()

    def take_slot(self) -> None:
        """It is over: its green thread gives the slot back that it has begun with. Switches: never."""
        self.upgraded -= 1
        self.pool.sem.counter -= 1

    # Answers --------------------------------------------------------------------------------------------

    def send_soon(self, connection: Connection) -> None:
        """Its answer is whole: send it together with the others of this turn.

        Answers sent one right after another find the clients' side awake; each of its own, with an app's run between,
        has the kernel wake it up: up to half of what a small request costs. Apps that compute for long get none of it.
        """
        self._unsent.append(connection)
        if not self._gathers:
            self._send_all()

    def _send_all(self) -> None:
        unsent = self._unsent
        while unsent:
            connection = unsent.popleft()
            try:
                connection.flush()
            except Exception:
                connection.broke()
