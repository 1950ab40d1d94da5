"""What the admin pages need of the process that watches the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from greenserve.errors import ServeError

__all__ = ["STATES", "Master", "NoAnswer", "Question", "Worker"]

# "routes" are the requests without their stacks, which cost most of it.
Question = Literal["requests", "routes", "threads"]
# Of a worker. "stuck": its hub has not turned for longer than the master thinks right.
STATES: Final = ("starting", "ready", "draining", "stuck")


class NoAnswer(ServeError):
    """A worker does not answer: its hub is held, or it has ended meanwhile."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that is alive."""

    number: int  # its place, which the next worker takes over; a pid would be a new series each time
    pid: int
    age: float  # seconds since its start
    state: str  # one of STATES
    row: Mapping[str, int]  # the values of its row: see greenserve.metrics.names


class Master(Protocol):
    """The process that watches the workers. All but ask() answer at once, whatever the workers do."""

    def workers(self) -> Sequence[Worker]:
        """Return the living workers by their number. Switches: never."""

    def totals(self) -> Mapping[str, int]:
        """Return the sums over all workers, dead ones included: see Totals. Switches: never."""

    def ask(self, number: int, question: Question, timeout: float) -> Any:
        """Have a worker call describe(server, question), and return what that returned.

        Raises NoAnswer after `timeout` seconds, and if there is no such worker. Switches: always.
        """

    def reload(self) -> str:
        """Begin what SIGHUP does, and return in one line what that is. ConfigError if it can't. Switches: may."""
