"""thread_pools: bounds, errors, giving up, and what is left behind."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Iterator

import pytest
from tests.support.times import MS, PATIENCE, eventually

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import GreenletExit, kill, sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import find_hub, get_hub
from greenserve_hub.osthreads import thread_pools
from greenserve_hub.osthreads.thread_pools import ThreadPool
from greenserve_hub.sync.thread_sync import Event


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPool]:
    """Two OS threads, which end soon."""
    monkeypatch.setattr(thread_pools, "_REST", 20 * MS)
    pool = ThreadPool(2)
    yield pool
    eventually(lambda: pool.threads == 0, "the end of the threads")


def test_results_arguments_and_another_thread(pool: ThreadPool) -> None:
    assert pool.execute(lambda a, *, b: a + b, 1, b=2) == 3
    assert pool.execute(threading.get_ident) != threading.get_ident()


def test_the_hub_goes_on_meanwhile(pool: ThreadPool) -> None:
    gate = threading.Event()
    calls = [spawn(pool.execute, gate.wait, 10) for _ in range(2)]
    sleep(MS)
    gate.set()
    assert [call.wait() for call in calls] == [True, True]


def test_as_many_at_once_as_its_size_and_in_order(pool: ThreadPool) -> None:
    running, most, order = [0], [0], []
    lock = threading.Lock()

    def call(n: int) -> int:
        with lock:
            order.append(n)
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(MS)
        with lock:
            running[0] -= 1
        return n

    calls = [spawn(pool.execute, call, n) for n in range(20)]
    assert [one.wait() for one in calls] == list(range(20))
    assert most == [2]
    assert pool.threads <= 2
    # Two threads may note the calls they have just taken in either order.
    assert all(abs(n - at) <= 1 for at, n in enumerate(order))


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), GreenletExit("x")])
def test_an_exception_is_the_callers(pool: ThreadPool, error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        pool.execute(fail)
    assert caught.value is error
    assert pool.execute(len, "abc") == 3, "the thread lives on"


def test_a_killed_caller_goes_on_at_once_and_its_call_to_the_end(pool: ThreadPool) -> None:
    gate, begun, done = threading.Event(), Event(), Event()

    def call() -> None:
        begun.set()
        gate.wait(10)
        done.set()

    caller = spawn(pool.execute, call)
    assert begun.wait(10)
    kill(caller)
    with pytest.raises(GreenletExit):
        caller.wait()
    assert not done.is_set()
    gate.set()
    assert done.wait(10)
    assert get_hub().wakeup.users == 0


def test_a_call_that_has_not_begun_when_its_caller_gives_up_never_runs(pool: ThreadPool) -> None:
    gate, ran = threading.Event(), []
    busy = [spawn(pool.execute, gate.wait, 10) for _ in range(2)]
    sleep()
    with Timeout(MS, False):
        pool.execute(ran.append, 1)
    gate.set()
    assert [one.wait() for one in busy] == [True, True]
    assert pool.execute(len, "ab") == 2
    assert ran == []


def test_context_variables_come_along_and_stay_the_callers(pool: ThreadPool) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)

    def call() -> int:
        found = variable.get()
        variable.set(2)
        return found

    assert pool.execute(call) == 1
    assert variable.get() == 1


def test_from_a_thread_of_its_own_it_is_called_at_once(pool: ThreadPool) -> None:
    pool.size = 1
    assert pool.execute(lambda: pool.execute(threading.get_ident) == threading.get_ident())


def test_an_os_thread_without_a_hub_may_call_and_gets_none(pool: ThreadPool) -> None:
    told: list[object] = []
    thread = threading.Thread(target=lambda: told.extend([pool.execute(len, "abc"), find_hub()]))
    thread.start()
    thread.join()
    assert told == [3, None]


def test_from_a_callback_of_the_hub_it_is_an_error(pool: ThreadPool, errors: list[BaseException]) -> None:
    get_hub().call_soon(pool.execute, len, "abc")
    sleep()
    assert [type(error) for error in errors] == [HubError]
    errors.clear()


def test_size(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.size = 0
    assert pool.execute(threading.get_ident) == threading.get_ident()
    assert pool.threads == 0
    with pytest.raises(ValueError, match="0 OS threads or more"):
        pool.size = -1
    pool.size = 3
    gate = threading.Event()
    calls = [spawn(pool.execute, gate.wait, 10) for _ in range(5)]
    sleep(MS)
    assert pool.threads == 3
    monkeypatch.setattr(thread_pools, "_REST", 10 * PATIENCE)
    pool.size = 1
    gate.set()
    assert [call.wait() for call in calls] == [True] * 5
    eventually(lambda: pool.threads == 1, "an end of the others with their calls, and not after a rest")
    monkeypatch.setattr(thread_pools, "_REST", 20 * MS)
    assert pool.execute(len, "x") == 1  # and then the one that is left rests for no longer


def test_threads_rest_and_end(pool: ThreadPool) -> None:
    for _ in range(5):
        pool.execute(len, "x")
        eventually(lambda: "1 idle" in repr(pool))
    assert pool.threads == 1, "one after another needs one"
    eventually(lambda: pool.threads == 0)
    assert pool.execute(len, "x") == 1


def test_when_no_thread_can_be_had(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("greenserve_hub.osthreads.thread_pools._thread.start_new_thread", none_left)
    ran: list[int] = []
    with pytest.raises(RuntimeError, match="new thread"):
        pool.execute(ran.append, 1)
    monkeypatch.undo()
    monkeypatch.setattr(thread_pools, "_REST", 20 * MS)
    assert pool.execute(len, "abc") == 3
    assert ran == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # forking with threads is what this is about
def test_after_a_fork_it_starts_over(pool: ThreadPool) -> None:
    pool.execute(len, "x")
    child = os.fork()
    if not child:
        try:
            os._exit(0 if pool.threads == 0 and pool.execute(len, "abc") == 3 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
