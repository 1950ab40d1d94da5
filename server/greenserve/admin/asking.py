"""Asking: asks all workers at once what they do, and says of those that don't answer that they don't.

The invariant: however many ask, a worker is asked the same question at most once a second, and nobody waits longer
than _PATIENCE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenserve.admin.master import Master, NoAnswer, Question, Worker
from greenserve_hub.greenthreads.greenthreads import GreenThread, spawn
from greenserve_hub.unpatched import time

__all__ = ["Asking"]

_PATIENCE: Final = 1.0  # seconds
_FRESH: Final = 1.0  # seconds for which an answer is given again


class Asking:
    """The questions to the workers of one master."""

    def __init__(self, master: Master) -> None:
        """Nobody was asked yet."""
        self._master = master
        self._under_way: dict[Question, tuple[float, GreenThread[dict[str, Any]]]] = {}

    def ask(self, question: Question) -> dict[str, Any]:
        """Return `workers`, one object each: its answer, or `error`. Switches: always, for a second at most."""
        began, green = self._under_way.get(question, (-1e9, None))
        now = time.monotonic()
        if green is None or now - began > _PATIENCE + _FRESH or (green.dead and now - began > _FRESH):
            green = spawn(self._ask_all, question)
            self._under_way[question] = now, green
        found: dict[str, Any] = green.wait()
        return found

    def _ask_all(self, question: Question) -> dict[str, Any]:
        asked = [(one, spawn(self._ask_one, one, question)) for one in self._master.workers()]
        return {"workers": [_shown(worker, green.wait()) for worker, green in asked]}

    def _ask_one(self, worker: Worker, question: Question) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = self._master.ask(worker.number, question, _PATIENCE)
        except NoAnswer as error:
            return {"error": f"does not answer: {error}"}
        return answer


def _shown(worker: Worker, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"number": worker.number, "pid": worker.pid, "state": worker.state, **answer}
