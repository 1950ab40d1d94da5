from __future__ import annotations

import pytest

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn, spawn_n
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue


def test_waits_until_woken_and_gets_the_value():
    waiter = Waiter(get_hub(), "test")
    get_hub().call_soon(waiter.wake, 42)
    assert waiter.park() == 42


def test_waking_does_not_switch():
    order = []
    waiter = Waiter(get_hub(), "test")

    def wake() -> None:
        waiter.wake()
        order.append("waker")

    spawn_n(wake)
    waiter.park()
    order.append("woken")
    assert order == ["waker", "woken"]


def test_woken_before_it_waits_it_still_gives_way_for_a_turn():
    order = []
    spawn_n(order.append, "other")
    waiter = Waiter(get_hub(), "test")
    waiter.wake("early")
    assert waiter.park() == "early"
    assert order == ["other"]


def test_only_the_first_wake_counts():
    waiter = Waiter(get_hub(), "test")
    waiter.wake(1)
    waiter.wake(2)
    assert waiter.park() == 1


def test_timed_out(clock):
    began = clock()
    assert Waiter(get_hub(), "test").park(5) is TIMED_OUT
    assert clock() - began == 5
    assert repr(TIMED_OUT) == "TIMED_OUT"


def test_woken_in_time_leaves_no_deadline(clock):
    hub = get_hub()
    waiter = Waiter(hub, "test")
    hub.call_after(1, waiter.wake, "in time")
    assert waiter.park(5) == "in time"
    assert len(hub.deadlines) == 0


def test_cannot_wait_inside_the_hub(errors):
    get_hub().call_soon(Waiter(get_hub(), "read", "fd 3").park)
    sleep()
    assert [str(error) for error in errors] == [
        "read fd 3 would wait inside the hub: spawn a green thread for it"
    ]
    assert isinstance(errors.pop(), HubError)


def test_a_dump_says_who_waits_for_what():
    green = spawn(Waiter(get_hub(), "read", "fd 12").park)
    sleep()
    assert repr(get_hub().parked[green]) == "read fd 12"
    assert repr(Waiter(get_hub(), "its turn")) == "its turn"
    green.kill()
    assert not get_hub().parked


def _woken_now(waiter: Waiter, order: list[object], value: object = None) -> None:
    """What a callback of the hub does."""
    order.append(waiter.wake_now(value))


def test_wake_now_lets_it_go_on_before_it_returns():
    order: list[object] = []
    waiter = Waiter(get_hub(), "test")
    get_hub().call_soon(_woken_now, waiter, order, "value")
    order.append(waiter.park())
    assert order == ["value"]
    sleep()
    assert order == ["value", True]


def test_wake_now_comes_back_when_the_woken_one_waits_again():
    order: list[object] = []
    first, second = Waiter(get_hub(), "first"), Waiter(get_hub(), "second")

    def green() -> None:
        order.append(first.park())
        order.append(second.park())

    thread = spawn(green)
    sleep()
    get_hub().call_soon(_woken_now, first, order, 1)
    get_hub().call_soon(_woken_now, second, order, 2)
    thread.wait()
    assert order == [1, True, 2, True]


def test_wake_now_does_nothing_to_one_that_is_on_its_way():
    order: list[object] = []
    waiter = Waiter(get_hub(), "test")
    waiter.wake("first")
    get_hub().call_soon(_woken_now, waiter, order, "second")
    assert (waiter.park(), order) == ("first", [])
    sleep()
    assert order == [False]


def test_wake_now_does_nothing_to_one_that_does_not_wait(clock):
    order: list[object] = []
    waiter = Waiter(get_hub(), "test")
    _woken_now(waiter, order)
    assert waiter.park(1) is TIMED_OUT
    _woken_now(waiter, order)
    outrun = Waiter(get_hub(), "test")
    green = spawn(outrun.park)
    sleep()
    green.kill()
    _woken_now(outrun, order)
    assert order == [False, False, False]


def test_an_error_of_the_one_that_was_woken_is_the_hubs_to_tell(errors):
    order: list[object] = []
    waiter = Waiter(get_hub(), "test")

    def green() -> None:
        waiter.park()
        raise LookupError("after it was woken")

    spawn_n(green)
    sleep()
    get_hub().call_soon(_woken_now, waiter, order)
    sleep()
    assert order == [True]  # the callback goes on
    assert [type(error) for error in errors] == [LookupError]
    errors.clear()


def test_a_wrong_timeout_leaves_nothing_behind():
    with pytest.raises(TypeError):
        Waiter(get_hub(), "test").park("soon")
    queue = WaitQueue()
    with pytest.raises(TypeError):
        queue.park("test", timeout="soon")
    assert not get_hub().parked
    assert len(queue) == 0


def waiting(queue: WaitQueue, log: list, *names: object, timeout: float | None = None, undo=None) -> list:
    def wait(name: object) -> None:
        log.append((name, queue.park("test", name, timeout, undo)))

    greens = [spawn(wait, name) for name in names]
    sleep()
    return greens


def test_queue_serves_first_come_first():
    queue, log = WaitQueue(), []
    waiting(queue, log, "a", "b", "c")
    assert len(queue) == 3
    assert queue.wake_one(1)
    assert len(queue) == 2
    assert queue.wake_one(2)
    assert log == []
    sleep()
    assert log == [("a", 1), ("b", 2)]
    assert queue.wake_all(3) == 1
    assert not queue.wake_one(4)
    assert queue.wake_all() == 0
    sleep()
    assert log[2:] == [("c", 3)]


def test_take_one_gives_the_subject():
    queue, log = WaitQueue(), []
    assert queue.take_one() is None
    waiting(queue, log, "a")
    assert queue.take_one() == "a"
    sleep()
    assert log == [("a", None)]


def test_a_wake_goes_past_those_whose_time_ran_out(clock):
    queue, log = WaitQueue(), []
    waiting(queue, log, "late", timeout=1)
    waiting(queue, log, "patient")
    woken = []
    # In the turn in which the first one's deadline fires, before it ran:
    get_hub().call_after(1, lambda: woken.append(queue.wake_one("token")))
    sleep(2)
    assert woken == [True]
    assert sorted(log) == [("late", TIMED_OUT), ("patient", "token")]
    assert len(queue) == 0


def test_an_exception_that_outruns_the_wake_hands_the_value_to_undo():
    queue, log, undone = WaitQueue(), [], []
    (green,) = waiting(queue, log, "a", undo=undone.append)
    assert queue.wake_one("token")
    kill(green)
    assert undone == ["token"]
    assert log == []


def test_an_exception_before_any_wake_undoes_nothing():
    queue, log, undone = WaitQueue(), [], []
    (green,) = waiting(queue, log, "a", undo=undone.append)
    kill(green)
    assert undone == []
    assert not queue.wake_one("token")


def test_an_exception_that_outruns_a_timeout_undoes_nothing(clock):
    queue, log, undone = WaitQueue(), [], []
    (green,) = waiting(queue, log, "a", timeout=1, undo=undone.append)
    get_hub().call_after(1, kill, green)
    sleep(2)
    assert green.dead
    assert undone == []
    assert len(queue) == 0
