"""crew: how workers are replaced one after another, at a reload and when they have lived long enough."""

from __future__ import annotations

import logging
import signal

import pytest
from tests.server.process.crew.crews import FAILURE, Crewed

# Roll


def test_a_roll_replaces_one_after_another_and_each_only_when_the_new_one_is_ready(caplog):
    caplog.set_level(logging.INFO, "greenserve.error")
    crewed = Crewed(3)
    old = crewed.started()
    crewed.crew.roll()
    for index in range(3):
        assert crewed.new.seat == index
        assert len(crewed.hired) == 4 + index
        assert old[index].told == []
        assert crewed.crew.is_rolling
        crewed.crew.ready(crewed.new)
        assert old[index].told[0] == "retire"
    assert crewed.serving() == [4, 5, 6]
    assert not crewed.crew.is_rolling
    assert crewed.rolled == [True]
    assert "reloaded: all 3 workers are new" in caplog.text


@pytest.mark.parametrize("ready", [0, 1])
def test_a_new_worker_that_fails_ends_the_roll_and_the_others_serve_on(ready, caplog):
    crewed = Crewed(2)
    crewed.started()
    crewed.crew.roll()
    if ready:
        crewed.crew.ready(crewed.new)
    crewed.fails(crewed.new)
    assert crewed.serving() == ([3, 2] if ready else [1, 2])
    assert not crewed.crew.is_rolling
    assert crewed.rolled == [False]
    crewed.passes(60)
    assert len(crewed.hired) == 3 + ready
    start = "1 workers of before go on" if ready else "The workers of before go on"
    assert f"{FAILURE.text}{FAILURE.details}. {start}" in caplog.text
    assert "reload again (SIGHUP)" in caplog.text


def test_a_roll_can_be_tried_again_at_once_after_a_failure():
    crewed = Crewed(1)
    crewed.started()
    for _ in range(5):
        crewed.crew.roll()
        crewed.fails(crewed.new)
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    assert crewed.rolled == [False] * 5 + [True]
    assert crewed.serving() == [7]


def test_a_new_worker_that_never_gets_ready_is_killed_and_the_old_one_serves_on(caplog):
    crewed = Crewed(1)
    crewed.started()
    crewed.crew.roll()
    crewed.passes(119.75)
    assert crewed.new.told == []
    crewed.passes(0.25)
    assert crewed.new.told == ["abort"]
    assert "worker 2 is not ready after 120 s (worker_start_timeout)" in caplog.text
    crewed.passes(2)
    assert crewed.new.told[:2] == ["abort", "kill"]
    crewed.dies(crewed.new)
    assert crewed.serving() == [1]
    assert crewed.rolled == [False]


def test_a_second_roll_begins_again_with_what_has_changed_since():
    crewed = Crewed(2)
    old = crewed.started()
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    third, fourth = crewed.hired[2:]
    crewed.crew.roll()
    assert fourth.told == [f"stop {signal.SIGTERM}"]
    assert crewed.new.seat == 0
    crewed.crew.ready(fourth)  # said before it heard that it is not needed
    assert crewed.serving() == [3, 2]
    crewed.crew.ready(crewed.new)
    assert third.told == ["retire"]
    crewed.crew.ready(crewed.new)
    crewed.dies(fourth)
    assert crewed.serving() == [5, 6]
    assert [worker.told for worker in old] == [["retire"], ["retire"]]
    assert crewed.rolled == [True]


def test_a_roll_starts_seats_that_wait_after_failures_at_once_and_is_done_when_they_serve():
    crewed = Crewed(1)
    crewed.started()
    for _ in range(6):
        crewed.dies(crewed.new)
        crewed.passes(20)
    crewed.dies(crewed.new)
    before = len(crewed.hired)
    crewed.crew.roll()
    assert len(crewed.hired) == before + 1
    assert crewed.rolled == []
    crewed.crew.ready(crewed.new)
    assert crewed.rolled == [True]


# Recycling


def test_a_worker_that_has_lived_long_enough_is_replaced_like_in_a_roll(caplog):
    caplog.set_level(logging.INFO, "greenserve.error")
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.crew.wants_to_go(first, "it has served 5 requests (max_requests)")
    crewed.crew.wants_to_go(first, "again")
    assert "worker 1 is replaced: it has served 5 requests (max_requests)" in caplog.text
    assert len(crewed.hired) == 3
    assert first.told == []
    crewed.crew.ready(crewed.new)
    assert first.told == ["retire"]
    assert second.told == []
    assert crewed.rolled == []
    assert "again" not in caplog.text


def test_two_that_want_to_go_are_replaced_one_after_the_other():
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.crew.wants_to_go(first, "")
    crewed.crew.wants_to_go(second, "")
    assert len(crewed.hired) == 3
    crewed.crew.ready(crewed.new)
    assert len(crewed.hired) == 4
    crewed.crew.ready(crewed.new)
    assert crewed.serving() == [3, 4]


def test_when_its_replacement_fails_it_serves_on_and_the_next_tries_come_more_slowly(caplog):
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.crew.wants_to_go(old, "")
    for pause in (0, 1, 2, 4):
        before = len(crewed.hired)
        crewed.fails(crewed.new)
        assert f"that one goes on, and the next try is in {pause} s" in caplog.text
        crewed.passes(max(0, pause - 0.25))
        assert len(crewed.hired) == before + (pause == 0)
        crewed.passes(0.25 if pause else 0)
        assert len(crewed.hired) == before + 1
    crewed.crew.ready(crewed.new)
    assert old.told == ["retire"]


def test_a_roll_that_fails_does_not_forget_who_wanted_to_go():
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.crew.wants_to_go(second, "")
    crewed.crew.roll()
    heir = crewed.new
    assert heir.seat == 0
    crewed.fails(heir)
    assert crewed.rolled == [False]
    assert crewed.new is not heir
    assert crewed.new.seat == 1
    crewed.crew.ready(crewed.new)
    assert second.told[-1] == "retire"
    assert first.told == []
