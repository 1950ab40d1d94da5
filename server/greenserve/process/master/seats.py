"""Seat and Worker: a place for one worker, and a worker process as the crew sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

__all__ = ["Failure", "Seat", "State", "Worker"]

_LONGEST_PAUSE: Final = 30.0  # seconds between two starts of a worker that ends at once
_FIRST_PAUSE: Final = 1.0
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


class Worker(Protocol):
    """A worker process. Nothing switches."""

    seat: int
    state: State
    born: float  # by the crew's clock
    ready_at: float
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
    failures: int = 0  # in a row
    start_at: float = 0.0

    @property
    def is_served(self) -> bool:
        """Return True if its own worker accepts connections."""
        return self.worker is not None and self.worker.state is State.READY

    def ended(self, worker: Worker, now: float) -> None:
        """Note that its worker has ended by itself, and when the next one may start."""
        is_steady = worker.state is State.READY and now - worker.ready_at >= _STEADY
        self.failures = 0 if is_steady else self.failures + 1
        self.start_at = now + self.pause

    @property
    def pause(self) -> float:
        """Seconds before the next start: none at first, then ever more."""
        return 0.0 if self.failures < 2 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self.failures - 2))
