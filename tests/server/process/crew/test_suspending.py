"""crew: suspend() and resume(), which replace all workers at once when code has changed."""

from __future__ import annotations

import signal

import pytest

from greenserve.process.crew.checks import Limits
from greenserve.process.crew.crew import Crew
from greenserve.process.crew.seats import Failure, State
from greenserve_hub.deadlines import NEVER


class _Worker:
    def __init__(self, seat: int, born: float) -> None:
        self.seat = seat
        self.state = State.STARTING
        self.born = born
        self.ready_at = 0.0
        self.failure: Failure | None = None
        self.kill_at = NEVER
        self.done: list[str] = []

    def silence(self) -> float:
        return 0.0

    def retire(self) -> None:
        self.done.append("retire")

    def make_way(self) -> None:
        self.done.append("make way")

    def hurry(self) -> None:
        self.done.append("hurry")

    def stop(self, number: int) -> None:
        self.done.append(signal.Signals(number).name)

    def abort(self) -> None:
        self.done.append("abort")

    def kill(self) -> None:
        self.done.append("kill")

    def adopt(self, seat: int) -> None:
        self.done.append("adopt")

    def leave(self, seat: int) -> None:
        self.done.append("leave")


class _World:
    def __init__(self, size: int) -> None:
        self.now = 100.0
        self.hired: list[_Worker] = []
        self.crew = Crew(self._hire, size, Limits(30, 120, 30), lambda: self.now)
        self.crew.start()

    def _hire(self, seat: int) -> _Worker:
        self.hired.append(_Worker(seat, self.now))
        return self.hired[-1]

    def all_ready(self) -> None:
        for worker in self.hired:
            if worker.state is State.STARTING:
                self.crew.ready(worker)


@pytest.fixture
def world() -> _World:
    made = _World(2)
    made.all_ready()
    return made


def test_all_end_and_new_ones_start_when_the_last_has_ended(world: _World) -> None:
    world.crew.suspend()
    assert [worker.done for worker in world.hired] == [["make way"], ["make way"]]
    world.crew.resume()
    world.crew.exited(world.hired[0], "ended")
    assert len(world.hired) == 2  # the other one may hold a port or a lock of the app's
    world.crew.exited(world.hired[1], "ended")
    assert [worker.seat for worker in world.hired[2:]] == [0, 1]
    world.all_ready()
    assert world.crew.is_ready


def test_none_starts_before_resume(world: _World) -> None:
    world.crew.suspend()
    for worker in world.hired:
        world.crew.exited(worker, "ended")
    world.now += 60
    world.crew.tick()
    world.crew.resize(3)
    assert len(world.hired) == 2
    world.crew.resume()
    assert [worker.seat for worker in world.hired[2:]] == [0, 1, 2]


def test_one_that_does_not_end_is_killed_after_a_second(world: _World) -> None:
    world.crew.suspend()
    world.now += 0.9
    world.crew.tick()
    assert "kill" not in world.hired[0].done
    world.now += 0.2
    world.crew.tick()
    assert world.hired[0].done == ["make way", "kill"]


def test_one_that_starts_is_stopped_at_once() -> None:
    world = _World(1)
    world.crew.suspend()
    assert world.hired[0].done == ["SIGTERM"]
    world.crew.resume()
    world.crew.exited(world.hired[0], "was killed by SIGTERM")
    assert len(world.hired) == 2
    assert world.crew.failure is None


def test_a_pause_after_failures_is_over(world: _World) -> None:
    for _ in range(4):
        world.crew.exited(next(iter(world.crew)), "was killed")  # type: ignore[arg-type]
        world.now += 0.1
        world.crew.tick()
    count = len(world.hired)
    world.crew.suspend()
    for worker in tuple(world.crew):
        world.crew.exited(worker, "ended")
    world.crew.resume()
    assert len(world.hired) == count + 2


def test_twice_before_the_old_ones_have_ended(world: _World) -> None:
    for _ in range(2):
        world.crew.suspend()
        world.crew.resume()
    for worker in world.hired[:2]:
        world.crew.exited(worker, "ended")
    assert len(world.hired) == 4
    assert world.hired[0].done == ["make way"]


def test_a_stop_meanwhile(world: _World) -> None:
    world.crew.suspend()
    world.crew.stop()
    world.crew.resume()
    for worker in world.hired[:2]:
        world.crew.exited(worker, "ended")
    assert len(world.hired) == 2
    assert world.crew.is_over
    world.crew.suspend()


def test_a_later_replacement_does_not_wait_for_those_that_leave(world: _World) -> None:
    world.crew.suspend()
    world.crew.resume()
    for worker in world.hired[:2]:
        world.crew.exited(worker, "ended")
    world.all_ready()
    world.crew.roll()
    world.all_ready()
    assert len(world.hired) == 6  # the second heir starts while the first old one drains
