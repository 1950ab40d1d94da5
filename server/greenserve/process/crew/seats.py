"""Seat and Worker: a place for one worker, and a worker process as the crew sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from greenserve.errors import RETRY, AppImportError, ConfigError

__all__ = ["Failure", "Seat", "State", "Worker", "count_of", "have_all_served"]

_LONGEST_PAUSE: Final = 30.0  # seconds between two starts of a worker that ends at once
_FIRST_PAUSE: Final = 1.0
_STANDS_STILL: Final = 2.0  # seconds without a heartbeat after which another worker accepts for this one
_STEADY: Final = 60.0  # seconds of service after which an end is no failed start


class State(Enum):
    """The life of a worker."""

    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker could not start: the error's text, the exit code of the command for it, and the app's traceback."""

    text: str
    code: int
    details: str

    def error(self) -> ConfigError:
        """Return the error that the worker has met, for the command."""
        may_pass = self.code == RETRY
        if self.code == AppImportError.exit_code or self.details:
            return AppImportError(self.text, self.details, may_pass=may_pass)
        return ConfigError(self.text, may_pass=may_pass)


class Worker(Protocol):
    """A worker process. Nothing switches."""

    seat: int
    state: State
    born: float  # by the crew's clock
    ready_at: float
    left_at: float
    failure: Failure | None
    kill_at: float  # the moment for SIGKILL

    def __str__(self) -> str:
        """`worker 2 (process 4711)`."""

    def silence(self) -> float:
        """Return the seconds since its hub last ran."""

    def retire(self) -> None:
        """Have it drain and end: another one is in its place."""

    def make_way(self) -> None:
        """Have it end soon, with little time for what runs: its code has changed."""

    def hurry(self) -> None:
        """Have it end what still runs."""

    def stop(self, number: int) -> None:
        """Stop it, as SIGTERM or SIGINT does."""

    def abort(self) -> None:
        """Have it log the stacks of its OS threads and end, whatever it does."""

    def kill(self) -> None:
        """Send SIGKILL."""

    def adopt(self, seat: int) -> None:
        """Have it accept from another seat's sockets too, until leave()."""

    def leave(self, seat: int) -> None:
        """Have it accept from its own sockets again."""


@dataclass(slots=True)
class Seat:
    """A place for one worker: with sockets of its own, which the master keeps while the server lives."""

    index: int
    worker: Worker | None = None  # serves, or is the first that will
    heir: Worker | None = None  # starts in its place
    adopter: Worker | None = None  # accepts for it
    is_wanted: bool = True  # False after SIGTTOU
    has_served: bool = False
    is_late: bool = False  # added while others serve: the kernel gives its sockets connections already
    failures: int = 0  # in a row
    start_at: float = 0.0

    @property
    def is_served(self) -> bool:
        """Return True if its own worker accepts connections."""
        return self.worker is not None and self.worker.state is State.READY

    def ended(self, worker: Worker, now: float) -> None:
        """Note that its worker has ended by itself, and when the next one may start."""
        self.failures += 1
        if (
            worker.state is State.READY
        ):  # it can start: a request that kills workers must not keep the seat empty
            self.failures = 0 if now - worker.ready_at >= _STEADY else min(self.failures, 2)
        self.start_at = now + self.pause

    @property
    def pause(self) -> float:
        """Seconds before the next start: none at first, then ever more while none gets ready."""
        return 0.0 if self.failures < 2 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self.failures - 2))


def have_all_served(seats: Sequence[Seat]) -> None:
    """Have clients of a seat whose worker is gone, or stands still, served by another worker meanwhile."""
    able = [seat.worker for seat in seats if seat.worker is not None and _is_served_now(seat)]
    for seat in seats:
        needs = not _is_served_now(seat) and (seat.has_served or seat.is_late or seat.failures > 0)
        if seat.adopter is not None and (not needs or seat.adopter not in able):
            if seat.adopter.state is not State.LEAVING:  # one that stands still hears it later
                seat.adopter.leave(seat.index)
            seat.adopter = None
        if needs and seat.adopter is None and able:
            seat.adopter = able[seat.index % len(able)]
            seat.adopter.adopt(seat.index)


def _is_served_now(seat: Seat) -> bool:
    return seat.is_served and seat.worker is not None and seat.worker.silence() < _STANDS_STILL


def count_of(workers: int) -> str:
    """Return "1 worker" or "4 workers"."""
    return "1 worker" if workers == 1 else f"{workers} workers"
