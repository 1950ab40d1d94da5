"""crew: which worker is started, replaced, killed and replaced again, without a process and on a clock of the test."""

from __future__ import annotations

import logging
import signal

from tests.server.process.crew.crews import FAILURE, LIMITS, Crewed, FakeWorker

from greenserve.process.crew.checks import Limits
from greenserve.process.crew.seats import State

# Start


def test_each_seat_gets_a_worker_and_is_served_when_that_is_ready():
    crewed = Crewed(3)
    crewed.crew.start()
    assert [worker.seat for worker in crewed.hired] == [0, 1, 2]
    assert not crewed.crew.is_ready
    for worker in crewed.hired:
        crewed.crew.ready(worker)
    assert crewed.crew.is_ready
    assert crewed.serving() == [1, 2, 3]
    assert [worker.told for worker in crewed.hired] == [[], [], []]


def test_the_first_failure_to_start_ends_all_with_its_reason():
    crewed = Crewed(2)
    crewed.crew.start()
    crewed.fails(crewed.hired[0])
    assert crewed.crew.failure is FAILURE
    assert crewed.hired[1].told == [f"stop {signal.SIGTERM}"]
    assert not crewed.crew.is_over
    crewed.fails(crewed.hired[1])
    assert crewed.crew.is_over
    assert len(crewed.hired) == 2


def test_a_failure_after_another_worker_has_served_gives_up_nothing():
    crewed = Crewed(2)
    crewed.crew.start()
    crewed.crew.ready(crewed.hired[0])
    crewed.fails(crewed.hired[1])
    assert crewed.crew.failure is None
    assert len(crewed.hired) == 3


def test_a_worker_that_ends_before_it_is_ready_for_no_reason_of_its_own_is_started_again():
    crewed = Crewed(1)
    crewed.crew.start()
    crewed.dies(crewed.new)
    assert len(crewed.hired) == 2
    assert crewed.crew.failure is None


# Ends


def test_after_an_end_the_next_starts_at_once_then_after_1_2_4_up_to_30_seconds():
    crewed = Crewed(1)
    crewed.started()
    for pause in (0, 1, 2, 4, 8, 16, 30, 30):
        before = len(crewed.hired)
        crewed.dies(crewed.new)
        if pause:
            crewed.passes(pause - 0.25)
            assert len(crewed.hired) == before
            crewed.passes(0.25)
        assert len(crewed.hired) == before + 1


def test_a_minute_of_service_makes_the_next_end_the_first_one():
    crewed = Crewed(1)
    crewed.started()
    for _ in range(3):
        crewed.dies(crewed.new)
        crewed.passes(2)
    crewed.crew.ready(crewed.new)
    crewed.passes(60)
    before = len(crewed.hired)
    crewed.dies(crewed.new)
    assert len(crewed.hired) == before + 1


def test_workers_that_die_soon_after_they_were_ready_are_replaced_within_a_second():
    crewed = Crewed(1)
    crewed.started()
    for pause in (0, 1, 1, 1, 1):
        before = len(crewed.hired)
        crewed.dies(crewed.new)
        crewed.passes(pause)
        assert len(crewed.hired) == before + 1
        crewed.crew.ready(crewed.new)
        crewed.passes(1)


def test_the_log_names_the_worker_the_reason_and_the_next_start(caplog):
    crewed = Crewed(1)
    crewed.started()
    crewed.dies(crewed.new)
    assert (
        "worker 1 was killed by SIGKILL; only its own requests are lost, and another one starts now"
        in caplog.text
    )
    crewed.fails(crewed.new)
    assert f"worker 2 could not start: {FAILURE.text}{FAILURE.details}" in caplog.text
    assert "another one starts in 1 s" in caplog.text


def test_an_end_during_a_roll_puts_the_new_worker_in_its_place():
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.crew.roll()
    heir = crewed.new
    crewed.dies(old)
    assert crewed.crew.seats[0].worker is heir
    assert len(crewed.hired) == 2
    crewed.crew.ready(heir)
    assert crewed.rolled == [True]


def test_a_refused_fork_is_tried_again_a_second_later(caplog):
    crewed = Crewed(1)
    crewed.refuses = True
    crewed.crew.start()
    assert "a worker can't be started: Resource temporarily unavailable" in caplog.text
    crewed.refuses = False
    crewed.passes(0.75)
    assert crewed.hired == []
    crewed.passes(0.25)
    assert len(crewed.hired) == 1


def test_a_refused_fork_during_a_roll_only_delays_it():
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.refuses = True
    crewed.crew.roll()
    assert crewed.serving() == [1]
    assert crewed.crew.is_rolling
    crewed.refuses = False
    crewed.passes(1)
    crewed.crew.ready(crewed.new)
    assert crewed.serving() == [2]
    assert old.told == ["retire"]


def test_a_worker_that_was_told_to_stop_by_others_is_replaced_while_it_drains(caplog):
    caplog.set_level(logging.INFO, "greenserve.error")
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.crew.leaves(first)
    assert "worker 1 was told to stop, and is replaced" in caplog.text
    assert crewed.new.seat == 0
    assert second.told == ["adopt 0"]
    crewed.crew.ready(crewed.new)
    assert second.told == ["adopt 0", "leave 0"]
    crewed.dies(first, "ended with exit code 0")
    assert first.told == []
    assert len(crewed.hired) == 3
    assert "ended with" not in caplog.text


def test_a_worker_that_leaves_as_it_was_told_to_is_not_replaced_twice():
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    crewed.crew.leaves(old)
    assert len(crewed.hired) == 2


def test_a_worker_that_is_killed_while_it_drains_is_named_too(caplog):
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    crewed.dies(old)
    assert "worker 1, which was to end anyway, was killed by SIGKILL" in caplog.text
    crewed.crew.stop()
    caplog.clear()
    crewed.dies(crewed.new, "ended with exit code 0")
    assert caplog.text == ""


# Size


def test_more_workers():
    crewed = Crewed(1)
    crewed.started()
    crewed.crew.resize(3)
    assert [worker.seat for worker in crewed.hired] == [0, 1, 2]
    assert crewed.crew.size == 3


def test_fewer_workers_retire_and_others_take_what_comes_to_their_sockets():
    crewed = Crewed(3)
    first, second, third = crewed.started()
    crewed.crew.resize(1)
    assert second.told == third.told == ["retire"]
    assert first.told == ["adopt 1", "adopt 2"]
    crewed.dies(second)
    crewed.dies(third)
    crewed.passes(60)
    assert len(crewed.hired) == 3
    crewed.crew.resize(2)
    crewed.crew.ready(crewed.new)
    assert crewed.new.seat == 1
    assert first.told == ["adopt 1", "adopt 2", "leave 1"]


def test_fewer_workers_during_a_roll():
    crewed = Crewed(3)
    old = crewed.started()
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    heir = crewed.new
    crewed.crew.resize(1)
    assert heir.told == [f"stop {signal.SIGTERM}"]
    assert [worker.told for worker in old] == [["retire"]] * 3
    assert crewed.rolled == [True]
    assert crewed.serving() == [4]


def test_more_workers_during_a_roll_are_new_ones():
    crewed = Crewed(1)
    crewed.started()
    crewed.crew.roll()
    crewed.crew.resize(2)
    for worker in crewed.hired[1:]:
        crewed.crew.ready(worker)
    assert crewed.serving() == [2, 3]
    assert crewed.rolled == [True]
    assert len(crewed.hired) == 3


# Stop


def test_a_stop_is_told_to_all_and_nobody_is_started_any_more():
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.crew.stop(signal.SIGINT)
    assert first.told == second.told == [f"stop {signal.SIGINT}"]
    crewed.dies(first, "ended with exit code 0")
    crewed.crew.roll()
    crewed.crew.resize(5)
    crewed.crew.wants_to_go(second, "")
    crewed.crew.leaves(second)
    crewed.passes(5)
    assert not crewed.crew.is_over
    crewed.dies(second, "ended with exit code 0")
    assert crewed.crew.is_over
    assert len(crewed.hired) == 2


def test_a_stop_lets_those_that_are_retired_already_finish_their_requests():
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    crewed.crew.stop()
    assert old.told == ["retire"]
    assert crewed.new.told == [f"stop {signal.SIGTERM}"]
    crewed.crew.stop()
    assert old.told == ["retire", "hurry"]


def test_what_is_left_after_graceful_timeout_is_killed():
    crewed = Crewed(1)
    (worker,) = crewed.started()
    crewed.crew.stop()
    crewed.passes(LIMITS.graceful_timeout + 4.75)
    assert "kill" not in worker.told
    crewed.passes(0.25)
    assert "kill" in worker.told


def test_a_second_stop_hurries_all_and_kills_soon():
    crewed = Crewed(1)
    (worker,) = crewed.started()
    crewed.crew.stop()
    crewed.crew.stop()
    assert worker.told == [f"stop {signal.SIGTERM}", "hurry"]
    crewed.passes(2.75)
    assert worker.told[-1] == "hurry"
    crewed.passes(0.25)
    assert worker.told[-1] == "kill"


def test_a_worker_that_gets_ready_while_all_stop_stays_told_to():
    crewed = Crewed(1)
    crewed.crew.start()
    crewed.crew.stop()
    crewed.crew.ready(crewed.new)
    assert crewed.new.state is State.STARTING
    crewed.dies(crewed.new)
    assert crewed.crew.is_over


# Those that stand still


def test_a_worker_whose_hub_does_not_run_logs_its_stacks_and_is_killed(caplog):
    crewed = Crewed(1)
    (worker,) = crewed.started()
    worker.is_silent_for = 29.9
    crewed.crew.tick()
    assert worker.told == []
    worker.is_silent_for = 30.0
    crewed.crew.tick()
    assert worker.told == ["abort"]
    assert "worker 1 is killed: its hub has not run for 30 s (worker_timeout)" in caplog.text
    crewed.passes(1.75)
    assert worker.told == ["abort"]
    crewed.passes(0.25)
    assert worker.told == ["abort", "kill"]
    crewed.dies(worker)
    assert len(crewed.hired) == 2


def test_without_timeouts_nobody_is_killed():
    crewed = Crewed(1, Limits(0, 0, 10))
    crewed.crew.start()
    crewed.passes(500)
    crewed.crew.ready(crewed.new)
    crewed.new.is_silent_for = 500
    crewed.passes(5)
    assert crewed.new.told == []


def test_a_retired_worker_that_never_ends_is_killed(caplog):
    crewed = Crewed(1)
    (old,) = crewed.started()
    crewed.crew.roll()
    crewed.crew.ready(crewed.new)
    crewed.passes(LIMITS.graceful_timeout + 4.75)
    assert old.told == ["retire"]
    crewed.passes(2.25)
    assert old.told == ["retire", "abort", "kill"]
    assert "worker 1 does not end in time (graceful_timeout)" in caplog.text


def test_after_all_processes_were_suspended_workers_have_time_to_be_heard_of():
    crewed = Crewed(1)
    (worker,) = crewed.started()
    crewed.passes(1)
    crewed.now += 3600
    worker.is_silent_for = 3600
    crewed.crew.tick()
    crewed.passes(4.75)
    assert worker.told == []
    crewed.passes(0.25)
    assert worker.told == ["abort"]


# Sockets of seats that nobody serves


def test_a_seat_whose_worker_has_died_is_served_by_another_one_until_the_next_is_ready():
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.dies(first)
    assert second.told == ["adopt 0"]
    crewed.passes(1)
    assert second.told == ["adopt 0"]
    crewed.crew.ready(crewed.new)
    assert second.told == ["adopt 0", "leave 0"]


def test_several_seats_are_adopted_by_different_workers():
    crewed = Crewed(4)
    workers = crewed.started()
    crewed.dies(workers[0])
    crewed.dies(workers[1])
    assert [worker.told for worker in workers[2:]] == [["adopt 0"], ["adopt 1"]]


def test_when_the_adopter_dies_or_retires_another_one_adopts():
    crewed = Crewed(3)
    first, second, third = crewed.started()
    crewed.dies(first)
    (adopter,) = (worker for worker in (second, third) if worker.told)
    other = third if adopter is second else second
    crewed.dies(adopter)
    assert f"adopt {0}" in other.told
    crewed.crew.leaves(other)
    crewed.crew.ready(crewed.hired[3])
    crewed.passes(1)
    assert "adopt 2" in crewed.hired[3].told or "adopt 1" in crewed.hired[3].told


def test_a_seat_that_has_never_served_is_not_adopted_before_it_fails():
    crewed = Crewed(2)
    crewed.crew.start()
    first, second = crewed.hired
    crewed.crew.ready(first)
    assert first.told == []
    crewed.dies(second)
    assert first.told == ["adopt 1"]


def test_clients_of_a_worker_that_stands_still_are_served_by_another_one_meanwhile():
    crewed = Crewed(2)
    first, second = crewed.started()
    first.is_silent_for = 2.0
    crewed.crew.tick()
    assert second.told == ["adopt 0"]
    first.is_silent_for = 0.3
    crewed.crew.tick()
    assert second.told == ["adopt 0", "leave 0"]


def test_an_adopter_that_stands_still_itself_is_told_to_leave_when_another_one_takes_over():
    crewed = Crewed(3)
    first, second, third = crewed.started()
    crewed.dies(first)
    adopter, other = (second, third) if second.told else (third, second)
    adopter.is_silent_for = 5.0
    crewed.crew.tick()
    assert adopter.told == ["adopt 0", "leave 0"]
    assert "adopt 0" in other.told


def test_with_shared_sockets_nobody_adopts():
    crewed = Crewed(2, adopts=False)
    first, second = crewed.started()
    crewed.dies(first)
    second.is_silent_for = 5
    crewed.passes(1)
    assert second.told == []


def test_one_that_leaves_a_seat_which_the_next_program_does_not_have():
    """After SIGTTIN, SIGTTOU and SIGUSR2: its end is heard of, and a stop waits for it."""
    crewed = Crewed(2)
    crewed.crew.take_over(leaving := FakeWorker(7, 2, 900.0), is_leaving=True)
    crewed.started()
    assert crewed.crew.size == 2
    crewed.crew.stop()
    for worker in crewed.hired:
        crewed.dies(worker, "ended with exit code 0")
    assert not crewed.crew.is_over
    crewed.dies(leaving, "ended with exit code 0")
    assert crewed.crew.is_over


def test_others_accept_for_a_seat_that_is_new():
    """Its socket listens from the first moment on."""
    crewed = Crewed(2)
    first, second = crewed.started()
    crewed.crew.resize(3)
    assert first.told + second.told == ["adopt 2"]
    crewed.crew.ready(crewed.new)
    assert first.told + second.told == ["adopt 2", "leave 2"]


def test_a_reload_to_fewer_workers_takes_none_away_before_it_has_succeeded():
    crewed = Crewed(3)
    before = crewed.started()
    crewed.crew.roll(1)
    crewed.fails(crewed.new)
    assert crewed.rolled == [False]
    assert [worker.told for worker in before] == [[], [], []]
    crewed.crew.roll(1)
    crewed.crew.ready(crewed.new)
    assert crewed.rolled == [False, True]
    assert [worker.told for worker in before] == [["retire"], [], []]
