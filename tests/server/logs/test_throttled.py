"""throttled: a line in a while, and how many there were meanwhile."""

from __future__ import annotations

import logging

import pytest

from greenserve.logs.throttled import Once, Throttle, ThrottledLog


def test_what_comes_too_soon_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    lines = ThrottledLog(lambda: now, logging.WARNING)
    for number in range(5):
        lines.log("no %d", number)
    now += 10.5
    lines.log("no %d", 5)
    now += 10.5
    lines.log("no %d", 6)
    assert caplog.messages == ["no 0", "no 5 (and 4 more)", "no 6"]


def test_its_level_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "greenserve.error"):
        ThrottledLog(lambda: 0.0, logging.INFO).log("here")
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_each_key_has_a_pause_of_its_own() -> None:
    now = 0.0
    throttle = Throttle(lambda: now, 60.0, 10)
    assert [throttle.admit(key) for key in "aabab"] == [0, None, 0, None, None]
    now = 60.0
    assert [throttle.admit(key) for key in "abab"] == [2, 1, None, None]


def test_no_more_keys_are_remembered_than_it_may() -> None:
    throttle = Throttle(lambda: 0.0, 60.0, 3)
    for number in range(10):
        assert throttle.admit(str(number)) == 0
        assert len(throttle._seen) <= 3


def test_once() -> None:
    once = Once(2)
    assert [once.admit(key) for key in "aababcab"] == [True, False, True, False, False, False, False, False]
