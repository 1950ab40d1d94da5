"""What eventlet's spawning modules have beside greenserve's own names."""

from __future__ import annotations

import copy
import threading

import pytest

from greenserve_eventlet import coros, event, greenthread, lock, queue, tpool
from greenserve_eventlet.spawning import corolocal
from greenserve_hub import GreenletExit, Semaphore, getcurrent, sleep, spawn, threads
from greenserve_hub.testing import fake_clock


class TestGreenthread:
    def test_cancel_ends_what_has_not_begun(self):
        called: list[int] = []
        green = spawn(called.append, 1)
        greenthread.cancel(green)
        with pytest.raises(GreenletExit):
            green.wait()
        assert not called
        started = spawn(sleep, 0)
        sleep(0)
        greenthread.cancel(started)
        started.wait()

    @pytest.mark.parametrize("name", ["call_after_global", "call_after_local", "call_after"])
    def test_older_names_warn_and_work(self, name: str):
        with fake_clock():
            called: list[int] = []
            with pytest.warns(DeprecationWarning, match="use spawn_after"):
                getattr(greenthread, name)(1, called.append, 1)
            sleep(2)
        assert called == [1]

    def test_exc_after(self):
        with fake_clock():
            with pytest.warns(DeprecationWarning, match="use Timeout"):
                greenthread.exc_after(1, ValueError("late"))
            with pytest.raises(ValueError, match="late"):
                sleep(2)
            with pytest.warns(DeprecationWarning, match="use Timeout"):
                greenthread.exc_after(None).cancel()

    def test_timeout_error_is_a_class(self):
        with pytest.warns(DeprecationWarning, match="TimeoutError is deprecated: use"):
            error = greenthread.TimeoutError(None)
        assert isinstance(error, greenthread.TimeoutError)
        with pytest.warns(DeprecationWarning, match="with_timeout"):
            assert greenthread.with_timeout(1, len, "ab") == 2


def test_a_channel_lets_the_getter_run_first():
    channel: queue.Queue[str] = queue.Queue(0)
    told: list[str] = []
    getter = spawn(lambda: told.append(channel.get()))
    sleep(0)
    channel.put("got")
    told.append("put")
    assert told == ["got", "put"]
    getter.wait()


def test_metaphore():
    counter = coros.metaphore()
    counter.wait()
    counter.inc(2)
    waiting = spawn(counter.wait)
    sleep(0)
    counter.dec()
    sleep(0)
    assert not waiting.dead
    counter.dec(5)
    waiting.wait()
    counter.inc()
    assert counter.counter == 1


def test_lock():
    one = lock.Lock()
    assert isinstance(one, Semaphore)
    with one:
        assert one.counter == 0
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        one.release()
    one.acquire()
    one._at_fork_reinit()
    assert one.acquire(blocking=False)


def test_small_names():
    assert repr(event.NOT_USED) == "NOT_USED"
    assert corolocal.get_ident() == id(getcurrent())


class Thing:
    """Something to wrap."""

    def __init__(self) -> None:
        self.plain = [1]

    def ident(self) -> int:
        return threading.get_native_id()

    def __len__(self) -> int:
        return self.ident()

    def __repr__(self) -> str:
        return "a thing"


class TestTpool:
    def test_calls_run_in_os_threads(self):
        assert tpool.execute(threading.get_native_id) != threading.get_native_id()
        with pytest.raises(ZeroDivisionError):
            tpool.execute(lambda: 1 / 0)

    def test_proxy(self):
        proxy = tpool.Proxy(Thing(), autowrap=(list,))
        assert proxy.ident() != threading.get_native_id() == len(proxy)
        assert proxy.ident(nonblocking=True) == threading.get_native_id()
        assert isinstance(proxy.plain, tpool.Proxy)
        assert proxy.plain == [1]
        assert repr(proxy) == "a thing"
        assert isinstance(tpool.Proxy(Thing(), autowrap_names=("plain",)).plain, tpool.Proxy)
        assert list(iter(tpool.Proxy([1, 2]))) == [1, 2]
        assert copy.copy(tpool.Proxy({1: [2]})) == copy.deepcopy(tpool.Proxy({1: [2]})) == {1: [2]}

    def test_size(self):
        before = threads.get_size()
        try:
            tpool.killall()
            tpool.set_num_threads(3)
            tpool.execute(len, "")
            assert threads.get_size() == 3
            tpool.killall()
            tpool.set_num_threads(-1)
            with pytest.raises(AssertionError, match="negative"):
                tpool.execute(len, "")
            tpool.set_num_threads(0)
            with pytest.warns(RuntimeWarning, match="Zero threads in tpool"):
                assert tpool.execute(threading.get_native_id) == threading.get_native_id()
        finally:
            tpool.killall()
            tpool.set_num_threads(before)
            tpool.setup()
