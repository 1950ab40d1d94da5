from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest
from tests.support.times import PATIENCE

from greenserve_hub.errors import Deadlock, HubError
from greenserve_hub.greenthreads.greenthreads import GreenletExit, kill, sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event
from greenserve_hub.sync.queues import Queue
from greenserve_hub.testing import FakeClock, fake_clock, wait_all_blocked

# The fake clock -------------------------------------------------------------------------------------------


def test_an_hour_passes_in_no_time_and_in_order():
    began = time.monotonic()
    log = []

    def work(seconds: float) -> None:
        sleep(seconds)
        log.append((seconds, clock()))

    with fake_clock(0) as clock:
        greens = [spawn(work, seconds) for seconds in (3600, 60, 0.5)]
        for green in greens:
            green.wait()
        assert clock() == 3600
    assert log == [(0.5, 0.5), (60, 60), (3600, 3600)]
    assert time.monotonic() - began < PATIENCE


def test_time_stands_still_while_anybody_has_something_to_do(clock):
    began = clock()
    timer = spawn(sleep, 1)
    for _ in range(100):
        sleep()
    assert clock() == began
    timer.wait()
    assert clock() == began + 1


def test_timeouts_are_in_the_hubs_time(clock):
    with pytest.raises(Timeout), Timeout(1000):
        sleep(2000)


def test_advance(clock):
    log = []
    spawn(lambda: (sleep(5), log.append(clock())))
    sleep()
    clock.advance(7)
    assert log == []
    sleep()
    sleep()
    assert log == [1007]
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_a_socket_that_is_ready_comes_before_a_jump(clock):
    ends = socket.socketpair()
    descriptor = get_hub().open_descriptor(ends[0].fileno())
    wait_all_blocked()
    event = Event()
    descriptor.on_readable(event.send)
    ends[1].send(b"x")
    began = clock()
    event.wait(1000)
    assert event.ready()
    assert clock() == began
    descriptor.close()
    for end in ends:
        end.close()


def test_without_a_deadline_it_waits_for_the_world_outside(clock):
    hub, event = get_hub(), Event()
    with hub.expecting_calls():
        threading.Timer(0.02, hub.call_from_thread, (event.send, 1)).start()
        assert event.wait() == 1


def test_a_deadlock_is_one_on_a_fake_clock_too(clock):
    with pytest.raises(Deadlock):
        Event().wait()


def test_at_the_end_the_old_hub_is_back_and_who_waits_is_killed():
    mine, ended = get_hub(), []

    def work() -> None:
        try:
            sleep(10)
        except GreenletExit:
            sleep(10)  # even in its last words
        finally:
            ended.append("killed")

    with fake_clock():
        hub = get_hub()
        assert hub is not mine
        green = spawn(work)
        sleep()
    assert get_hub() is mine
    assert ended == ["killed"]
    assert green.dead
    assert hub.closed
    assert not hub.parked
    sleep()


def test_the_old_hub_is_back_after_an_error():
    mine = get_hub()
    with pytest.raises(KeyError), fake_clock():
        raise KeyError
    assert get_hub() is mine


def test_begins_in_the_main_greenlet_only():
    def work() -> None:
        with fake_clock():
            pass

    with pytest.raises(HubError, match="main greenlet"):
        spawn(work).wait()


def test_a_clock_stands_where_it_is_put():
    clock = FakeClock(5)
    assert clock() == 5
    clock.advance(0.5)
    assert clock() == 5.5


# wait_all_blocked -----------------------------------------------------------------------------------------


@pytest.fixture(params=["real", "fake"])
def any_clock(request: pytest.FixtureRequest):
    return request.getfixturevalue("clock") if request.param == "fake" else get_hub().clock


def test_waits_until_all_others_wait(any_clock):
    log = []

    def work() -> None:
        for step in range(10):
            sleep()
            log.append(step)
        Event().wait()

    green = spawn(work)
    wait_all_blocked()
    assert log == list(range(10))
    wait_all_blocked()
    kill(green)


def test_with_nobody_else_it_returns(any_clock):
    wait_all_blocked()


def test_follows_a_chain_of_wakes(any_clock):
    queues = [Queue() for _ in range(20)]
    for source, target in itertools.pairwise(queues):
        spawn(lambda source=source, target=target: target.put(source.get()))
    wait_all_blocked()
    queues[0].put("item")
    wait_all_blocked()
    assert queues[-1].get_nowait() == "item"


def test_one_that_sleeps_is_blocked(any_clock):
    green = spawn(sleep, 1000)
    began = any_clock()
    wait_all_blocked()
    assert any_clock() - began < 1
    assert green
    kill(green)


def test_a_deadline_that_is_due_comes_first(any_clock):
    log = []
    get_hub().call_after(0, log.append, "due")
    wait_all_blocked()
    assert log == ["due"]


def test_what_a_socket_has_comes_first(any_clock):
    hub, log = get_hub(), []
    ends = socket.socketpair()
    ends[0].setblocking(False)
    descriptor = hub.open_descriptor(ends[0].fileno())
    wait_all_blocked()  # the edges of a fresh registration

    def work() -> None:
        for _ in range(3):
            event = Event()
            descriptor.on_readable(event.send)
            event.wait()
            log.append(ends[0].recv(1))

    green = spawn(work)
    for number in range(3):
        wait_all_blocked()
        assert len(log) == number
        ends[1].send(b"x")
    wait_all_blocked()
    assert green.dead
    descriptor.close()
    for end in ends:
        end.close()


def test_what_comes_of_a_deadline_that_is_due_comes_first(any_clock):
    log = []
    get_hub().call_after(0, spawn, lambda: (sleep(), sleep(), log.append("done")))
    wait_all_blocked()
    assert log == ["done"]


def test_what_is_due_because_a_green_thread_moved_the_clock_comes_first(clock):
    green = spawn(sleep, 5)
    wait_all_blocked()
    spawn(clock.advance, 10)
    wait_all_blocked()
    assert green.dead


def test_what_a_green_thread_sends_in_its_last_step_comes_first(any_clock):
    hub, log = get_hub(), []
    ends = socket.socketpair()
    descriptor = hub.open_descriptor(ends[0].fileno())
    wait_all_blocked()
    descriptor.on_readable(lambda: log.append(ends[0].recv(1)))
    spawn(lambda: (sleep(), ends[1].send(b"x")))
    wait_all_blocked()
    assert log == [b"x"]
    descriptor.close()
    for end in ends:
        end.close()


def test_several_may_wait_for_it(any_clock):
    log = []

    def work(name: str) -> None:
        wait_all_blocked()
        log.append(name)

    for name in "ab":
        spawn(work, name)
    spawn(sleep)
    wait_all_blocked()
    sleep()
    assert sorted(log) == ["a", "b"]


def test_one_that_is_killed_while_it_waits_for_it(any_clock):
    green = spawn(wait_all_blocked)
    sleep()
    kill(green)
    wait_all_blocked()
    assert green.dead


def test_the_example_of_the_docstring():
    log = []

    def poll_every_minute() -> None:
        while True:
            sleep(60)
            log.append(clock())

    with fake_clock() as clock:
        green = spawn(poll_every_minute)
        sleep(3600)
        assert clock() == 1000 + 3600
        green.kill()
    assert log[:2] == [1060, 1120]
    assert len(log) in (59, 60)
