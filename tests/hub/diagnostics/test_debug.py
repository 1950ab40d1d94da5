"""debug: the dump of all green threads, from code and from a signal, and what else helps to find a fault."""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from greenlet import greenlet
from tests.support.times import PATIENCE, eventually

from greenserve_hub.diagnostics import debug
from greenserve_hub.greenio.sockets import socketpair
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn, spawn_n
from greenserve_hub.greenthreads.piles import GreenPile
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, wait_all_blocked


def format_threads(stacks: bool = True) -> str:
    """The part of the test's own hub: others may be left of tests before."""
    told = debug.format_threads(stacks, sys._getframe(1))
    return told.partition("\nOS thread ")[0] + "\n"


def _entry(name: str, dump: str) -> str:
    """The lines of one green thread: its own and its stack."""
    (found,) = re.finditer(rf"^( *){re.escape(name)}.*\n(?:\1    .*\n)*", dump, re.MULTILINE)
    return found[0]


def _depth(name: str, dump: str) -> int:
    (indent,) = re.findall(rf"^( *){re.escape(name)}", dump, re.MULTILINE)
    return len(indent) // 2


def _open_hubs() -> int:
    return sum(1 for one in gc.get_objects() if type(one) is Hub and not one.closed)


def crawl(event: Event) -> None:
    event.wait()


class TestDump:
    def test_passes_over_a_hub_that_could_not_be_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GREENSERVE_HUB", "none that there is")
        with pytest.raises(ValueError, match="none that there is") as failed:
            Hub()
        (hub,) = {one.frame.f_locals.get("self") for one in failed.traceback} - {None, self}
        assert isinstance(hub, Hub)
        assert hub.closed  # the collector still knows it
        assert (
            debug.format_threads().count("\nOS thread ") == _open_hubs() - 1
        )  # the first has no line before it

    def test_tells_of_those_that_the_collector_has_set_aside(self) -> None:
        event = Event()
        spawn(crawl, event)
        wait_all_blocked()
        gc.freeze()
        try:
            told = format_threads(stacks=False)
        finally:
            gc.unfreeze()
        assert "  the main green thread: running\n" in told
        assert _entry("crawl", told).endswith(f": event {event}\n")
        event.send()
        sleep()

    def test_tells_of_each_its_function_age_line_wait_and_stack(self, clock: FakeClock) -> None:
        event = Event()
        green = spawn(crawl, event)
        wait_all_blocked()
        sleep(12)
        entry = _entry("crawl", format_threads())
        assert entry.startswith(f"    crawl, GreenThread {id(green):#x}, 12.0 s old, spawned at {__file__}:")
        assert f": waiting 12.0 s: event {event}\n" in entry
        assert re.search(r"in crawl\n +event.wait\(\)\n", entry)
        event.send()
        sleep()

    def test_without_stacks_it_has_a_line_for_each(self) -> None:
        green = spawn(crawl, Event())
        wait_all_blocked()
        told = format_threads(stacks=False).splitlines()
        assert sum(line.lstrip().startswith("crawl") for line in told) == 1
        assert not any("File" in line for line in told)
        kill(green)

    def test_names_its_os_thread_and_the_main_green_thread(self) -> None:
        told = format_threads()
        assert told.startswith(f"OS thread MainThread, hub on {get_hub().poller.name}: 0 descriptors, ")
        assert "in TestDump.test_names_its_os_thread_and_the_main_green_thread\n" in _entry(
            "the main green thread: running", told
        )

    def test_a_name_that_was_given(self) -> None:
        green = spawn(crawl, Event())
        green.name = "crawler 7"
        wait_all_blocked()
        assert f"crawl, crawler 7 (GreenThread {id(green):#x}), " in format_threads()
        kill(green)

    def test_one_that_has_not_begun(self) -> None:
        event = Event()
        greens = [
            spawn(crawl, event),
            spawn_n(partial(partial(crawl), event)),
            GreenPool().spawn(crawl, event),
        ]
        told = format_threads()
        for green in greens:
            line = _entry(f"crawl, {type(green).__name__} {id(green):#x}", told)
            assert line.endswith(": not begun\n")
        event.send()
        sleep()
        sleep()

    def test_functions_of_c_have_names_too(self) -> None:
        taken = spawn(list, iter(lambda: crawl(Event()), 1))
        wait_all_blocked()
        assert "    list, GreenThread" in format_threads()
        kill(taken)

    def test_one_that_was_switched_away_from_by_hand(self) -> None:
        green = spawn(lambda: get_hub().switch())
        sleep()
        assert _entry("TestDump.", format_threads(False)).endswith(": switched away by hand\n")
        get_hub().call_soon(green.switch)
        sleep()

    def test_a_greenlet_below_a_green_thread_is_there(self) -> None:
        def by_hand() -> None:
            greenlet(crawl).switch(Event())

        green = spawn(by_hand)
        wait_all_blocked()
        told = format_threads(False)
        assert ": switched away by hand" in _entry("TestDump.test_a_greenlet_below", told)
        assert ": waiting " in _entry("crawl, greenlet", told)
        for one in tuple(get_hub().parked):
            kill(one)
        kill(green)


class TestTree:
    def test_each_stands_below_its_spawner(self) -> None:
        def parent() -> None:
            spawn(child).wait()

        def child() -> None:
            GreenPool().spawn_n(crawl, event)
            event.wait()

        event = Event()
        top = spawn(parent)
        wait_all_blocked()
        told = format_threads(False)
        name = "TestTree.test_each_stands_below_its_spawner.<locals>."
        depths = [_depth("the main", told), _depth(f"{name}parent", told), _depth(f"{name}child", told)]
        assert [*depths, _depth("crawl", told)] == [1, 2, 3, 4]
        event.send()
        sleep()
        top.wait()

    def test_whose_spawner_is_dead_stands_at_the_top(self) -> None:
        event = Event()
        spawn(spawn, crawl, event).wait()
        wait_all_blocked()
        assert _depth("crawl", format_threads(False)) == 1
        event.send()
        sleep()
        sleep()

    def test_a_pools_worker_that_does_another_job_is_no_spawner(self, clock: FakeClock) -> None:
        pool, event = GreenPool(1), Event()
        pool.spawn_n(spawn, crawl, event)
        pool.waitall()
        sleep(1)
        pool.spawn_n(event.wait)
        wait_all_blocked()
        assert _depth("crawl", format_threads(False)) == 1
        event.send()
        sleep()

    def test_who_spawned_each_other_are_told_of_once(self, clock: FakeClock) -> None:
        # On a clock that stands still: two workers of a pool, each busy with what the other asked for.
        one, other, event = GreenPool(1), GreenPool(1), Event()

        def first() -> None:
            other.spawn_n(second)

        def second() -> None:
            one.spawn_n(crawl, event)
            event.wait()

        one.spawn_n(first)
        wait_all_blocked()
        told = format_threads(False)
        assert told.count("crawl, ") == told.count(".second, ") == 1
        event.send()
        sleep()

    def test_lanes_and_piles(self) -> None:
        event = Event()
        pile = GreenPile()
        pile.spawn(crawl, event)
        results = GreenPool(2).imap(crawl, [event, event])
        wait_all_blocked()
        told = format_threads()
        assert told.count("in crawl\n") == 3
        assert told.count("GreenMap._lane, PoolWorker") == 2
        event.send()
        sleep()
        assert list(results) == [None, None]
        assert list(pile) == [None]

    def test_idle_workers_are_counted(self) -> None:
        pool = GreenPool()
        for _ in range(3):
            pool.spawn_n(sleep)
        pool.waitall()
        assert format_threads(False).rstrip().endswith("\n  3 idle workers of pools")


class TestHostileObjects:
    def test_a_subject_that_cannot_be_printed(self) -> None:
        class Hostile(Event):
            def __repr__(self) -> str:
                raise ZeroDivisionError

        green = spawn(crawl, Hostile())
        wait_all_blocked()
        assert ": event a Hostile that cannot be printed: ZeroDivisionError\n" in format_threads()
        kill(green)

    def test_a_deadlock_tells_of_it_too(self) -> None:
        class Hostile(Event):
            def __repr__(self) -> str:
                raise ZeroDivisionError

        with pytest.raises(RuntimeError, match="a Hostile that cannot be printed"):
            Hostile().wait()

    def test_a_name_that_cannot_be_printed(self) -> None:
        class Hostile:
            def __str__(self) -> str:
                raise ZeroDivisionError

        green = spawn(crawl, Event())
        green.name = Hostile()  # type: ignore[assignment]
        wait_all_blocked()
        assert f"GreenThread {id(green):#x}: cannot be shown: ZeroDivisionError\n" in format_threads()
        kill(green)

    def test_a_lazy_proxy_is_not_asked_for_its_class(self) -> None:
        class Proxy:
            @property
            def __class__(self) -> Any:
                raise RuntimeError("no request")

            @__class__.setter
            def __class__(self, value: Any) -> None:
                raise NotImplementedError

        proxy = Proxy()
        assert format_threads()
        del proxy


class TestOtherThreads:
    @pytest.fixture
    def other(self) -> Iterator[tuple[str, Any]]:
        """Another OS thread whose hub waits, and a way to call something there."""
        ready, name = threading.Event(), "the other"
        found: list[Any] = []

        def live() -> None:
            hub = get_hub()
            event = Event()
            found.extend((hub, event))
            hub.wakeup.users += 1
            spawn(crawl, event)
            hub.call_soon(ready.set)
            event.wait()
            hub.close()

        thread = threading.Thread(target=live, name=name)
        thread.start()
        assert ready.wait(PATIENCE)
        yield name, found[0]
        found[0].call_from_thread(found[1].send)
        thread.join()

    def test_are_told_of_after_the_current_one(self, other: tuple[str, Any]) -> None:
        eventually(lambda: debug.format_threads().count("in crawl\n") == 1)
        told = debug.format_threads()
        assert told.index("OS thread MainThread") < told.index("OS thread the other, hub on ")
        assert ": waiting " in _entry("crawl", told)

    def test_one_that_runs_shows_where_it_is(self, other: tuple[str, Any]) -> None:
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            leave.wait(PATIENCE)

        other[1].call_from_thread(spawn, hold)
        assert entered.wait(PATIENCE)
        entry = _entry(
            "TestOtherThreads.test_one_that_runs_shows_where_it_is.<locals>.hold", debug.format_threads()
        )
        leave.set()
        assert ": running\n" in entry
        assert "leave.wait(PATIENCE)\n" in entry

    def test_one_that_has_ended_without_closing_its_hub(self) -> None:
        thread = threading.Thread(target=lambda: spawn(sleep).wait())
        thread.start()
        thread.join()
        assert debug.format_threads()
        gc.collect()  # Python 3.15 empties it, and the ended thread's stack keeps what is left
        assert debug.format_threads()


class TestSignal:
    @pytest.fixture
    def told(self) -> Iterator[list[str]]:
        told: list[str] = []
        before = debug.dump_on_signal(signal.SIGQUIT, told.append)
        yield told
        signal.signal(signal.SIGQUIT, before)

    def test_while_a_green_thread_holds_the_hub(self, told: list[str]) -> None:
        def spin() -> None:
            threading.Timer(0, os.kill, (os.getpid(), signal.SIGQUIT)).start()
            while not told:
                pass  # as a loop without end would

        spawn(spin).wait(PATIENCE)
        entry = _entry("TestSignal.test_while_a_green_thread_holds_the_hub.<locals>.spin", told[0])
        assert ": running\n" in entry
        assert f"in {spin.__qualname__}\n" in entry
        assert "format_threads" not in entry

    def test_that_fails_harms_nobody(self, capfd: pytest.CaptureFixture[str]) -> None:
        def fail(text: str) -> None:
            raise ZeroDivisionError

        before = debug.dump_on_signal(signal.SIGQUIT, fail)
        signal.raise_signal(signal.SIGQUIT)
        signal.signal(signal.SIGQUIT, before)
        assert "ZeroDivisionError" in capfd.readouterr().err

    def test_on_stderr_in_the_middle_of_a_write_to_it(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Raw(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: Any) -> int:
                signal.raise_signal(signal.SIGQUIT)
                return len(data)

        before = debug.dump_on_signal(signal.SIGQUIT)
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Raw()), write_through=True))
        print("a line", file=sys.stderr, flush=True)
        signal.signal(signal.SIGQUIT, before)
        assert "the main green thread: running" in capfd.readouterr().err


class TestHub:
    def test_listeners(self) -> None:
        one, other = socketpair()
        reader = spawn(one.recv, 1)
        wait_all_blocked()
        told = debug.format_hub_listeners()
        assert told.startswith(
            f"1 descriptors\nfd {one.fileno()}: read by <bound method Waiter.wake of read fd"
        )
        other.send(b"x")
        reader.wait()
        one.close()
        other.close()

    def test_timers(self, clock: FakeClock) -> None:
        green = spawn(sleep, 5)
        wait_all_blocked()
        assert debug.format_hub_timers().startswith(
            "1 timers\nin 5.000 s: <bound method Waiter.wake of sleep 5>"
        )
        kill(green)

    def test_exceptions_are_printed_or_not(self, capfd: pytest.CaptureFixture[str]) -> None:
        for state in (False, True):
            debug.hub_exceptions(state)
            spawn_n(lambda: 1 / 0)
            sleep()
            assert ("ZeroDivisionError" in capfd.readouterr().err) is state


def test_it_is_a_module_of_greenserve() -> None:
    import greenserve

    assert greenserve.debug is debug
