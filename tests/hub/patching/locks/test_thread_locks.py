"""ThreadLock and ThreadRLock: threading's locks, between green threads and OS threads."""

from __future__ import annotations

import _thread
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.times import MS, eventually

from greenserve_hub import Timeout, get_hub, kill, sleep, spawn
from greenserve_hub.osthreads.threads import execute
from greenserve_hub.patching.locks.thread_locks import ThreadLock, ThreadRLock
from greenserve_hub.sync.thread_sync import Event

Lock = ThreadLock | ThreadRLock


@pytest.fixture(params=[ThreadLock, ThreadRLock])
def lock(request: pytest.FixtureRequest) -> Lock:
    return request.param()


def in_os_thread(fn: Callable[[], Any]) -> list[Any]:
    """Runs in an OS thread of its own; the list has its result once it is over."""
    result: list[Any] = []
    _thread.start_new_thread(lambda: result.append(fn()), ())
    return result


def test_held_by_one_at_a_time_first_come_first_served(lock: Lock):
    order = []

    def hold(name: int) -> None:
        with lock:
            order.append(name)
            sleep(MS)

    greens = [spawn(hold, name) for name in range(5)]
    for green in greens:
        green.wait()
    assert order == [0, 1, 2, 3, 4]
    assert not lock.locked()


def test_who_takes_it_again_at_once_starves_nobody(lock: Lock):
    order = []

    def greedy() -> None:
        for _ in range(3):
            with lock:
                order.append("greedy")
                sleep()

    greens = [spawn(greedy), spawn(greedy)]
    for green in greens:
        green.wait()
    other = []
    lock.acquire()
    waiting = spawn(lambda: (lock.acquire(), other.append("other"), lock.release()))
    sleep()
    lock.release()
    assert lock.acquire(False) is False, "it is passed on, not set free"
    waiting.wait()
    assert other == ["other"]
    assert order.count("greedy") == 6


def test_timeouts(lock: Lock):
    lock.acquire()
    assert spawn(lock.acquire, False).wait() is False
    assert spawn(lock.acquire, True, MS).wait() is False
    assert spawn(lock.acquire, timeout=0).wait() is False
    lock.release()
    assert lock.acquire(True, MS) is True
    lock.release()


def test_arguments_are_threadings(lock: Lock):
    with pytest.raises(ValueError, match="non-blocking"):
        lock.acquire(False, 1)
    with pytest.raises(ValueError, match="negative"):
        lock.acquire(timeout=-2)
    with pytest.raises(OverflowError):
        lock.acquire(timeout=1e10)
    with pytest.raises((TypeError, ValueError)):
        lock.acquire(timeout="soon")
    with pytest.raises(RuntimeError):
        lock.release()


def test_the_lock_is_no_base_class():
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (ThreadLock,), {})


def test_repr_says_whether_it_is_held(lock: Lock):
    assert repr(lock).startswith("<unlocked ")
    with lock:
        assert repr(lock).startswith("<locked ")


def test_one_that_is_killed_in_the_line_leaves_it(lock: Lock):
    lock.acquire()
    first, second = spawn(lock.acquire), spawn(lock.acquire)
    sleep()
    kill(first)
    lock.release()
    assert second.wait() is True


def test_one_that_is_killed_with_the_lock_on_its_way_passes_it_on(lock: Lock):
    lock.acquire()
    first, second = spawn(lock.acquire), spawn(lock.acquire)
    sleep()
    lock.release()  # to the first, which has not run yet
    kill(first)
    assert second.wait() is True


def test_a_timeout_in_the_line(lock: Lock):
    lock.acquire()

    def wait() -> None:
        with Timeout(MS):
            lock.acquire()

    with pytest.raises(Timeout):
        spawn(wait).wait()
    lock.release()
    assert lock.acquire(False)
    lock.release()


def test_between_a_green_thread_and_an_os_thread():
    lock = ThreadLock()
    lock.acquire()
    got = in_os_thread(lock.acquire)
    eventually(lambda: lock._line, "the OS thread in the line")
    turns = []
    ticking = spawn(lambda: [(turns.append(1), sleep(MS)) for _ in range(3)])
    lock.release()
    eventually(lambda: got)
    waiting = spawn(lock.acquire)
    sleep()
    in_os_thread(lock.release)
    assert waiting.wait() is True
    ticking.wait()
    assert len(turns) == 3
    lock.release()


def test_many_of_both_kinds_exclude_each_other():
    lock, inside, most, rounds = ThreadLock(), [0], [0], 200

    def work() -> None:
        for _ in range(rounds):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [in_os_thread(work) for _ in range(4)]
    greens = [spawn(work) for _ in range(4)]
    for green in greens:
        green.wait()
    while not all(threads):
        sleep(MS)
    assert most == [1]
    assert not lock.locked()
    assert not lock._line


def test_an_rlock_is_its_owners():
    lock = ThreadRLock()
    with lock, lock:
        assert lock._is_owned()
        assert lock._recursion_count() == 2
        assert spawn(lock._is_owned).wait() is False
        assert spawn(lock._recursion_count).wait() == 0
        assert spawn(lock.acquire, False).wait() is False
        with pytest.raises(RuntimeError):
            spawn(lock.release).wait()
        state = lock._release_save()
        assert execute(lambda: (lock.acquire(False), lock.release())[0]) is True
        lock._acquire_restore(state)
        assert lock._recursion_count() == 2
    assert not lock.locked()
    with pytest.raises(RuntimeError):
        lock._release_save()


@pytest.mark.parametrize("where", [in_os_thread, spawn])
def test_a_callback_of_the_hub_waits_for_it_and_the_others_go_on(where: Callable[..., Any], lock: Lock):
    held, done, hub, got = Event(), Event(), get_hub(), []

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    where(hold)
    held.wait()
    hub.call_soon(lambda: got.append(lock.acquire(timeout=MS)))
    hub.call_soon(lambda: got.append((lock.acquire(), lock.release())))
    while not got:
        sleep(MS)
    for _ in range(3):
        sleep()
    assert got == [False]
    done.set()
    while len(got) < 2:
        sleep(MS)
    assert got == [False, (True, None)]
    assert not lock.locked()


def test_is_free_after_a_fork(lock: Lock):
    lock.acquire()
    lock._at_fork_reinit()
    assert lock.acquire(False)


def test_a_timeout_is_a_number(lock: Lock):
    with pytest.raises(ValueError, match="NaN"):
        lock.acquire(timeout=float("nan"))
    assert not lock.locked()


def test_an_rlock_takes_the_arguments_that_the_standards_takes():
    def refused(make: Any) -> bool:
        with warnings.catch_warnings(action="ignore"):  # 3.14 announces it
            try:
                make(1, x=2)
            except TypeError:
                return True
            return False

    assert refused(ThreadRLock) is refused(_thread.RLock)
