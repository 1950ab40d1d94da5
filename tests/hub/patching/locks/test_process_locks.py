"""SemLock: multiprocessing's semaphores, between green threads, OS threads and processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from typing import Any

import pytest
from tests.hub.patching.locks.test_thread_locks import in_os_thread
from tests.support.times import MS, PATIENCE, eventually

from greenserve_hub import Event, Timeout, get_hub, kill, sleep, spawn
from greenserve_hub.osthreads import native_waits
from greenserve_hub.osthreads.thread_pools import ThreadPool
from greenserve_hub.osthreads.threads import execute
from greenserve_hub.patching.locks import process_locks
from greenserve_hub.patching.locks.process_locks import SemLock

Native = import_module("_multiprocessing").SemLock
RECURSIVE, SEMAPHORE = 0, 1
names = (f"/greenserve-{os.getpid()}-{number}" for number in count())


def make(kind: int = SEMAPHORE, value: int = 1, maxvalue: int = 1) -> SemLock:
    return SemLock(kind, value, maxvalue, next(names), True)


def twin_of(lock: SemLock) -> Any:
    """The same semaphore for who is not patched, as in another process; for as long as `lock` lives."""
    twin = Native._rebuild(lock.handle, SEMAPHORE, lock.maxvalue, None)
    twins.append(twin)
    return twin


twins: list[Any] = []  # a native one that goes closes the semaphore


@pytest.fixture(params=[SEMAPHORE, RECURSIVE], ids=["lock", "rlock"])
def lock(request: pytest.FixtureRequest) -> SemLock:
    lock = make(request.param)
    twins.append(lock)
    return lock


@contextmanager
def in_a_child(fn: Callable[[], object]) -> Iterator[Callable[[], int]]:
    """Runs in the child of a fork; waits for its exit status, which is 0 if nothing was raised."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            fn()
            status = 0
        finally:
            os._exit(status)

    def status() -> int:
        return os.waitstatus_to_exitcode(execute(os.waitpid, pid, 0)[1])

    yield status


forks = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # OS threads of the pools rest


# What it is


def test_it_is_what_the_native_one_is():
    name = next(names)
    one = SemLock(RECURSIVE, 1, 1, name, False)
    assert (one.kind, one.maxvalue, one.name) == (RECURSIVE, 1, name)
    assert one.SEM_VALUE_MAX == Native.SEM_VALUE_MAX
    with pytest.raises(FileExistsError):
        SemLock(SEMAPHORE, 1, 1, name, False)
    other = SemLock._rebuild(one.handle, one.kind, one.maxvalue, one.name)
    assert (other.kind, other.maxvalue, other.name) == (RECURSIVE, 1, name)
    import_module("_multiprocessing").sem_unlink(name)
    with one:
        assert other._is_zero()
        assert not spawn(other.acquire, False).wait()
    assert other._get_value() == 1
    assert make().name is None


def test_errors_are_those_of_the_native_one():
    with pytest.raises(ValueError, match="kind"):
        SemLock(2, 1, 1, next(names), True)
    with pytest.raises(ValueError, match="too many times"):
        make().release()
    with pytest.raises(AssertionError, match="not owned by thread"):
        make(RECURSIVE).release()


def test_it_can_be_a_base_class():
    class Mine(SemLock):
        pass

    mine = Mine(RECURSIVE, 0, 10, next(names), True)
    assert type(mine) is Mine
    assert not mine.acquire(False)


def test_tokens_are_counted():
    semaphore = make(SEMAPHORE, 2, 3)
    assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]
    assert (semaphore._count(), semaphore._get_value(), semaphore._is_zero()) == (2, 0, True)
    semaphore.release()
    assert (semaphore._count(), semaphore._get_value(), semaphore._is_zero()) == (1, 1, False)


# Between green threads


def test_one_at_a_time_first_come_first_served_while_others_run(lock: SemLock):
    order: list[int] = []
    turns = 0

    def hold(name: int) -> None:
        nonlocal turns
        with lock:
            order.append(name)
            before = turns
            while turns < before + 3:
                sleep()
            assert order[-1] == name

    def run() -> None:
        nonlocal turns
        while len(order) < 5:
            turns += 1
            sleep(MS)
        turns += 100

    greens = [spawn(hold, name) for name in range(5)]
    spawn(run)
    for green in greens:
        green.wait()
    assert order == [0, 1, 2, 3, 4]
    assert lock._get_value() == 1


def test_one_that_takes_it_again_at_once_starves_nobody(lock: SemLock):
    order: list[str] = []

    def take(name: str, times: int) -> None:
        for _ in range(times):
            with lock:
                order.append(name)
                sleep()

    greens = [spawn(take, "greedy", 50), spawn(take, "other", 2)]
    for green in greens:
        green.wait()
    assert order.index("other") == 1


def test_timeouts(lock: SemLock):
    lock.acquire()
    assert spawn(lock.acquire, False).wait() is False
    assert spawn(lock.acquire, True, MS).wait() is False
    assert spawn(lock.acquire, timeout=0).wait() is False
    assert spawn(lock.acquire, True, -5).wait() is False
    both = [spawn(lock.acquire, True, 20 * MS), spawn(lock.acquire, True, MS)]
    assert [one.wait() for one in both] == [False, False]
    lock.release()
    assert lock.acquire(True, MS) is True
    lock.release()


def test_one_that_another_process_keeps_is_nobodys_here(lock: SemLock):
    twin = twin_of(lock)
    twin.acquire()
    assert lock.acquire(True, MS) is False
    assert lock.acquire(False) is False
    killed = spawn(lock.acquire)
    sleep(MS)
    kill(killed)
    assert not lock._is_mine()
    twin.release()
    assert spawn(lock.acquire, True, PATIENCE).wait() is True


def test_a_token_that_comes_in_time_is_taken():
    semaphore = make(SEMAPHORE, 0, 10)
    greens = [spawn(semaphore.acquire, True, PATIENCE) for _ in range(3)]
    sleep(MS)
    for _ in range(3):
        semaphore.release()
    assert [green.wait() for green in greens] == [True, True, True]


def test_no_os_thread_to_be_had_is_a_timeout(monkeypatch: pytest.MonkeyPatch):
    class Busy:
        def submit(self, job: object) -> None:
            pass

    monkeypatch.setattr(native_waits, "_os_threads", Busy())
    monkeypatch.setattr(native_waits, "_LATE", MS)
    semaphore = make(SEMAPHORE, 0)
    assert semaphore.acquire(True, MS) is False
    semaphore.release()
    assert semaphore.acquire(True, MS) is True


def test_without_os_threads_it_looks_now_and_then(monkeypatch: pytest.MonkeyPatch):
    class Exhausted:
        def submit(self, job: object) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(native_waits, "_os_threads", Exhausted())
    monkeypatch.setattr(native_waits, "_POLL", MS)
    semaphore = make(SEMAPHORE, 0)
    assert semaphore.acquire(True, 2 * MS) is False
    green = spawn(semaphore.acquire)
    sleep(5 * MS)
    assert not green.dead
    semaphore.release()
    assert green.wait() is True


def test_one_that_is_killed_leaves_the_line(lock: SemLock):
    lock.acquire()
    asks, waits, other = spawn(lock.acquire), spawn(lock.acquire), spawn(lock.acquire)
    sleep(MS)
    kill(waits)
    kill(asks)
    lock.release()
    assert other.wait() is True


def test_a_timeout_in_the_line(lock: SemLock):
    lock.acquire()

    def wait() -> bool:
        with pytest.raises(Timeout), Timeout(5 * MS):
            lock.acquire()
        return True

    assert all(green.wait() for green in [spawn(wait), spawn(wait)])
    lock.release()
    assert lock.acquire(True, PATIENCE)
    lock.release()


def test_a_token_on_its_way_to_one_that_is_killed_is_given_back():
    semaphore = make(SEMAPHORE, 0)
    green = spawn(semaphore.acquire)
    sleep(MS)
    twin_of(semaphore).release()
    # It is taken while nobody here runs: the answer waits in the hub's wakeup.
    eventually(semaphore._is_zero)
    kill(green)
    eventually(lambda: not semaphore._is_zero())


def test_what_an_os_thread_gets_for_nobody_it_gives_back(monkeypatch: pytest.MonkeyPatch):
    semaphore = make(SEMAPHORE, 0)
    green = spawn(semaphore.acquire)
    sleep(MS)
    kill(green)
    twin_of(semaphore).release()
    assert semaphore.acquire(True, PATIENCE)


@pytest.fixture
def os_threads(monkeypatch: pytest.MonkeyPatch) -> ThreadPool:
    """OS threads of its own: other tests may have left a wait that never ends."""
    own = ThreadPool(100_000, rest=native_waits._REST)
    monkeypatch.setattr(native_waits, "_os_threads", own)
    return own


def test_an_os_thread_that_nobody_wants_any_more_ends(
    os_threads: ThreadPool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(native_waits, "_LOOK", 5 * MS)
    green = spawn(make(SEMAPHORE, 0).acquire)
    sleep(MS)
    assert os_threads.threads == 1
    kill(green)
    eventually(lambda: not os_threads.threads)


def test_a_hundred_that_wait_need_one_os_thread(os_threads: ThreadPool):
    semaphore = make(SEMAPHORE, 0, 200)
    greens = [spawn(semaphore.acquire) for _ in range(100)]
    sleep(10 * MS)
    assert os_threads.threads == 1
    for _ in greens:
        semaphore.release()
    assert all(green.wait() for green in greens)


def test_a_callback_of_the_hub_waits_while_others_go_on(lock: SemLock):
    lock.acquire()
    outcomes: list[bool] = []
    done = Event()

    def callback() -> None:
        outcomes.append(lock.acquire(False))
        outcomes.append(lock.acquire(timeout=MS))
        outcomes.append(lock.acquire())
        lock.release()
        done.send()

    get_hub().call_soon(callback)
    while len(outcomes) < 2:
        sleep(MS)
    lock.release()
    done.wait()
    assert outcomes == [False, False, True]


# The owner


def test_the_owner_of_a_recursive_one_is_a_green_thread():
    lock = make(RECURSIVE)
    with lock, lock:
        assert lock._is_mine()
        assert lock._count() == 2
        assert not spawn(lock._is_mine).wait()
        assert not spawn(lock.acquire, False).wait()
        with pytest.raises(AssertionError):
            spawn(lock.release).wait()
    assert not lock._is_mine()
    assert lock._count() == 0
    assert spawn(lock.acquire, False).wait()


def test_three_green_threads_in_a_recursive_one_come_in_one_by_one():
    lock, inside, most = make(RECURSIVE), 0, 0

    def enter() -> None:
        nonlocal inside, most
        with lock, lock:
            inside += 1
            most = max(most, inside)
            sleep(MS)
            inside -= 1

    for green in [spawn(enter) for _ in range(3)]:
        green.wait()
    assert most == 1


def test_whose_a_lock_is():
    lock = make()
    with lock:
        assert lock._is_mine()
        assert not spawn(lock._is_mine).wait()
    assert not lock._is_mine()


def test_a_recursive_one_may_be_taken_anywhere_within_itself():
    """A finaliser or a signal handler comes between any two lines, here between each two of them."""
    lock = make(RECURSIVE)
    came = set()

    def between(frame: Any, event: str, argument: object) -> Any:
        if frame.f_code.co_filename == process_locks.__file__:
            place = frame.f_lineno, event
            sys.settrace(None)
            assert lock.acquire(True, 0), place
            assert twin.acquire(False) is False, place
            lock.release()
            came.add(place)
            sys.settrace(between)
        return between

    twin = twin_of(lock)
    before = sys.gettrace()
    sys.settrace(between)
    try:
        for _ in range(2):
            with lock, lock:
                pass
    finally:
        sys.settrace(before)
    assert len(came) > 20
    assert (lock._count(), lock._get_value()) == (0, 1)
    assert spawn(lock.acquire, False).wait()


# OS threads and other processes


def test_an_os_thread_without_a_hub_waits_by_itself(lock: SemLock):
    lock.acquire()
    waiting = in_os_thread(lambda: (lock.acquire(True, PATIENCE), lock._is_mine(), lock.release()))
    late = in_os_thread(lambda: lock.acquire(True, MS))
    eventually(lambda: late)
    assert late == [False]
    assert not waiting
    lock.release()
    eventually(lambda: waiting)
    assert waiting == [(True, True, None)]
    assert lock.acquire(True, PATIENCE)


def test_a_green_thread_waits_for_an_os_thread(lock: SemLock):
    held, let_go = in_os_thread(lock.acquire), []
    eventually(lambda: held)
    assert spawn(lock.acquire, False).wait() is False
    if lock.kind == SEMAPHORE:  # which anybody may release
        green = spawn(lock.acquire)
        sleep(MS)
        let_go = in_os_thread(lock.release)
        assert green.wait() is True
        eventually(lambda: let_go)


@forks
def test_another_process_is_kept_out_while_others_run(lock: SemLock):
    (says, hears), (is_told, tells) = os.pipe(), os.pipe()

    def child() -> None:
        with lock:
            os.write(hears, b"x")
            os.read(is_told, 1)

    with in_a_child(child) as status:
        assert execute(os.read, says, 1) == b"x"
        waiting = spawn(lock.acquire)
        for _ in range(5):
            sleep(MS)
            assert not waiting.dead
        os.write(tells, b"x")
        assert waiting.wait() is True
        assert status() == 0
    for fd in (says, hears, is_told, tells):
        os.close(fd)


@forks
def test_a_child_owns_nothing_once_multiprocessing_has_said_so():
    lock = make(RECURSIVE)
    lock.acquire()
    with_it, waiting = make(), spawn(lock.acquire)
    sleep(MS)
    with_it.acquire()

    def child() -> None:
        lock._after_fork()
        with_it._after_fork()
        assert not lock._is_mine()
        assert not with_it._is_mine()
        assert lock._count() == with_it._count() == 0
        assert not lock.acquire(True, MS)

    with in_a_child(child) as status:
        assert status() == 0
    kill(waiting)


@forks
def test_who_waits_in_the_parent_does_not_wait_in_the_child(lock: SemLock):
    """Neither the line nor who holds the lock comes along, and the semaphore is the same."""
    holder = spawn(lambda: (lock.acquire(), sleep(PATIENCE)))
    sleep()
    waiting = [spawn(lambda: (lock.acquire(), lock.release())) for _ in range(2)]
    sleep(MS)
    twin = twin_of(lock)

    def child() -> None:
        assert not lock.acquire(True, MS)
        twin.release()  # who waits in the parent may be the first
        assert lock.acquire(True, PATIENCE)
        lock.release()

    with in_a_child(child) as status:
        assert status() == 0
    for green in (*waiting, holder):
        kill(green)


@forks
def test_the_one_that_forks_takes_what_it_holds_along():
    lock = make(RECURSIVE)
    with lock:

        def child() -> None:
            assert lock._is_mine()
            with lock:
                assert lock._count() == 2
            assert lock._is_mine()

        with in_a_child(child) as status:
            assert status() == 0


def test_a_signal_handler_may_take_it(lock: SemLock):
    semaphore = make(SEMAPHORE, 0)
    taken: list[bool] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: taken.append(lock.acquire(False)))
    try:
        waiting = spawn(semaphore.acquire)
        sleep(MS)
        signal.raise_signal(signal.SIGUSR1)
        semaphore.release()
        assert waiting.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert taken == [True]
