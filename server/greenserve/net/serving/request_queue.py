"""RequestQueue: requests that are complete, and the pool that runs them.

Knows requests as Jobs and no bytes; slots.py counts what runs, batching.py sends the responses of one turn. The
invariants: requests begin in the order in which they were complete, at most as many run at once as the pool has slots,
and no request is queued while a slot is free.
"""

from __future__ import annotations

from collections import deque

from greenlet import getcurrent

from greenserve.metrics.tally import Tally
from greenserve.net.http.services import Job
from greenserve.net.serving.batching import HOLDS, Batch
from greenserve.net.serving.slots import Slots
from greenserve_hub.greenthreads.workers import PoolWorker
from greenserve_hub.loop.hub import MAX_TURN, Hub


class RequestQueue:
    """The queue in front of a pool."""

    def __init__(self, hub: Hub, size: int, overflow: int, limit: int, tally: Tally) -> None:
        """A pool of `size` slots, of which `overflow` may be lent at once; `limit` requests may be queued."""
        self.slots = Slots(size, overflow, self._slot_freed)
        self.pool = self.slots.pool
        self.batch = Batch(hub.call_soon)
        self.begun = 0  # requests so far
        self.overfull = 0  # requests that found `limit` before them
        self._limit = limit
        self._hub = hub
        self._tally = tally
        self._queue: deque[Job] = deque()
        self._dispatch_due = False
        self._is_ending = False

    @property
    def waiting(self) -> int:
        """The number of queued requests."""
        return len(self._queue)

    def submit(self, job: Job) -> None:
        """Run the request in this turn if a slot is free, else when it is the first in the queue. Switches: never."""
        self._queue.append(job)
        if not self._dispatch_due:  # _dispatch_soon(), without the call
            self._dispatch_due = True
            self._hub.call_soon(self._dispatch)

    def unqueue(self, job: Job) -> None:
        """Drop the request, whose time is over or whose connection was closed. Switches: never."""
        if job in self._queue:
            self._queue.remove(job)

    def refuse_all(self) -> None:
        """Begin no more requests: refuse the queued ones, since the server is stopping. Switches: never."""
        self._is_ending = True
        while self._queue:
            self._queue.popleft().refuse_stopping()

    def leave_behind(self) -> None:
        """Forget all requests, in the child of a fork; it may be within a turn, which goes on. Switches: never."""
        self._queue.clear()
        self.batch.clear()

    def _dispatch(self) -> None:
        """Run queued requests on as many green threads as wait in them; then send the responses that were made at once.

        A worker whose app gives way comes back here, and the next one goes on. So an app that never does costs one
        switch a turn, and not one for each request.
        """
        self._dispatch_due = False
        if self._is_ending:
            self.refuse_all()  # requests that were complete only when the end had begun
            return
        batch = self.batch
        batch.begin(self._hub.now)
        try:
            while self._queue and self.pool.start_nowait(self._work):
                if batch.held is not None:
                    batch.gave_way()
                if self._dispatch_due:
                    return  # the turn is over; the rest is for the next one
        finally:
            batch.end()
            batch.is_turn = False
            if batch.behind:
                batch.call_all()
            if len(self._queue) > self._limit and self.slots.is_full():
                self._refuse_last()
            for job in reversed(self._queue):
                if not job.queue():
                    break  # nor are those before it new here

    def _refuse_last(self) -> None:
        # Only with no slot free: a queue that is long since many requests came in this turn is not to be shortened.
        queue = self._queue
        while len(queue) > self._limit:
            queue.pop().refuse_busy("the server is busy (limit_queue)")
            self.overfull += 1

    def _dispatch_soon(self) -> None:
        if not self._dispatch_due:
            self._dispatch_due = True
            self._hub.call_soon(self._dispatch)

    def _slot_freed(self) -> None:
        if self._queue:
            self._dispatch_soon()

    def _work(self) -> None:
        """Run requests one after another while there are any. On a worker of the pool, which holds a slot."""
        worker = getcurrent()
        assert isinstance(worker, PoolWorker)
        queue = self._queue
        slots = self.slots
        hub = self._hub
        clock = hub.clock
        took = self._tally.took
        before = clock()
        while queue and not self._is_ending:
            turn = hub.now
            job = queue.popleft()
            self.begun += 1
            try:
                ran = job.run(worker, turn)
            except Exception:
                ran = False
                job.broke()
            except BaseException:
                job.close()
                self._dispatch_soon()
                raise  # to the worker, which reports it
            worker.generation += 1  # next_job(), without the call
            now = clock()
            if took is not None and ran:
                took.append(now - job.since)
            if now - before > HOLDS and hub.now == turn:
                self.batch.pause(now)
            before = now
            if (slots.may_be_wanted and slots.is_wanted()) or (queue and now - hub.now > MAX_TURN):
                self._dispatch_soon()
                return
