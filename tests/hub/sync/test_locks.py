from __future__ import annotations

import pytest

from greenserve_hub.greenthreads.greenthreads import GreenletExit, kill, sleep, spawn
from greenserve_hub.sync.locks import Condition, Lock, RLock

# What Lock and RLock have in common -----------------------------------------------------------------------


@pytest.fixture(params=[Lock, RLock])
def lock(request: pytest.FixtureRequest):
    return request.param()


def hold(lock, seconds: float) -> None:
    with lock:
        sleep(seconds)


def test_one_at_a_time_and_first_come_first_served(lock):
    inside, order = [], []

    def work(name: str) -> None:
        with lock as held:
            assert held is True
            inside.append(name)
            assert len(inside) == 1
            order.append(name)
            sleep()
            inside.remove(name)

    for green in [spawn(work, name) for name in "abc"]:
        green.wait()
    assert order == ["a", "b", "c"]
    assert not lock.locked()


def test_acquire_without_waiting_and_within_a_time(lock, clock):
    green = spawn(hold, lock, 3)
    sleep()
    assert lock.locked()
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(timeout=1) is False
    assert lock.acquire(timeout=5) is True
    assert green.dead
    lock.release()
    assert not lock.locked()


def test_released_by_with_after_an_error(lock):
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert not lock.locked()


def test_release_of_what_nobody_holds_is_an_error(lock):
    said = {
        Lock: "release of a lock that is not held",
        RLock: "release of a lock that this green thread does not hold",
    }
    with pytest.raises(RuntimeError, match=said[type(lock)]):
        lock.release()


def test_on_its_way_to_one_that_is_killed_it_goes_to_the_next(lock):
    lock.acquire()
    first, second = spawn(hold, lock, 0), spawn(hold, lock, 0)
    sleep()
    lock.release()
    kill(first)
    second.wait()
    assert not lock.locked()


def test_is_free_in_the_child_of_a_fork(lock):
    lock.acquire()
    lock._at_fork_reinit()
    assert not lock.locked()
    assert lock.acquire(blocking=False)


# Lock -----------------------------------------------------------------------------------------------------


def test_lock_may_be_released_by_another():
    lock = Lock()
    lock.acquire()
    spawn(lock.release).wait()
    assert not lock.locked()


# RLock ----------------------------------------------------------------------------------------------------


def test_rlock_may_be_taken_again_by_its_owner_only():
    lock = RLock()
    with lock, lock:
        assert spawn(lock.acquire, False).wait() is False
        lock.release()
        assert lock.locked()
        assert spawn(lock.acquire, False).wait() is False
        lock.acquire()
    assert spawn(lock.acquire, False).wait() is True
    assert "count=1" in repr(lock)


def test_rlock_is_released_by_its_owner_only():
    lock = RLock()
    lock.acquire()
    with pytest.raises(RuntimeError, match="this green thread does not hold"):
        spawn(lock.release).wait()
    lock.release()


# Condition ------------------------------------------------------------------------------------------------


@pytest.fixture(params=[None, Lock, RLock])
def condition(request: pytest.FixtureRequest) -> Condition:
    return Condition(request.param and request.param())


def waiters(condition: Condition, log: list, names: str, timeout: float | None = None) -> list:
    def wait(name: str) -> None:
        with condition:
            log.append((name, condition.wait(timeout)))

    greens = [spawn(wait, name) for name in names]
    sleep()
    return greens


def test_notify_wakes_those_who_wait_longest(condition):
    log = []
    waiters(condition, log, "abc")
    assert "3 waiting" in repr(condition)
    with condition:
        condition.notify(2)
        sleep()
        assert log == []  # the lock is not free yet
    sleep()
    sleep()
    assert log == [("a", True), ("b", True)]
    with condition:
        condition.notify_all()
    sleep()
    assert log[2:] == [("c", True)]
    with condition:
        condition.notify()


def test_wait_within_a_time(condition, clock):
    began = clock()
    with condition:
        assert condition.wait(2) is False
        assert clock() == began + 2
        assert condition._lock.locked()


def test_wait_for(condition, clock):
    items = []

    def put() -> None:
        for item in range(3):
            sleep(1)
            with condition:
                items.append(item)
                condition.notify()

    spawn(put)
    with condition:
        assert condition.wait_for(lambda: len(items) == 2) is True
        assert condition.wait_for(lambda: len(items) == 9, timeout=5) is False
        assert condition.wait_for(lambda: items) == [0, 1, 2]


def test_is_waited_for_and_notified_with_the_lock_held_only(condition):
    for call in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError, match="need its lock to be held"):
            call()


def test_only_the_owner_of_an_rlock_may_notify():
    condition = Condition()
    with condition, pytest.raises(RuntimeError, match="need its lock to be held"):
        spawn(condition.notify).wait()


def test_waiting_lets_go_of_an_rlock_taken_twice_and_takes_it_twice_again():
    condition = Condition()

    def wait() -> int:
        with condition, condition:
            condition.wait()
            return condition._lock._again + 1

    green = spawn(wait)
    sleep()
    with condition:
        condition.notify()
    assert green.wait() == 2
    assert not condition._lock.locked()


def test_a_notify_on_its_way_to_one_that_is_killed_goes_to_the_next(condition):
    log = []
    first, second = waiters(condition, log, "ab")
    with condition:
        condition.notify()
        kill(first)
    second.wait()
    assert log == [("b", True)]
    assert first.dead


def test_a_killed_waiter_holds_the_lock_again_before_it_goes_on(condition):
    log = []

    def wait() -> None:
        with condition:
            try:
                condition.wait()
            except GreenletExit:
                log.append(condition._lock.locked())
                raise

    green = spawn(wait)
    sleep()
    with condition:
        kill(green)
        kill(green, KeyError)
        kill(green)
        assert log == []  # it waits for the lock, whatever is thrown at it
    with pytest.raises((GreenletExit, KeyError)):
        green.wait()
    assert not condition._lock.locked()
