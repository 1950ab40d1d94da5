"""Crew: which worker is started, replaced, killed and replaced again. The decisions of a master, without a process.

Knows workers by their Protocol, and gets the time from a clock: tests run it without a fork. The master calls it when
something has happened, and several times a second.

Invariants: a seat has one worker that serves and at most one that starts in its place. A worker is retired only when
the one in its place is ready, so a reload whose code does not start changes nothing. One replacement starts at a time,
so a reload needs memory for one more worker, besides those that drain.
"""

from __future__ import annotations

import logging
import signal
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from greenserve.process.crew.checks import STOP_MARGIN, Checks, Limits
from greenserve.process.crew.seats import Failure, Seat, State, Worker, have_all_served
from greenserve_hub.deadlines import NEVER

__all__ = ["Crew"]

log = logging.getLogger("greenserve.error")

_FORK_PAUSE: Final = 1.0  # seconds after a fork that the system has refused
_HASTE: Final = 1.0  # seconds that a worker has to end when its code has changed
# Seconds after a second signal. A worker ends itself 2 s after it, unless C code keeps the GIL.
_HURRY_TIME: Final = 3.0
_AS_TOLD: Final = ("ended with exit code 0", "was killed by SIGTERM")


class Crew:
    """The workers of one server."""

    def __init__(
        self,
        hire: Callable[[int], Worker],
        size: int,
        limits: Limits,
        clock: Callable[[], float],
        *,
        adopts: bool = True,
        rolled: Callable[[bool], object] = bool,
    ) -> None:
        """`hire(seat)` starts a process, or raises OSError.

        `adopts`: each seat has sockets of its own, from which others may accept. `rolled(succeeded)` is called at the
        end of a reload.
        """
        self.seats = [Seat(index) for index in range(size)]
        self.leaving: set[Worker] = set()
        self.failure: Failure | None = None  # the reason why no worker can start at all
        self.is_stopping = False
        self._hire = hire
        self._clock = clock
        self._rolled = rolled
        self._adopts = adopts
        self._to_replace: deque[int] = deque()
        self._is_rolling = False
        self._has_served = False
        self._kill_at = NEVER
        self._worn: set[Worker] = set()  # those that have asked to be replaced
        self._checks = Checks(limits, clock())
        self._is_suspended = False  # no worker is to start
        self._follows = False  # none starts before those that leave have ended

    # State -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Worker]:
        """All living workers."""
        for seat in self.seats:
            for worker in (seat.worker, seat.heir):
                if worker is not None:
                    yield worker
        yield from tuple(self.leaving)

    @property
    def limits(self) -> Limits:
        """The times that workers have."""
        return self._checks.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._checks.limits = limits

    @property
    def size(self) -> int:
        """The number of workers that are wanted."""
        return sum(seat.is_wanted for seat in self.seats)

    @property
    def is_ready(self) -> bool:
        """Return True if every wanted worker serves."""
        return all(seat.is_served for seat in self.seats if seat.is_wanted)

    @property
    def is_rolling(self) -> bool:
        """Return True while a reload replaces workers."""
        return self._is_rolling

    @property
    def is_over(self) -> bool:
        """Return True if it was stopped, or can't start, and no worker is left."""
        return self.is_stopping and next(iter(self), None) is None

    # What the master is asked for ------------------------------------------------------------------------

    def start(self) -> None:
        """Start a worker on each seat that has none."""
        for seat in self.seats:
            if seat.worker is None:
                seat.worker = self._fill(seat)

    def take_over(self, worker: Worker, is_leaving: bool) -> None:
        """Take over a worker of the program before this one. It serves, or is told to end already."""
        worker.ready_at = self._clock()
        worker.state = State.LEAVING if is_leaving else State.READY
        self.seats += [Seat(index, is_wanted=False) for index in range(len(self.seats), worker.seat + 1)]
        if is_leaving:
            self.leaving.add(worker)
            return
        self.seats[worker.seat].worker = worker
        self.seats[worker.seat].has_served = self._has_served = True

    def roll(self, size: int | None = None) -> None:
        """Replace all workers, one after another; of the first `size` seats. A roll that is under way begins again."""
        if self.is_stopping:
            return
        self._is_rolling = True
        self._to_replace = deque(
            seat.index for seat in self.seats[:size] if seat.is_wanted and seat.worker is not None
        )
        for seat in self.seats:
            if seat.heir is not None:  # it may have read what has changed since
                self._dismiss(seat.heir)
                seat.heir = None
            seat.failures = 0
            seat.start_at = 0.0
        self.tick()

    def suspend(self) -> None:
        """Have all workers end soon; none starts until resume(). Connections wait in the sockets meanwhile."""
        if self.is_stopping:
            return
        self._is_suspended = self._follows = True
        self._to_replace.clear()
        self._is_rolling = False
        for seat in self.seats:
            for worker in (seat.worker, seat.heir):
                if worker is not None:
                    self._dismiss(worker, at_once=True)
            seat.worker = seat.heir = None
            seat.failures, seat.start_at = 0, 0.0

    def resume(self) -> None:
        """Start workers anew, when those of before have ended: they may hold what the app needs, a port or a lock."""
        self._is_suspended = False
        self.tick()

    def resize(self, size: int) -> None:
        """Want so many workers, at least one."""
        if self.is_stopping:
            return
        for seat in self.seats:
            seat.is_wanted = seat.index < size
        late = self._has_served
        self.seats += [Seat(index, is_late=late) for index in range(len(self.seats), size)]
        for seat in self.seats:
            if seat.is_wanted:
                if self._may_hire:
                    seat.worker = seat.worker or self._fill(seat)
                continue
            for worker in (seat.worker, seat.heir):
                if worker is not None:
                    self._dismiss(worker)
            seat.worker = seat.heir = None
        self._settle()
        self._advance()
        self._end_roll()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop all workers, as SIGTERM or SIGINT does; a second call ends what they still do."""
        is_second, self.is_stopping = self.is_stopping, True
        self._to_replace.clear()
        self._is_rolling = False
        patience = _HURRY_TIME if is_second else self.limits.graceful_timeout + STOP_MARGIN
        self._kill_at = min(self._kill_at, self._clock() + patience)
        for worker in self:
            if is_second:
                worker.hurry()
            elif worker.state is not State.LEAVING:  # or its requests would be ended at once
                worker.stop(number)

    # What has happened -----------------------------------------------------------------------------------

    def ready(self, worker: Worker) -> None:
        """A worker accepts connections."""
        seat = self.seats[worker.seat]
        if worker.state is not State.STARTING:
            return
        if self.is_stopping or worker not in (seat.worker, seat.heir):
            return  # it is told to end
        worker.state = State.READY
        worker.ready_at = self._clock()
        self._has_served = seat.has_served = True
        if worker is seat.heir:
            before, seat.worker, seat.heir = seat.worker, worker, None
            if before is not None:
                self._dismiss(before)
            self._is_done_with(seat)
        self._settle()
        self._advance()
        self._end_roll()

    def leaves(self, worker: Worker) -> None:
        """A worker stops, though nobody here has told it to: it was sent a signal. The next one starts meanwhile."""
        seat = self.seats[worker.seat]
        if worker is not seat.worker or worker.state is not State.READY or self.is_stopping:
            return
        log.info("%s was told to stop, and is replaced", worker)
        self._part(worker)
        seat.worker, seat.heir = seat.heir, None
        self._is_done_with(seat)
        self.tick()

    def wants_to_go(self, worker: Worker, why: str) -> None:
        """A worker has reached a limit of its life."""
        seat = self.seats[worker.seat]
        if worker is not seat.worker or worker in self._worn or self.is_stopping:
            return
        log.info("%s is replaced: %s", worker, why)
        self._worn.add(worker)
        if worker.seat not in self._to_replace:
            self._to_replace.append(worker.seat)
            self._advance()

    def exited(self, worker: Worker, how: str) -> None:
        """A worker process has ended; `how` is told in the log."""
        seat = self.seats[worker.seat]
        self._worn.discard(worker)
        why = f"could not start: {worker.failure.text}{worker.failure.details}" if worker.failure else how
        if worker in self.leaving or self.is_stopping:
            self.leaving.discard(worker)
            self._forget(seat, worker)
            if worker.ready_at and how not in _AS_TOLD:
                log.error("%s, which was to end anyway, %s; what requests it still had are lost", worker, how)
            if self._follows:
                self.tick()
            return
        now = self._clock()
        if worker is seat.heir:
            seat.heir = None
            self._has_no_heir(seat, worker, why)
        elif worker is seat.worker:
            seat.worker = None
            seat.ended(worker, now)
            if worker.failure and not self._has_served:
                self._give_up(worker.failure)
                return
            seat.worker, seat.heir = seat.heir, None
            self._is_done_with(seat)  # the next one is a new one anyway
            self._tell_of_end(seat, worker, why)
        self.tick()

    def tick(self) -> None:
        """Do what is due."""
        now = self._clock()
        if self._may_hire:
            self._follows = False
            for seat in self.seats:
                if seat.is_wanted and seat.worker is None and seat.start_at <= now:
                    seat.worker = self._fill(seat)
            self._settle()
            self._advance()
        self._checks.look(tuple(self), now, self._kill_at)

    @property
    def _may_hire(self) -> bool:
        return not (self.is_stopping or self._is_suspended or (self._follows and self.leaving))

    def _fill(self, seat: Seat) -> Worker | None:
        """Start a process for a seat; None if the system lets it have none now: it is tried again."""
        try:
            return self._hire(seat.index)
        except OSError as error:
            seat.failures += 1
            seat.start_at = self._clock() + max(_FORK_PAUSE, seat.pause)
            log.error(
                "a worker can't be started: %s (raise the limits of processes, descriptors or memory); "
                "the next try is in %g s",
                error.strerror or error,
                seat.start_at - self._clock(),
            )
            return None

    # Replacing -------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Start the next replacement, if none starts already."""
        if self.is_stopping or any(seat.heir is not None for seat in self.seats):
            return
        for index in tuple(self._to_replace):
            seat = self.seats[index]
            if not seat.is_wanted or seat.worker is None:
                self._is_done_with(seat)
            elif seat.start_at <= self._clock():
                seat.heir = self._fill(seat)
                return

    def _settle(self) -> None:
        if self._adopts and not self.is_stopping:
            have_all_served(self.seats)

    def _is_done_with(self, seat: Seat) -> None:
        if seat.index in self._to_replace:
            self._to_replace.remove(seat.index)

    def _end_roll(self) -> None:
        if self._is_rolling and not self._to_replace and self.is_ready:
            self._is_rolling = False
            log.info(
                "reloaded: %s", "the worker is new" if self.size == 1 else f"all {self.size} workers are new"
            )
            self._rolled(True)

    def _has_no_heir(self, seat: Seat, heir: Worker, why: str) -> None:
        seat.ended(heir, self._clock())
        if not self._is_rolling:
            log.error(
                "%s, which was to replace another one, %s; that one goes on, and the next try is in %g s",
                heir,
                why,
                seat.pause,
            )
            return
        self._is_rolling = False
        left = len(self._to_replace)
        self._to_replace = deque(worn.seat for worn in self._worn if worn is self.seats[worn.seat].worker)
        log.error(
            "reload failed: %s %s. %s, and requests are served as before; mend it, then reload again (SIGHUP)",
            heir,
            why,
            "The workers of before go on" if left == self.size else f"{left} workers of before go on",
        )
        self._rolled(False)

    def _dismiss(self, worker: Worker, at_once: bool = False) -> None:
        """Have a worker end that is not needed any more."""
        if at_once:
            worker.kill_at = min(worker.kill_at, self._clock() + _HASTE)
        has_served = worker.state is State.READY
        self._part(worker)
        if has_served and at_once:
            worker.make_way()
        elif has_served:
            worker.retire()
        else:
            worker.stop(signal.SIGTERM)

    def _part(self, worker: Worker) -> None:
        worker.state = State.LEAVING
        worker.left_at = self._clock()
        self.leaving.add(worker)

    def _forget(self, seat: Seat, worker: Worker) -> None:
        if seat.worker is worker:
            seat.worker = None
        if seat.heir is worker:
            seat.heir = None

    def _give_up(self, failure: Failure) -> None:
        """No worker has ever served: the reason is the same for all, so the command ends with it."""
        if self.failure is None:
            self.failure = failure
            self.stop()

    def _tell_of_end(self, seat: Seat, worker: Worker, why: str) -> None:
        following = "another one starts" + (f" in {seat.pause:g} s" if seat.pause else " now")
        log.error("%s %s; only its own requests are lost, and %s", worker, why, following)
