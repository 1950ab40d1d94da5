"""holders: who runs in another OS thread, told by a frame of its."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from greenserve_hub.diagnostics.holders import frames_of, holder_of
from greenserve_hub.greenthreads.greenthreads import getcurrent, spawn, spawn_n
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.current import get_hub


def told_by_another_thread() -> str:
    """What an OS thread says of the one that calls this."""
    ident, told = threading.get_ident(), []
    thread = threading.Thread(target=lambda: told.append(holder_of(sys._current_frames()[ident])))
    thread.start()
    thread.join()
    (name,) = told
    return name


def _in_green_thread(start: Callable[[Callable[[], None]], object]) -> tuple[str, str]:
    told: list[str] = []

    def run() -> None:
        getcurrent().name = "worker bee"  # type: ignore[attr-defined]
        told.append(told_by_another_thread())
        told.append(f"{type(getcurrent()).__name__} {id(getcurrent()):#x}")

    start(run)
    while len(told) < 2:
        spawn(lambda: None).wait()
    return told[0], told[1]


@pytest.mark.parametrize(
    "start", [spawn, lambda run: GreenPool().spawn(run), lambda run: GreenPool().spawn_n(run)]
)
def test_a_green_thread_by_its_name_and_address(start: Callable[[Callable[[], None]], object]) -> None:
    told, kind = _in_green_thread(start)
    assert told == f"worker bee ({kind})"


def test_one_that_is_nothing_but_a_function_by_that() -> None:
    told, _ = _in_green_thread(spawn_n)
    assert told == "the green thread of _in_green_thread.<locals>.run()"


def test_a_callback() -> None:
    told: list[str] = []
    get_hub().call_soon(lambda: told.append(told_by_another_thread()))
    spawn(lambda: None).wait()
    assert told == ["a callback of the hub"]


def test_the_main_one() -> None:
    code = compile("told = ask()", "program.py", "exec")
    names = {"ask": lambda: holder_of(next(f for f in frames_of(sys._getframe()) if f.f_code is code))}
    # Its outermost frame is pytest's: as a program has it, it is the module's own.
    frame = next(frame for frame in frames_of(sys._getframe()) if frame.f_back is None)
    exec(code, names)
    assert frame.f_code.co_qualname in ("<module>", "_run_code", "_run_module_as_main")
    assert names["told"] in ("the main green thread", f"the green thread of {frame.f_code.co_qualname}()")
