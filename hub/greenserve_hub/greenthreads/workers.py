"""PoolWorker: a green thread of a pool that runs one job after another.

Made and fed by GreenPool only.

Facts: making a greenlet costs most of a spawn, and a job whose result nobody asks for needs no greenlet of
its own. Consequence: jobs without a result run on workers that are used again; GreenPool.spawn, which
promises a GreenThread, makes one. Decision: an idle worker is parked by a plain `hub.switch()`, the one
exception to loop/parking.py, since it waits for nothing and belongs in no dump. Cost: whoever keeps a worker past
its job holds somebody else's green thread; `generation` tells, and Timeout asks it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.forks import end_child, is_last
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.origins import Origin

# A worker at rest holds some 20 KiB of stack. Bursts above this many make new ones, which costs 5 µs each.
IDLE_WORKERS = 256


class Owner(Protocol):
    """What a worker asks of the pool whose job it runs."""

    _idle: list[PoolWorker]

    def _job_ended(self, member: PoolWorker) -> None: ...


# The pool, the function and its arguments, and where it was asked for; None: by nobody's line, as the server does.
Job = tuple[Owner, Callable[..., object], tuple[Any, ...], Origin | None]


class PoolWorker(greenlet):
    """A green thread of a pool that runs one job after another. `generation` counts the jobs it has ended."""

    generation = 0
    # Not handed over by switch(): greenlet keeps what it passed to the first one for as long as the greenlet lives.
    job: Job | None = None
    _named = (0, "")

    @property
    def origin(self) -> Origin | None:
        """Of its job."""
        return None if self.job is None else self.job[3]

    @property
    def name(self) -> str:
        """For dumps and errors; yours to set, for this job."""
        generation, name = self._named
        return name if generation == self.generation else ""

    @name.setter
    def name(self, name: str) -> None:
        self._named = (self.generation, name)

    def next_job(self) -> None:
        """End the job: a Timeout or a name that it left behind does not count for the next one. Switches: never.

        For a function that runs several jobs in turn, between two of them; the pool calls it after its own.
        """
        self.generation += 1

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        # Killed before its next job, or its first, has begun.
        if self.job is not None:
            self.job[0]._job_ended(self)


def work() -> None:
    """The life of a worker.

    A plain function: a bound method would keep the worker alive after its pool has gone.
    """
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
        worker.next_job()
        pool._job_ended(worker)
        idle = pool._idle
        if killed or worker is hub.main or len(idle) >= IDLE_WORKERS:
            return
        # At rest it holds on to nothing: neither to what the job used, whose finalizers may wait and so come before it
        # is to be had, nor to the pool, which holds on to it.
        del pool, fn, args
        idle.append(worker)
        del idle, worker
        try:
            while getcurrent().job is None:  # type: ignore[attr-defined]
                hub.switch()
        except BaseException:
            cast(PoolWorker, getcurrent())._end_unstarted(())
            raise
