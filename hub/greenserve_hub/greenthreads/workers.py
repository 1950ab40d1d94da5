"""PoolWorker: a green thread of a pool that runs one job after another.

Used by GreenPool only.

Facts: making a greenlet is most of the cost of a spawn, and a job without a result needs no greenlet of its own.
Consequence: such jobs run on reused workers; only GreenPool.spawn, which returns a GreenThread, makes one. Decision: an
idle worker is parked by a plain `hub.switch()`, the one exception to loop/parking.py, because it waits for nothing and
belongs in no dump. Cost: a reference to a worker that is kept after its job means another job's green thread;
`generation` shows that, and Timeout checks it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.forks import end_child, is_last
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.origins import Origin

# An idle worker holds about 20 KiB of stack. Bursts above this number make new ones, which costs 5 µs each.
IDLE_WORKERS = 256


class Owner(Protocol):
    """The pool, as its workers use it."""

    _idle: list[PoolWorker]

    def _job_ended(self, member: PoolWorker) -> None: ...


# The pool, the function, its arguments, and the origin of the spawn; None for the server's jobs, which have none.
Job = tuple[Owner, Callable[..., object], tuple[Any, ...], Origin | None]


class PoolWorker(greenlet):
    """A green thread of a pool that runs one job after another. `generation` counts the jobs it has ended."""

    generation = 0
    # Not passed by switch(): greenlet keeps the arguments of the first switch() as long as the greenlet lives.
    job: Job | None = None
    _named = (0, "")

    @property
    def origin(self) -> Origin | None:
        """The origin of its job."""
        return None if self.job is None else self.job[3]

    @property
    def name(self) -> str:
        """A name for dumps and errors; you may set it, for this job."""
        generation, name = self._named
        return name if generation == self.generation else ""

    @name.setter
    def name(self, name: str) -> None:
        self._named = (self.generation, name)

    def next_job(self) -> None:
        """End the job: a Timeout or a name that it left behind does not count for the next one. Switches: never.

        For a function that runs several jobs in turn, between two of them.
        """
        self.generation += 1

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        # It was killed before its job began.
        if self.job is not None:
            self.job[0]._job_ended(self)


def work() -> None:
    """Run jobs. A plain function, because a bound method would keep the worker alive after its pool is gone."""
    hub = get_hub()
    while True:
        worker = getcurrent()
        assert isinstance(worker, PoolWorker)
        assert worker.job is not None
        pool, fn, args, _ = worker.job
        killed = False
        try:
            fn(*args)
        except GreenletExit:
            killed = True
        except BaseException as error:
            if is_last():
                end_child(error)
            hub.report_error()
        worker.generation += 1  # next_job(), without the call
        pool._job_ended(worker)
        idle = pool._idle
        if killed or worker is hub.main or len(idle) >= IDLE_WORKERS:
            return
        # An idle worker holds no references: not to objects of the job, whose finalizers may wait and so must run
        # before it is idle, and not to the pool, which refers to it.
        del pool, fn, args
        idle.append(worker)
        del idle, worker
        try:
            while getcurrent().job is None:  # type: ignore[attr-defined]
                hub.switch()
        except BaseException:
            cast(PoolWorker, getcurrent())._end_unstarted(())
            raise
