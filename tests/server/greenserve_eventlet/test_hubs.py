"""eventlet.hubs: timers, listeners, the choice of a hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module

import pytest

import greenserve_hub
from greenserve_eventlet import debug, hubs
from greenserve_eventlet.hubs import asyncio, epolls, hub, poll, timer
from greenserve_hub import ConcurrentUseError, GreenletExit, HubError, IOClosed, getcurrent, sleep, spawn
from greenserve_hub.testing import fake_clock


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class TestTimers:
    def test_fire_in_order_with_arguments(self):
        with fake_clock():
            called: list[object] = []
            the_hub = hubs.get_hub()
            the_hub.schedule_call_global(2, called.append, 3)
            the_hub.schedule_call_global(1, called.append, 1)
            the_hub.schedule_call_global(1, called.append, 2)
            the_hub.schedule_call_global(0, lambda **kw: called.append(kw), a=0)
            spawn(called.append, "spawned")
            sleep(3)
        assert called == [{"a": 0}, "spawned", 1, 2, 3]

    def test_a_local_one_ends_with_its_green_thread(self):
        with fake_clock():
            called: list[int] = []
            made = spawn(hubs.get_hub().schedule_call_local, 1, called.append, 1).wait()
            assert not made.pending
            kept = hubs.get_hub().schedule_call_local(1, called.append, 2)
            assert kept.pending
            sleep(2)
        assert called == [2]
        assert not kept.pending

    def test_a_cancelled_one_is_not_called(self):
        with fake_clock():
            called: list[int] = []
            for seconds in (0, 1):
                one = hubs.get_hub().schedule_call_global(seconds, called.append, 1)
                one.cancel()
                one.cancel()
                assert not one.pending
            sleep(2)
        assert not called

    def test_one_made_by_hand(self):
        called: list[int] = []
        one = timer.Timer(0, called.append, 1)
        again = one.copy()
        one.schedule()
        again.schedule()
        sleep(0)
        assert called == [1, 1]

    def test_errors_are_told_and_the_hub_goes_on(self, errors: list[BaseException]):
        hubs.get_hub().schedule_call_global(0, lambda: 1 / 0)
        sleep(0)
        sleep(0)
        assert isinstance(errors.pop(), ZeroDivisionError)

    def test_say_where_they_were_made(self):
        debug.hub_timer_stacks(True)
        one = timer.Timer(1, print)
        debug.hub_timer_stacks(False)
        assert "test_say_where_they_were_made" in repr(one)
        assert repr(timer.Timer(1, print)) == "Timer(1, <built-in function print>, *(), **{})"


class TestSwitching:
    def test_until_somebody_switches_back(self):
        the_hub = hubs.get_hub()
        the_hub.schedule_call_global(0, getcurrent().switch, "passed")
        assert the_hub.switch() == "passed"

    def test_abort_lets_the_main_green_thread_go_on(self):
        the_hub = hubs.get_hub()
        the_hub.schedule_call_global(0, the_hub.abort)
        the_hub.switch()
        assert not the_hub.running
        the_hub.abort(wait=True)
        assert not the_hub.running
        the_hub.schedule_call_global(0, lambda: None)
        assert the_hub.running


class TestListeners:
    def test_are_called_as_long_as_there_is_something(self, pipe: tuple[int, int]):
        reads, writes = pipe
        the_hub = hubs.get_hub()
        called: list[int] = []
        listener = the_hub.add(the_hub.READ, reads, called.append, None, None)
        assert the_hub.get_readers() == [listener]
        sleep(0)
        assert not called
        os.write(writes, b"x")
        while len(called) < 3:
            sleep(0)
        the_hub.remove(listener)
        the_hub.remove(listener)
        count = len(called)
        sleep(0)
        sleep(0)
        assert len(called) == count
        assert called[0] == reads
        assert not the_hub.get_readers()
        assert reads not in greenserve_hub.get_hub().descriptors

    def test_writers(self, pipe: tuple[int, int]):
        the_hub = hubs.get_hub()
        called: list[int] = []
        listener = the_hub.add(the_hub.WRITE, pipe[1], called.append, None, None)
        assert the_hub.get_writers() == [listener]
        while not called:
            sleep(0)
        the_hub.remove_descriptor(pipe[1])
        assert not the_hub.get_writers()

    def test_are_told_of_the_close(self, pipe: tuple[int, int]):
        the_hub = hubs.get_hub()
        told: list[object] = []
        the_hub.add(the_hub.READ, pipe[0], told.append, told.append, lambda: told.append("closed"))
        hubs.notify_close(pipe[0])
        assert told[0] == "closed"
        assert isinstance(told[1], IOClosed)

    def test_a_second_one_is_refused_unless_allowed(self, pipe: tuple[int, int]):
        the_hub = hubs.get_hub()
        first = the_hub.add(the_hub.READ, pipe[0], print, None, None)
        with pytest.raises(ConcurrentUseError, match="hub_prevent_multiple_readers"):
            the_hub.add(the_hub.READ, pipe[0], print, None, None)
        debug.hub_prevent_multiple_readers(False)
        try:
            second = the_hub.add(the_hub.READ, pipe[0], print, None, None)
            the_hub.remove(second)
        finally:
            debug.hub_prevent_multiple_readers(True)
        the_hub.remove(first)

    def test_say_where_they_were_added(self, pipe: tuple[int, int]):
        the_hub = hubs.get_hub()
        debug.hub_listener_stacks(True)
        listener = the_hub.add(the_hub.READ, pipe[0], print, None, None)
        assert "test_say_where_they_were_added" in debug.format_hub_listeners()
        the_hub.remove(listener)


class TestChoosing:
    def test_by_name_module_class_and_path(self):
        for how in ("poll", poll, poll.Hub, "greenserve_eventlet.hubs.poll:Hub"):
            hubs.use_hub("selects")
            hubs.use_hub(how)
            assert isinstance(hubs.get_hub(), poll.Hub)
            assert greenserve_hub.get_hub().poller.name == "poll"

    def test_late_waits_go_on(self):
        waiting = spawn(sleep, 0.001)
        sleep(0)
        hubs.use_hub("poll")
        waiting.wait()
        assert greenserve_hub.get_hub().poller.name == "poll"

    def test_not_to_asyncio_with_waits(self):
        waiting = spawn(sleep, 10)
        sleep(0)
        with pytest.raises(HubError, match="cannot move"):
            hubs.use_hub("asyncio")
        waiting.kill()
        with pytest.raises(GreenletExit):
            waiting.wait()

    def test_the_best_one_without_a_name(self):
        hubs.use_hub()
        assert isinstance(hubs.get_hub(), hubs.get_default_hub().Hub)

    def test_a_class_of_the_program(self):
        class Named:
            pass

        hubs.use_hub(Named)
        assert isinstance(hubs.get_hub(), Named)

    def test_a_loop_of_the_program_is_refused(self):
        class Loop:
            def run(self) -> None:
                raise AssertionError

        with pytest.raises(HubError, match="drives an event loop of its own"):
            hubs.use_hub(Loop)
        with pytest.raises(RuntimeError, match="needs the name"):
            hubs.use_hub(" ")

    def test_each_kind_says_if_it_is_there(self):
        assert any(module.is_available() for module in hubs.builtin_hub_modules)
        assert asyncio.is_available() == epolls.is_available()
        assert issubclass(poll.Hub, hub.BaseHub)
        with pytest.raises(ImportError, match="pyevent"):
            import_module("greenserve_eventlet.hubs.pyevent")
