"""questions: each answer reaches the question that it belongs to, and none waits for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.apps import path
from tests.support.servers.running import in_one_hub

from greenserve import sleep, spawn
from greenserve.admin import NoAnswer
from greenserve.admin.questions import Questions, answer_to
from greenserve_hub.testing import fake_clock


def test_answers_in_another_order():
    with fake_clock():
        questions = Questions()
        sent: list[Any] = []
        first = spawn(questions.ask, sent.append, "requests", 1)
        second = spawn(questions.ask, sent.append, "threads", 1)
        sleep(0.1)
        assert [one["question"] for one in sent] == ["requests", "threads"]
        for message, answer in zip(reversed(sent), ["b", "a"], strict=True):
            questions.answered({"answer": answer, "number": message["number"]})
        assert (first.wait(), second.wait()) == ("a", "b")


def test_one_that_is_not_answered_and_an_answer_that_comes_too_late():
    with fake_clock() as clock:
        questions = Questions()
        sent: list[Any] = []
        before = clock.now
        with pytest.raises(NoAnswer, match="has not turned for 1 s"):
            questions.ask(sent.append, "requests", 1)
        assert clock.now - before == pytest.approx(1)
        questions.answered({"answer": "late", "number": sent[0]["number"]})
        assert not questions._waiting


def test_a_server_answers_what_it_is_asked(tmp_path: Path):
    with in_one_hub(path, tmp_path) as (server, _):
        answer = answer_to(server, {"question": "requests", "number": 7})
        assert json.loads(json.dumps(answer)) == {"answer": {"count": 0, "requests": []}, "number": 7}
