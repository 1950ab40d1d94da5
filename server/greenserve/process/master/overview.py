"""Overview: what the admin pages see of a master, and ask of it.

See greenserve.admin.Master. A worker's number is its row of the board: the next worker takes it over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from greenserve.admin.master import NoAnswer, Question, Worker
from greenserve.admin.questions import Questions
from greenserve.errors import ConfigError
from greenserve.metrics.totals import Totals
from greenserve.process.crew.seats import State
from greenserve.process.master.plan import Plan
from greenserve.process.master.worker_process import WorkerProcess
from greenserve_hub.unpatched import time

__all__ = ["Overview"]

_STUCK: Final = 2.0  # seconds of silence: four heartbeats
_HANDED: Final = 10_000  # workers of the program before have rows of another board
_NAMES: Final = {State.STARTING: "starting", State.READY: "ready", State.LEAVING: "draining"}


class Overview:
    """The living workers of one master, with their rows, and the sums."""

    def __init__(
        self,
        rows: Mapping[WorkerProcess, int | None],
        totals: Totals,
        plan: Callable[[], Plan],
        reload: Callable[[], object],
    ) -> None:
        """`plan()` is what is served now; `reload()` does what SIGHUP does, later."""
        self.questions = Questions()
        self._rows = rows
        self._totals = totals
        self._plan = plan
        self._reload = reload

    def workers(self) -> Sequence[Worker]:
        """See admin.Master."""
        now = time.monotonic()
        found = [
            Worker(_number(worker, row), worker.pid, now - worker.born, _state(worker), worker.row.values())
            for worker, row in self._rows.items()
        ]
        return sorted(found, key=lambda worker: worker.number)

    def totals(self) -> Mapping[str, int]:
        """See admin.Master."""
        return self._totals.sum([worker.row.values() for worker in self._rows])

    def ask(self, number: int, question: Question, timeout: float) -> Any:
        """See admin.Master."""
        for worker, row in self._rows.items():
            if _number(worker, row) == number:
                if worker.state is State.STARTING:
                    raise NoAnswer("it is starting: the app is not imported yet")
                return self.questions.ask(worker.channel.send, question, timeout)
        raise NoAnswer("there is no such worker any more")

    def reload(self) -> str:
        """See admin.Master."""
        plan = self._plan()
        if plan.preloaded and plan.command is None:
            raise ConfigError(
                "greenserve.run() got its app from a program, which only a new start can load again"
            )
        self._reload()
        if plan.preloaded:
            return "the next program is checked, and executed if it starts; the log tells how that ends"
        return "each worker is replaced when a new one is ready; the log tells how that ends"


def _number(worker: WorkerProcess, row: int | None) -> int:
    return _HANDED + worker.number if row is None else row


def _state(worker: WorkerProcess) -> str:
    return "stuck" if worker.silence() >= _STUCK else _NAMES[worker.state]
