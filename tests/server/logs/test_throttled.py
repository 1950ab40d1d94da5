"""complaints: a line in a while, and how many there were meanwhile."""

from __future__ import annotations

import logging

import pytest

from greenserve.logs.throttled import Complaints


def test_what_comes_too_soon_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    complaints = Complaints(lambda: now, logging.WARNING)
    for number in range(5):
        complaints.tell("no %d", number)
    now += 10.5
    complaints.tell("no %d", 5)
    now += 10.5
    complaints.tell("no %d", 6)
    assert caplog.messages == ["no 0", "no 5 (and 4 more)", "no 6"]


def test_its_level_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "greenserve.error"):
        Complaints(lambda: 0.0, logging.INFO).tell("here")
    assert [record.levelname for record in caplog.records] == ["INFO"]
