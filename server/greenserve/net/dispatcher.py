"""Which request runs when: the line of those that are ready, the pool they run on, the answers that go out together.

Knows connections by four of their methods and no bytes. The invariant: requests begin in the order in which their heads
were complete, at most as many at once as the pool has slots, and nobody stands in line while a slot is free.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

from greenlet import getcurrent

from greenserve_hub.loop import Hub
from greenserve_hub.pools import GreenPool
from greenserve_hub.workers import PoolWorker

if TYPE_CHECKING:
    from greenserve.net.connection import Connection

_TOGETHER: Final = 0.0005  # seconds that an app may run without giving way, for answers to be gathered
_NO_GATHERING: Final = 1.0  # seconds without it after one ran for longer
# Seconds after which requests in line wait for the next turn, so that sockets are looked at.
_TURN: Final = 0.01


class Dispatcher:
    """The line in front of a pool, and the pool."""

    def __init__(self, hub: Hub, size: int) -> None:
        """A pool of `size` slots, nobody in line."""
        self.pool = GreenPool(size)
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
            for connection in reversed(self._queue):
                if not connection.queue():
                    break  # nor are those before it new here

    def _dispatch_soon(self) -> None:
        if not self._dispatch_due:
            self._dispatch_due = True
            self._hub.call_soon(self._dispatch)

    def _work(self) -> None:
        """The life of a slot while there are requests in line. On a worker of the pool."""
        worker = cast(PoolWorker, getcurrent())
        queue = self._queue
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
            if queue and now - hub.now > _TURN:
                self._dispatch_soon()
                return

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
