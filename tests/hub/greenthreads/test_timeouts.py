from __future__ import annotations

import gc
import weakref

import pytest

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import getcurrent, sleep, spawn
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout, is_timeout, with_timeout, wrap_is_timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event
from greenserve_hub.sync.semaphores import Semaphore


def test_is_armed_when_made_and_raised_where_it_waits(clock):
    began = clock()
    timeout = Timeout(2)
    assert timeout.pending
    with pytest.raises(Timeout) as caught:
        sleep(10)
    assert caught.value is timeout
    assert clock() == began + 2
    assert not timeout.pending
    assert str(timeout) == "2 s"


def test_is_no_exception_that_an_app_would_swallow():
    assert not issubclass(Timeout, Exception)


def test_cancelled_it_never_fires(clock):
    timeout = Timeout(1)
    timeout.cancel()
    timeout.cancel()
    assert not timeout.pending
    sleep(2)
    assert len(get_hub().deadlines) == 0


def test_can_be_started_again_after_cancel_only(clock):
    timeout = Timeout(1)
    with pytest.raises(HubError, match="armed already"):
        timeout.start()
    timeout.cancel()
    timeout.start()
    with pytest.raises(Timeout):
        sleep(2)


def test_none_is_never(clock):
    timeout = Timeout(None)
    assert not timeout.pending
    assert str(timeout) == ""
    with timeout:
        sleep(1000)


@pytest.mark.parametrize("seconds", [0, -1])
def test_zero_or_less_fires_at_the_next_chance(seconds, clock):
    began = clock()
    Timeout(seconds)
    with pytest.raises(Timeout):
        sleep(1)
    assert clock() == began


@pytest.mark.parametrize("exception", [KeyError("mine"), KeyError])
def test_raises_the_exception_given(exception, clock):
    with pytest.raises(KeyError), Timeout(1, exception):
        sleep(2)


def test_true_raises_the_timeout_itself(clock):
    with pytest.raises(Timeout), Timeout(1, True):
        sleep(2)


def test_with_disarms_at_the_end(clock):
    with Timeout(1) as timeout:
        sleep(0.5)
    assert not timeout.pending
    sleep(5)


def test_with_false_leaves_the_block_quietly(clock):
    began = clock()
    with Timeout(1, False):
        sleep(10)
        raise AssertionError("not reached")
    assert clock() == began + 1


def test_with_false_lets_others_pass(clock):
    with pytest.raises(Timeout) as caught, Timeout(1) as outer, Timeout(5, False):
        sleep(10)
    assert caught.value is outer
    with pytest.raises(ValueError, match="other"), Timeout(1, False):
        raise ValueError("other")


def test_with_arms_a_cancelled_one_again(clock):
    timeout = Timeout(1)
    timeout.cancel()
    with pytest.raises(Timeout), timeout:
        sleep(2)


def test_nested_ones_reach_their_own_block(clock):
    fired = []
    try:
        with Timeout(5) as outer:
            try:
                with Timeout(1) as inner:
                    sleep(10)
            except Timeout as error:
                fired.append((error is inner, clock()))
            sleep(10)
    except Timeout as error:
        fired.append((error is outer, clock()))
    assert fired == [(True, 1001), (True, 1005)]


def test_each_green_thread_has_its_own(clock):
    def work(seconds: float) -> float:
        try:
            with Timeout(seconds):
                sleep(10)
        except Timeout:
            return clock()
        return 0.0

    began = clock()
    assert [green.wait() for green in [spawn(work, 2), spawn(work, 1)]] == [began + 2, began + 1]


def test_one_that_outlives_its_green_thread_harms_nobody(clock):
    spawn(Timeout, 1).wait()
    sleep(2)


def test_a_forgotten_one_does_not_hit_the_next_job_of_a_pool(clock):
    pool, done = GreenPool(1), []
    pool.spawn_n(lambda: Timeout(1))
    pool.waitall()
    (worker,) = pool._idle
    pool.spawn_n(lambda: done.append((sleep(5), *pool.members())))
    pool.waitall()
    assert done == [(None, worker)]  # on the same green thread


def test_a_forgotten_one_does_not_hit_the_next_job_of_a_function_that_runs_several(clock):
    pool, done = GreenPool(1), []

    def several() -> None:
        Timeout(1)
        getcurrent().next_job()
        sleep(5)
        done.append(getcurrent().generation)

    pool.spawn_n(several)
    pool.waitall()
    assert done == [1]


def test_a_forgotten_one_does_not_hit_an_idle_worker(clock):
    pool = GreenPool(1)
    pool.spawn_n(lambda: Timeout(1))
    pool.waitall()
    sleep(5)
    assert not pool._idle[0].dead


def test_cannot_be_armed_in_the_hub(errors):
    get_hub().call_soon(Timeout, 1)
    sleep()
    assert "cannot be armed in the hub" in str(errors.pop())


def test_a_token_on_its_way_is_not_lost_to_it(clock):
    tokens = Semaphore(0)

    def work() -> None:
        with Timeout(1, False):
            tokens.acquire()

    green = spawn(work)
    sleep()
    # Due before the Timeout in the very same turn, so that the token is on its way when the Timeout fires.
    get_hub().call_after(0.9, tokens.release)
    clock.advance(1)
    green.wait()
    assert tokens.counter == 1
    assert not tokens.waiting()


def test_a_cancelled_one_lets_go_of_its_green_thread(clock):
    green = spawn(Timeout, 1)
    timeout = green.wait()
    gone = weakref.ref(green)
    del green
    timeout.cancel()
    sleep()
    gc.collect()
    assert gone() is None


# with_timeout ---------------------------------------------------------------------------------------------


def test_with_timeout_gives_the_result_in_time(clock):
    assert with_timeout(1, lambda a, b: (a, b), 1, b=2) == (1, 2)
    assert len(get_hub().deadlines) == 0


def test_with_timeout_raises_or_returns_the_value(clock):
    with pytest.raises(Timeout):
        with_timeout(1, sleep, 2)
    assert with_timeout(1, sleep, 2, timeout_value="late") == "late"
    assert with_timeout(1, sleep, 2, timeout_value=None) is None
    assert with_timeout(None, sleep, 2, timeout_value="late") is None


def test_with_timeout_swallows_its_own_only(clock):
    def inner() -> None:
        with Timeout(1):
            sleep(10)

    with pytest.raises(Timeout) as caught:
        with_timeout(5, inner, timeout_value="late")
    assert caught.value.seconds == 1


# is_timeout -----------------------------------------------------------------------------------------------


def test_is_timeout(clock):
    timeout = Timeout(None)
    assert is_timeout(timeout)
    assert is_timeout(TimeoutError())
    assert not is_timeout(ValueError())
    assert not is_timeout(None)


def test_wrap_is_timeout_marks_what_a_function_returns():
    class LibraryTimeout(Exception):
        pass

    make = wrap_is_timeout(LibraryTimeout)
    assert is_timeout(make())
    assert not is_timeout(LibraryTimeout())
    assert wrap_is_timeout(lambda: LibraryTimeout)() is LibraryTimeout
    assert is_timeout(LibraryTimeout())


def test_reaches_one_that_waits_for_an_event(clock):
    event = Event()
    with Timeout(1, False):
        event.wait()
    event.send()
    event.wait()
