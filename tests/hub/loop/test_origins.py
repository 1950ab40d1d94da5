"""origins: every way to spawn tells the line of the program that asked for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from greenlet import greenlet
from tests.support.programs.commands import command

from greenserve_hub.greenthreads.greenthreads import (
    getcurrent,
    kill,
    sleep,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
)
from greenserve_hub.greenthreads.piles import GreenPile
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.origins import line_of, name_of, origin_of, stack_of
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock

pytestmark = pytest.mark.no_hub

# Each on a line of its own, which is the one to be told.
WAYS: dict[str, Callable[[Callable[..., object]], object]] = {
    "spawn": lambda fn: spawn(fn),
    "spawn_n": lambda fn: spawn_n(fn),
    "spawn_after": lambda fn: spawn_after(0, fn),
    "spawn_after_local": lambda fn: spawn_after_local(0, fn),
    "GreenPool.spawn": lambda fn: GreenPool().spawn(fn),
    "GreenPool.spawn_n": lambda fn: GreenPool().spawn_n(fn),
    "GreenPile.spawn": lambda fn: GreenPile().spawn(fn),
    "starmap": lambda fn: list(GreenPool().starmap(fn, [()])),
    "imap": lambda fn: list(GreenPool().imap(fn, "a")),
    "spawn_n(spawn, f)": lambda fn: spawn_n(spawn, fn),
    "spawn(spawn_n, f)": lambda fn: spawn(spawn_n, fn),
    "spawn(pool.spawn_n, f)": lambda fn: spawn(GreenPool().spawn_n, fn),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_spawn_tells_the_users_line(way: str) -> None:
    ended = Event()

    def tell(*_: object) -> None:
        origin = origin_of(getcurrent())
        assert origin is not None
        ended.send(line_of(origin))

    WAYS[way](tell)
    path, _, number = ended.wait().rpartition(":")
    assert path == __file__
    assert Path(path).read_text().splitlines()[int(number) - 1].startswith(f'    "{way}": ')


def test_a_thread_of_a_patched_program_tells_who_started_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, threading, time\n"
        "from greenserve import debug\n"
        "threading.Thread(target=time.sleep, args=(0.01,), name='Ada').start()\n"
        "sys.stderr.write(debug.format_threads(False))\n"
    )
    with command("-m", "greenserve.patched", str(program), folder=tmp_path) as process:
        process.until(rf" Ada \(.*spawned at {program}:3: ")
        assert process.ended() == 0


def test_a_callback_has_no_line() -> None:
    seen: list[greenlet] = []
    get_hub().call_soon(spawn, lambda: seen.append(getcurrent()))
    sleep()
    sleep()
    origin = origin_of(seen[0])
    assert origin is not None
    assert line_of(origin) == "a callback of the hub"


def test_an_origin_keeps_no_local_alive() -> None:
    class Thing:
        gone = False

        def __del__(self) -> None:
            Thing.gone = True

    def spawner() -> Any:
        thing = Thing()
        assert thing
        return spawn(sleep, 1)

    green = spawner()
    assert Thing.gone
    assert green.spawned_at.startswith(__file__)
    green.kill()


def test_the_age(clock: FakeClock) -> None:
    green = spawn(sleep, 100)
    sleep(7)
    assert green.age == 7
    green.kill()


class TestName:
    def test_of_the_main_green_thread(self) -> None:
        assert name_of(getcurrent()) == "the main green thread"

    @pytest.mark.parametrize("spawn_it", [spawn, spawn_n])
    def test_is_the_users_to_give(self, spawn_it: Callable[..., greenlet]) -> None:
        green = spawn_it(sleep)
        kind = type(green).__name__
        assert name_of(green) == f"{kind} {id(green):#x}"
        green.name = "Ada"  # type: ignore[attr-defined]
        assert name_of(green) == f"Ada ({kind} {id(green):#x})"
        kill(green)

    def test_of_a_worker_lasts_for_its_job(self) -> None:
        pool, names = GreenPool(1), []

        def job(name: str) -> None:
            names.append(getcurrent().name)  # type: ignore[attr-defined]
            getcurrent().name = name  # type: ignore[attr-defined]
            names.append(getcurrent().name)  # type: ignore[attr-defined]

        for name in ("Ada", "Grace"):
            pool.spawn_n(job, name)
            pool.waitall()
        assert names == ["", "Ada", "", "Grace"]


def test_a_stack_is_printed_as_tracebacks_are() -> None:
    def inner() -> Iterator[str]:
        yield stack_of(inspect.currentframe())

    told = next(inner()).splitlines()
    assert told[-2].startswith(f'  File "{__file__}", line ')
    assert told[-2].endswith("in test_a_stack_is_printed_as_tracebacks_are.<locals>.inner")
    assert told[-1] == "    yield stack_of(inspect.currentframe())"
