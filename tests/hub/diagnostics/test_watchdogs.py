"""watchdogs: who holds the hub is told of, once, with the stack; nobody else ever is."""

from __future__ import annotations

import _thread
import math
import os
import queue
import signal
import threading
import time
from collections.abc import Callable

import pytest
from tests.support.times import MS, PATIENCE, eventually

from greenserve_hub.diagnostics.watchdogs import Watchdog, print_hold
from greenserve_hub.greenthreads.greenthreads import getcurrent, sleep, spawn
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.testing import fake_clock

Told = queue.SimpleQueue[tuple[float, str]]
FOREVER = 1_000_000.0


@pytest.fixture
def told() -> Told:
    return queue.SimpleQueue()


def _telling(told: Told) -> Callable[[float, str], object]:
    return lambda seconds, stack: told.put((seconds, stack))


def _count_looks() -> list[float]:
    """Grows with each look at the current hub, which never waits for longer than it has to."""
    looks: list[float] = []

    class LookedAt(Hub):
        @property
        def waiting(self) -> bool:
            looks.append(self.now)
            return False

        @waiting.setter
        def waiting(self, value: bool) -> None:
            pass

    get_hub().__class__ = LookedAt
    return looks


@pytest.fixture
def looks(errors: list[BaseException]) -> list[float]:
    return _count_looks()


def _hold(until: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not until() and time.monotonic() < limit:
        pass


def test_tells_of_a_green_thread_that_holds_the_hub_while_it_does(told: Told) -> None:
    with Watchdog(_telling(told), 20 * MS):
        spawn(_hold, lambda: not told.empty()).wait()
    seconds, stack = told.get_nowait()
    assert 20 * MS <= seconds < PATIENCE
    assert "in _hold\n" in stack
    assert __file__ in stack
    assert told.empty()


def test_once_for_each_hold(told: Told, looks: list[float]) -> None:
    def hold() -> None:
        _hold(lambda: not told.empty())
        before = len(looks)
        _hold(lambda: len(looks) > before + 5)

    with Watchdog(_telling(told), 10 * MS):
        for _ in range(2):
            spawn(hold).wait()
            assert told.get_nowait()
            assert told.empty()


def test_again_while_it_lasts(told: Told) -> None:
    found = []
    with fake_clock() as clock:
        looks = _count_looks()
        with Watchdog(_telling(told), 10 * MS, who=lambda frame: "somebody"):
            sleep()
            for seconds in (0.5, 0.4, 0.2, 8.0, 2.0, 80.0, 20.0):
                clock.advance(seconds)
                before = len(looks)
                _hold(lambda before=before: len(looks) > before + 2)  # type: ignore[misc]
                while not told.empty():
                    found.append(told.get_nowait())
    assert [round(seconds, 1) for seconds, _ in found] == [0.5, 1.1, 11.1, 111.1]
    assert {stack.partition("\n")[0] for _, stack in found} == {"somebody"}


def test_it_says_who_it_is(told: Told) -> None:
    def hold() -> None:
        getcurrent().name = "miner"  # type: ignore[attr-defined]
        _hold(lambda: not told.empty())

    with Watchdog(_telling(told), 10 * MS):
        green = spawn(hold)
        green.wait()
    assert told.get_nowait()[1].splitlines()[0] == f"miner (GreenThread {id(green):#x})"


def test_those_that_each_run_for_less_hold_nothing(told: Told) -> None:
    # In one turn, together for six times as long as the threshold.
    with fake_clock() as clock:
        looks = _count_looks()

        def run() -> None:
            before = len(looks)
            _hold(lambda: len(looks) > before + 1)
            clock.advance(6 * MS)
            _hold(lambda: len(looks) > before + 3)

        with Watchdog(_telling(told), 10 * MS):
            greens = [spawn(run) for _ in range(10)]
            for green in greens:
                green.wait()
        assert told.empty()


def test_a_hub_that_waits_holds_nothing(told: Told) -> None:
    with Watchdog(_telling(told), MS):
        sleep(20 * MS)
    # What runs between two waits may take longer than a millisecond; the wait itself is never told of.
    while not told.empty():
        assert "poll(" not in told.get_nowait()[1].splitlines()[-1]


def test_time_before_it_began_does_not_count(told: Told) -> None:
    with fake_clock() as clock:
        clock.advance(FOREVER)
        with Watchdog(_telling(told), 2 * MS):
            threading.Event().wait(20 * MS)
        assert told.empty()


def test_a_hold_of_the_whole_time_is_told_by_the_hubs_clock(told: Told) -> None:
    with fake_clock() as clock, Watchdog(_telling(told), 10 * MS):
        sleep()
        clock.advance(60)
        _hold(lambda: not told.empty())
        assert told.get_nowait()[0] == 60


def test_another_hub_than_the_current_one(told: Told) -> None:
    hubs: queue.SimpleQueue[Hub] = queue.SimpleQueue()
    begin = threading.Event()

    def live() -> None:
        hubs.put(get_hub())
        begin.wait(PATIENCE)
        _hold(lambda: not told.empty())
        get_hub().close()

    thread = threading.Thread(target=live)
    thread.start()
    with Watchdog(_telling(told), 10 * MS, hubs.get()):
        begin.set()
        thread.join()
    assert "in test_another_hub_than_the_current_one.<locals>.live\n" in told.get_nowait()[1]


def test_a_report_that_fails_ends_nothing(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[type[BaseException]] = []
    monkeypatch.setattr("sys.excepthook", lambda kind, error, trace: failed.append(kind))

    def fail(seconds: float, stack: str) -> None:
        told.put((seconds, stack))
        raise ZeroDivisionError

    with Watchdog(fail, 10 * MS):
        for _ in range(2):
            spawn(_hold, lambda: not told.empty()).wait()
            told.get_nowait()
    assert failed == [ZeroDivisionError] * 2


def test_nothing_is_left_of_it() -> None:
    before = _thread._count()
    for _ in range(10):
        with Watchdog():
            pass
    eventually(lambda: _thread._count() <= before)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_child_of_a_fork_can_stop_it() -> None:
    with Watchdog() as watchdog:
        child = os.fork()
        if not child:
            signal.alarm(math.ceil(PATIENCE))
            watchdog.stop()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_threshold_is_a_time() -> None:
    with pytest.raises(ValueError, match="a threshold is a positive number of seconds, not 0"):
        Watchdog(threshold=0)


def test_on_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    print_hold(0.25, "  File x\n")
    assert capsys.readouterr().err == "a green thread has held the hub for 0.250 s so far:\n  File x\n"
