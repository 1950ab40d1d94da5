"""A finalizer that comes at any moment: every primitive, at every point where CPython may let one in.

Each scenario runs once for each point of the hub's code that it passes through, with a finalizer there: one that uses
the same object again, or one that waits for a lock while all others go on. Nobody may wait for ever, nobody may be let
in beside another, and nothing may be lost.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty
from typing import Any

import pytest
from greenlet import getcurrent
from tests.support.hubs.interruptions import Interruption, interrupt_everywhere
from tests.support.times import MS, PATIENCE

from greenserve_hub import (
    BoundedSemaphore,
    Condition,
    Event,
    GreenPool,
    LifoQueue,
    Lock,
    PriorityQueue,
    Queue,
    RLock,
    Semaphore,
    Timeout,
    sleep,
    socketpair,
    spawn,
)
from greenserve_hub.greenthreads.locals import local
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.greenlets import HubLoop
from greenserve_hub.loop.parking import TIMED_OUT
from greenserve_hub.patching.locks.thread_locks import ThreadLock, ThreadRLock
from greenserve_hub.patching.locks.thread_queues import SimpleQueue
from greenserve_hub.sync import handoffs
from greenserve_hub.sync import thread_sync as crossings
from greenserve_hub.testing import fake_clock

LONG = 1000.0  # seconds of the fake clock, after which somebody was forgotten


class Scenario:
    """Green threads that share an object, and what a finalizer does to it meanwhile."""

    def workers(self) -> list[Callable[[], object]]:
        raise NotImplementedError

    def again(self) -> None:
        """Use the same object, and leave it as it was."""
        raise NotImplementedError

    def check(self) -> None:
        """All is as it should be in the end."""


class Exclusion(Scenario):
    """A lock, one at a time."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.lock = make()
        self.inside: list[object] = []
        self.rounds = 0

    def hold(self, seconds: float = 0) -> None:
        with self.lock:
            self.inside.append(getcurrent())
            assert len(set(self.inside)) == 1, "two are inside"
            sleep(seconds)
            self.inside.remove(getcurrent())
            self.rounds += 1

    def workers(self) -> list[Callable[[], object]]:
        # One who would give up is served, and one is not.
        return [self.hold, partial(self.give_up, 1), partial(self.hold, 0.01), partial(self.give_up, 0.001)]

    def give_up(self, seconds: float) -> None:
        if self.lock.acquire(timeout=seconds):
            self.lock.release()

    def again(self) -> None:
        if isinstance(self.lock, ThreadRLock | RLock) or not self._is_mine():
            with self.lock:
                assert len(set(self.inside) - {getcurrent()}) == 0, "two are inside"

    def _is_mine(self) -> bool:
        # Else a lock that may not be taken twice is taken twice, which no thread survives.
        lock = self.lock
        is_free = not lock._held.locked() if isinstance(lock, ThreadLock) else lock.acquire(blocking=False)
        if is_free:
            if not isinstance(lock, ThreadLock):
                lock.release()
            return False
        mine = getcurrent()
        others = {one for one in self.inside if one is not mine}
        others |= {
            one.green
            for one in handoffs._standing.values()
            if one.line is getattr(lock, "_line", 0) and one.granted and one.green is not mine
        }
        others |= {
            green
            for green, waiter in get_hub().parked.items()
            if waiter.subject is lock and waiter.woken and waiter.value is not TIMED_OUT and green is not mine
        }
        return not others

    def check(self) -> None:
        assert self.rounds == 2
        assert not self.lock.locked()
        assert not getattr(self.lock, "_line", None)


class Conditional(Scenario):
    """A condition: everybody who waits is notified."""

    def __init__(self) -> None:
        self.condition = Condition()
        self.items: list[int] = []
        self.got: list[int] = []

    def take(self) -> None:
        with self.condition:
            while not self.items:
                self.condition.wait()
            self.got.append(self.items.pop())

    def give(self) -> None:
        for item in range(2):
            with self.condition:
                self.items.append(item)
                self.condition.notify()
            sleep()

    def workers(self) -> list[Callable[[], object]]:
        return [self.take, self.give, self.take]

    def again(self) -> None:
        with self.condition:
            self.condition.notify_all()

    def check(self) -> None:
        assert sorted(self.got) == [0, 1]


class Queueing(Scenario):
    """What is put in comes out, once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.queue = make()
        self.got: list[int] = []

    def get(self) -> None:
        self.got.extend(self.queue.get() for _ in range(2))

    def put(self) -> None:
        for item in range(3):
            self.queue.put(item)
        sleep()
        self.queue.put(3)

    def workers(self) -> list[Callable[[], object]]:
        return [self.get, self.put, self.get]

    def again(self) -> None:
        with suppress(Empty):
            self.got.append(self.queue.get(False))
            self.queue.put(self.got.pop())

    def check(self) -> None:
        assert sorted(self.got) == [0, 1, 2, 3]
        with pytest.raises(Empty):
            self.queue.get(False)


class Unbounded(Queueing):
    """One into which a finalizer may put whatever is going on."""

    def again(self) -> None:
        self.queue.put(4)

    def check(self) -> None:
        with suppress(Empty):
            while True:
                self.got.append(self.queue.get(False))
        assert sorted(self.got) in ([0, 1, 2, 3], [0, 1, 2, 3, 4])


class Joining(Scenario):
    """Everything that was put in is done."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.queue = make()
        self.items, self.done = 2, 0
        self.joined = False

    def join(self) -> None:
        sleep()
        self.queue.join()
        self.joined = True

    def work(self) -> None:
        while self.done < self.items:
            self.queue.get()
            self.done += 1
            self.queue.task_done()

    def put(self) -> None:
        self.queue.put(1)
        self.queue.put(2)

    def workers(self) -> list[Callable[[], object]]:
        return [self.join, self.work, self.put]

    def again(self) -> None:
        if self.done < 2:
            self.items += 1
            self.queue.put(3)

    def check(self) -> None:
        assert self.joined
        assert self.done == self.items


class Signalling(Scenario):
    """An event, for all who wait."""

    def __init__(self, make: Callable[[], Any], send: str) -> None:
        self.event = make()
        self.set = getattr(self.event, send)
        self.seen = 0

    def wait(self) -> None:
        self.event.wait()
        self.seen += 1

    def send(self) -> None:
        sleep()
        self.set()

    def workers(self) -> list[Callable[[], object]]:
        return [self.wait, self.send, self.wait]

    def again(self) -> None:
        self.event.wait(0.001)

    def check(self) -> None:
        assert self.seen == 2


class Sleeping(Scenario):
    """Time passes, in order."""

    def __init__(self) -> None:
        self.woken: list[float] = []

    def nap(self, seconds: float) -> None:
        sleep(seconds)
        self.woken.append(seconds)

    def workers(self) -> list[Callable[[], object]]:
        return [partial(self.nap, 0), partial(self.nap, 0.02), partial(self.nap, 5)]

    def again(self) -> None:
        sleep(0.001)

    def check(self) -> None:
        assert sorted(self.woken) == [0, 0.02, 5]


class Talking(Scenario):
    """Two ends of a socket, each of which waits for the other."""

    def __init__(self) -> None:
        self.ends = socketpair()
        self.heard: list[bytes] = []

    def ask(self) -> None:
        for question in (b"one", b"two"):
            self.ends[0].sendall(question)
            self.heard.append(self.ends[0].recv(10))
        self.ends[0].close()

    def answer(self) -> None:
        while heard := self.ends[1].recv(10):
            self.ends[1].sendall(heard.upper())
        self.ends[1].close()

    def workers(self) -> list[Callable[[], object]]:
        return [self.ask, self.answer]

    def again(self) -> None:
        ours, theirs = socketpair()
        with ours, theirs:
            spawn(theirs.sendall, b"x")
            assert ours.recv(1) == b"x"

    def check(self) -> None:
        assert self.heard == [b"ONE", b"TWO"]


class Pooling(Scenario):
    """All jobs of a pool are done, and one that has to wait is done too."""

    def __init__(self) -> None:
        self.pool = GreenPool(2)
        self.done: list[int] = []

    def job(self, number: int) -> int:
        sleep()
        self.done.append(number)
        return number

    def spawn_all(self) -> None:
        results = [self.pool.spawn(self.job, number) for number in range(2)]
        for number in range(2, 5):
            self.pool.spawn_n(self.job, number)
        assert [result.wait() for result in results] == [0, 1]
        self.pool.waitall()
        assert len([number for number in self.done if number < 5]) == 5

    def workers(self) -> list[Callable[[], object]]:
        return [self.spawn_all]

    def again(self) -> None:
        self.pool.spawn_n(self.job, 5)

    def check(self) -> None:
        self.pool.waitall()
        assert sorted(self.done) in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5])
        assert self.pool.free() == 2
        assert self.pool.running() == 0


class Mapping(Scenario):
    """The results of a map come in the order of its items."""

    def __init__(self) -> None:
        self.pool = GreenPool(2)
        self.results: list[int] = []

    def call(self, item: int) -> int:
        sleep(0.01 * (item % 2))
        return item

    def map(self) -> None:
        self.results += self.pool.imap(self.call, range(4))

    def workers(self) -> list[Callable[[], object]]:
        return [self.map]

    def again(self) -> None:
        spawn(self.call, 1).wait()

    def check(self) -> None:
        assert self.results == [0, 1, 2, 3]


class Locals(Scenario):
    """Each green thread finds what it has put there."""

    def __init__(self) -> None:
        class Mine(local):
            shared = "class"

            def __init__(self) -> None:
                self.name = "nobody"

        self.local = Mine()

    def work(self, name: str) -> None:
        assert (self.local.name, self.local.shared) == ("nobody", "class")
        self.local.name = self.local.shared = name
        assert (self.local.name, self.local.shared) == (name, name)
        del self.local.shared
        assert vars(self.local) == {"name": name}
        sleep()
        assert self.local.name == name

    def workers(self) -> list[Callable[[], object]]:
        return [partial(self.work, "a"), partial(self.work, "b")]

    def again(self) -> None:
        before = getattr(self.local, "name", None)
        self.local.name = "finalizer"
        if before is not None:
            self.local.name = before


class Limited(Scenario):
    """Whom a Timeout interrupts."""

    def __init__(self) -> None:
        self.lock = ThreadLock()
        self.told: list[str] = []

    def wait(self) -> None:
        try:
            with Timeout(0.5):  # longer than a finalizer waits, which would get it instead
                self.lock.acquire()
        except Timeout:
            self.told.append("late")

    def workers(self) -> list[Callable[[], object]]:
        self.lock.acquire()
        return [self.wait, self.wait]

    def again(self) -> None:
        sleep(0)

    def check(self) -> None:
        assert self.told == ["late", "late"]
        assert not self.lock._line


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    **{
        f"{make.__module__}.{make.__qualname__}": partial(Exclusion, make)
        for make in (ThreadLock, ThreadRLock, Lock, RLock)
    },
    "Semaphore": partial(Exclusion, Semaphore),
    "BoundedSemaphore": partial(Exclusion, BoundedSemaphore),
    "Condition": Conditional,
    "Queue": partial(Queueing, Queue),
    "Queue(1)": partial(Queueing, partial(Queue, 1)),
    "Queue(0)": partial(Queueing, partial(Queue, 0)),
    "LifoQueue": partial(Queueing, LifoQueue),
    "PriorityQueue": partial(Queueing, PriorityQueue),
    "threads.Queue": partial(Queueing, crossings.Queue),
    "threads.Queue(1)": partial(Queueing, partial(crossings.Queue, 1)),
    "SimpleQueue": partial(Unbounded, SimpleQueue),
    "Queue.join": partial(Joining, Queue),
    "threads.Queue.join": partial(Joining, crossings.Queue),
    "Event": partial(Signalling, Event, "send"),
    "threads.Event": partial(Signalling, crossings.Event, "set"),
    "sleep": Sleeping,
    "socket": Talking,
    "GreenPool": Pooling,
    "imap": Mapping,
    "local": Locals,
    "Timeout": Limited,
}


def play(make: Callable[[], Scenario], away: bool, interruption: Interruption) -> None:
    """One run, with the interruption at its point."""
    with fake_clock():
        hub = get_hub()
        errors: list[BaseException] = []
        hub.on_error = lambda kind, error, trace: errors.append(error)
        scenario, gate, asked = make(), ThreadLock(), Event()

        def keep() -> None:
            with gate:
                asked.wait()
                for _ in range(3):
                    sleep()
                sleep(0.1)

        def go_away() -> None:
            asked.send()
            with gate:
                pass

        keeper = spawn(keep)
        sleep()
        interruption.act = go_away if away else scenario.again
        try:
            with Timeout(LONG):
                with interruption:
                    greens = [spawn(worker) for worker in scenario.workers()]
                    for green in greens:
                        green.wait()
                while interruption.where and not interruption.ended:
                    sleep(1)
                scenario.check()
            assert not interruption.error
            assert not errors
            assert not handoffs._standing
            assert not set(hub.parked) - {keeper}
            assert isinstance(hub.greenlet, HubLoop)
        except BaseException as error:
            where = f"interrupted at point {interruption.number}: {interruption.where}"
            error.add_note(f"{where}; {errors}; waiting: {hub.parked}")
            raise


@pytest.mark.parametrize("away", [False, True], ids=["uses it again", "waits for another"])
@pytest.mark.parametrize("make", SCENARIOS.values(), ids=SCENARIOS)
def test_a_finalizer_comes_at_any_point(make: Callable[[], Scenario], away: bool):
    points = interrupt_everywhere(partial(play, make, away))
    assert points > 50, "our code was not looked at"


class Thing:
    """What a weak reference can be had of."""


def test_the_callback_of_a_weak_reference_that_has_interrupted_the_hub_may_wait():
    done: Event[list[str]] = Event()
    others: list[str] = []
    kept: list[weakref.ref[Thing]] = []

    def told(_: object) -> None:
        sleep(2 * MS)
        done.send(list(others))

    def callback() -> None:
        thing = Thing()
        kept.append(weakref.ref(thing, told))
        del thing

    get_hub().call_soon(callback)
    spawn(others.append, "went on")
    assert done.wait(PATIENCE) == ["went on"]
