"""Questions and their answers, as messages between a master and its workers: the middle of Master.ask().

A master keeps one Questions for all its workers. What carries the messages, JSON objects, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from greenserve.admin.describing import describe
from greenserve.admin.master import NoAnswer, Question
from greenserve.net import Server
from greenserve_hub.loop.parking import TIMED_OUT, WaitQueue

__all__ = ["ANSWER", "QUESTION", "Questions", "answer_to"]

QUESTION: Final = "question"  # the key of a message that asks
ANSWER: Final = "answer"  # the key of a message that answers

Message = dict[str, Any]


class Questions:
    """The questions that wait for their answers."""

    def __init__(self) -> None:
        """None yet."""
        self._numbers = count(1)
        self._waiting: dict[int, WaitQueue] = {}

    def ask(self, send: Callable[[Message], object], question: Question, timeout: float) -> Any:
        """Send a worker a question, and return its answer. Raises NoAnswer after `timeout` s. Switches: always."""
        number = next(self._numbers)
        self._waiting[number] = waiter = WaitQueue()
        try:
            send({QUESTION: question, "number": number})
            answer = waiter.park("the answer to", question, timeout)
        finally:
            del self._waiting[number]
        if answer is TIMED_OUT:
            raise NoAnswer(f"its hub has not turned for {timeout:g} s, or the machine is busy")
        return answer

    def answered(self, message: Mapping[str, Any]) -> None:
        """A worker has sent a message with ANSWER. One that comes too late is dropped. Switches: never."""
        waiter = self._waiting.get(message["number"])
        if waiter is not None:
            waiter.wake_one(message[ANSWER])


def answer_to(server: Server, message: Mapping[str, Any]) -> Message:
    """Return a worker's answer to a message with QUESTION, on the worker's hub. Switches: never."""
    return {ANSWER: describe(server, message[QUESTION]), "number": message["number"]}
