"""crossings: between OS threads and green threads, in every combination."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.times import MS, PATIENCE, eventually

from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import find_hub, get_hub
from greenserve_hub.sync.thread_sync import Event, Queue, Semaphore


class InGreenThread:
    """Runs a function in a green thread of this OS thread."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self._green = spawn(fn)
        sleep()

    def result(self) -> Any:
        return self._green.wait()


class InOSThread:
    """Runs a function in an OS thread, which has no hub; the result is waited for greenly."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self._done: Queue[Any] = Queue()
        self.had_hub = True

        def run() -> None:
            value = fn()
            self.had_hub = find_hub() is not None
            self._done.put(value)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self) -> Any:
        value = self._done.get(timeout=PATIENCE)
        self._thread.join()
        assert not self.had_hub
        return value


Where = type[InGreenThread] | type[InOSThread]
everywhere = pytest.mark.parametrize("where", [InGreenThread, InOSThread])
wakers = pytest.mark.parametrize("waker", [InGreenThread, InOSThread])


def blocked(what: Semaphore | Event) -> Callable[[], bool]:
    return lambda: len(what._line) == 1


class TestSemaphore:
    @everywhere
    @wakers
    def test_a_token_wakes_who_waits(self, where: Where, waker: Where) -> None:
        semaphore = Semaphore(0)
        waiting = where(semaphore.acquire)
        eventually(blocked(semaphore))
        assert waker(semaphore.release).result() is None
        assert waiting.result() is True
        assert not semaphore.acquire(blocking=False)

    @everywhere
    def test_none_in_time(self, where: Where) -> None:
        semaphore = Semaphore(0)
        assert where(lambda: semaphore.acquire(timeout=5 * MS)).result() is False
        assert where(lambda: semaphore.acquire(timeout=0)).result() is False
        semaphore.release()
        assert semaphore.acquire(blocking=False), "who gave up is not in line any more"

    def test_first_come_first_served(self) -> None:
        semaphore, order = Semaphore(0), []
        greens = []
        for name in "abc":

            def wait(name: str = name) -> None:
                semaphore.acquire()
                order.append(name)

            greens.append(spawn(wait))
        sleep()
        semaphore.release(3)
        for green in greens:
            green.wait()
        assert order == ["a", "b", "c"]

    def test_a_token_on_its_way_to_a_killed_one_goes_to_the_next(self) -> None:
        semaphore = Semaphore(0)
        first, second = spawn(semaphore.acquire), spawn(semaphore.acquire)
        sleep()
        semaphore.release()
        kill(first)
        assert second.wait() is True

    def test_one_killed_while_it_waits_is_out_of_the_line(self) -> None:
        semaphore = Semaphore(0)
        first = spawn(semaphore.acquire)
        sleep()
        kill(first)
        semaphore.release()
        assert semaphore.acquire(blocking=False)

    def test_no_token_is_lost_or_made_between_many_threads(self) -> None:
        semaphore, rounds = Semaphore(3), 300
        inside, most = [0], [0]
        lock = threading.Lock()

        def use(pause: Callable[[float], object]) -> None:
            for _ in range(rounds):
                with semaphore:
                    with lock:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    pause(0)
                    with lock:
                        inside[0] -= 1

        threads = [InOSThread(lambda: use(time.sleep)) for _ in range(4)]
        greens = [spawn(use, sleep) for _ in range(4)]
        for green in greens:
            green.wait()
        for thread in threads:
            thread.result()
        assert 2 <= most[0] <= 3
        assert [semaphore.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda: Semaphore(-1),
            lambda: Semaphore().release(0),
            lambda: Semaphore().acquire(blocking=False, timeout=1),
            lambda: Semaphore().acquire(timeout=-2),
        ],
    )
    def test_wrong_arguments(self, wrong: Callable[[], object]) -> None:
        with pytest.raises(ValueError, match=r"semaphore|release|timeout"):
            wrong()


class TestEvent:
    @everywhere
    @wakers
    def test_set_wakes_all(self, where: Where, waker: Where) -> None:
        event = Event()
        waiting = [where(event.wait) for _ in range(3)]
        eventually(lambda: len(event._line) == 3)
        waker(event.set).result()
        assert [one.result() for one in waiting] == [True] * 3
        assert event.is_set()
        assert event.wait() is True

    @everywhere
    def test_wait_gives_up(self, where: Where) -> None:
        event = Event()
        assert where(lambda: event.wait(5 * MS)).result() is False
        assert not event._line
        event.set()
        event.clear()
        assert where(lambda: event.wait(0)).result() is False

    def test_the_hub_goes_on_meanwhile(self) -> None:
        event = Event()
        waiting = spawn(event.wait)
        for _ in range(3):
            sleep()
        event.set()
        assert waiting.wait() is True

    def test_waiting_for_another_thread_is_no_deadlock(self) -> None:
        event = Event()
        timer = threading.Timer(10 * MS, event.set)
        timer.start()
        assert event.wait() is True
        timer.join()

    def test_a_timeout_of_ones_own_reaches_it(self) -> None:
        event = Event()
        with Timeout(MS, False):
            event.wait()
        assert not event._line
        assert get_hub().wakeup.users == 0


class TestQueue:
    @everywhere
    @wakers
    def test_an_item_wakes_who_waits(self, where: Where, waker: Where) -> None:
        items: Queue[str] = Queue()
        waiting = where(items.get)
        eventually(blocked(items._ready))
        waker(lambda: items.put("x")).result()
        assert waiting.result() == "x"

    @everywhere
    @wakers
    def test_room_wakes_who_waits_to_put(self, where: Where, waker: Where) -> None:
        items: Queue[int] = Queue(1)
        items.put(1)
        assert items.full()
        waiting = where(lambda: items.put(2))
        assert items._room is not None
        eventually(blocked(items._room))
        assert waker(items.get).result() == 1
        waiting.result()
        assert items.get() == 2
        assert items.empty()

    @everywhere
    def test_empty_and_full(self, where: Where) -> None:
        items: Queue[int] = Queue(1)

        def tries() -> list[str]:
            told = []
            for wait in (lambda: items.get(timeout=MS), items.get_nowait, lambda: items.get(False, 5)):
                try:
                    wait()
                except queue.Empty:
                    told.append("empty")
            items.put(1)
            for put in (lambda: items.put(2, timeout=MS), lambda: items.put_nowait(2)):
                try:
                    put()
                except queue.Full:
                    told.append("full")
            return told

        assert where(tries).result() == ["empty"] * 3 + ["full"] * 2
        assert items.qsize() == 1

    def test_order_and_number_between_many_threads(self) -> None:
        items: Queue[tuple[int, int]] = Queue(5)

        def produce(who: int) -> None:
            for n in range(200):
                items.put((who, n))

        producers = [InOSThread(lambda who=who: produce(who)) for who in range(3)]
        producers.append(InGreenThread(lambda: produce(3)))  # type: ignore[arg-type]
        got = [items.get(timeout=PATIENCE) for _ in range(800)]
        for producer in producers:
            producer.result()
        for who in range(4):
            assert [n for one, n in got if one == who] == list(range(200))

    @everywhere
    def test_join(self, where: Where) -> None:
        items: Queue[int] = Queue()
        items.join()
        items.put(1)
        items.put(2)
        joining = where(items.join)
        eventually(lambda: len(items._all_done._line) == 1)
        for _ in range(2):
            items.get()
            items.task_done()
        joining.result()
        with pytest.raises(ValueError, match="task_done"):
            items.task_done()

    def test_a_negative_timeout(self) -> None:
        with pytest.raises(ValueError, match="negative"):
            Queue[int]().get(timeout=-1)
