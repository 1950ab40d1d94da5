"""Runs something at each point of our code where CPython may run a finalizer, a signal handler or the collector.

CPython lets these in where a function begins, after a call and where a loop goes back (there it also lets another OS
thread go on), where it makes an object (the collector, on 3.11), and where it drops one. A trace function sees each
instruction, so it can do there what a finalizer would: `interrupt_everywhere` runs a scenario again and again, with the
interruption at the next point each time, until there are no more. An instruction counts twice at most, wherever it is
reached: what comes round a third time is the same again.
"""

from __future__ import annotations

import dis
import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FrameType, FunctionType
from typing import Any

import greenserve_hub

_OURS = str(greenserve_hub.__path__[0])
_LETS_IN = ("CALL", "JUMP_BACKWARD")  # after these
_MAKES = ("BUILD_", "GET_ITER", "MAKE_")  # at these
_DROPS = ("DELETE_FAST",)
_BEGINS = ("RESUME", "COPY_FREE_VARS", "MAKE_CELL")
_TWICE = 2
# CPython 3.12 and 3.13 let these in where later versions do, which are asked about each point.
_STEP = 4 if (3, 12) <= sys.version_info < (3, 14) else 1
_COLLECT_EVERY = 100  # runs
_MISSED = 3  # runs that pass fewer points are the end; one alone may be, on a hub that goes by the real clock


@cache
def _instructions(code: CodeType) -> dict[int, tuple[str, bool]]:
    """By offset: the name, and whether it makes or drops an object of its own."""
    found = {}
    for one in dis.get_instructions(code):
        makes = one.opname.startswith(_MAKES + _DROPS) or (
            one.opname == "LOAD_ATTR" and one.argval in _METHODS and "NULL" not in one.argrepr
        )
        found[one.offset] = (one.opname, makes)
    return found


# Reading one of these, and not calling it at once, makes a bound method.
_METHODS = {"wake", "_resume", "_hand_on", "_take", "_let_go", "release", "_undo_get", "_run", "_finished"}


class Interruption:
    """Calls `act()`, which is set before, once, at the point of this number; counts the points that there are."""

    act: Callable[[], object]

    def __init__(self, number: int) -> None:
        self.number = number
        self.points = 0
        self.where = ""
        self.ended = False
        self.error: BaseException | None = None
        self._before: dict[FrameType, str] = {}
        self._seen: Counter[tuple[CodeType, int]] = Counter()

    def __enter__(self) -> Interruption:
        watch(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        watch(None)
        self._before.clear()

    def _look(self, frame: FrameType, offset: int) -> bool:
        """False when there is nothing left to see."""
        if self.where:
            return False
        code = frame.f_code
        name, makes = _instructions(code)[offset]
        before = self._before.get(frame)
        self._before[frame] = name
        if (before is None or before.startswith(_LETS_IN) or makes) and name not in _BEGINS:
            self._seen[code, offset] += 1
            if self._seen[code, offset] <= _TWICE:
                self.points += 1
                if self.points == self.number:
                    self.where = f"{code.co_qualname}, line {frame.f_lineno}, before {name}"
                    self._interrupt()
        if name.startswith("RETURN"):
            self._before.pop(frame, None)
        return True

    def _interrupt(self) -> None:
        try:
            _Finalizer.__del__(self)  # by the name that tells the hub what it is
        except BaseException as error:
            self.error = error
        self.ended = True


# Two ways to see each instruction of our code before it runs

Look = Callable[[FrameType, int], bool]

if hasattr(sys, "monitoring"):
    _TOOL = 4
    _looks: list[Look] = []

    def watch(look: Look | None) -> None:
        """Have `look(frame, offset)` called from now on; None: nobody."""
        if sys.monitoring.get_tool(_TOOL) is None:
            sys.monitoring.use_tool_id(_TOOL, "interruptions")
            sys.monitoring.register_callback(_TOOL, sys.monitoring.events.INSTRUCTION, _told)
            for code in _codes():
                sys.monitoring.set_local_events(_TOOL, code, sys.monitoring.events.INSTRUCTION)
        _looks[:] = [] if look is None else [look]
        sys.monitoring.restart_events()

    def unwatch() -> None:
        """Leave the code as it was."""
        if sys.monitoring.get_tool(_TOOL) is not None:
            for code in _codes():
                sys.monitoring.set_local_events(_TOOL, code, 0)
            sys.monitoring.register_callback(_TOOL, sys.monitoring.events.INSTRUCTION, None)
            sys.monitoring.free_tool_id(_TOOL)

    def _told(code: CodeType, offset: int) -> Any:
        if _looks and _looks[0](sys._getframe(1), offset):
            return None
        return sys.monitoring.DISABLE

    def _codes() -> Iterator[CodeType]:
        gc.unfreeze()  # tests/conftest.py has frozen what was there before the first test
        todo = [one.__code__ for one in gc.get_objects() if type(one) is FunctionType]
        gc.freeze()
        while todo:
            code = todo.pop()
            if code.co_filename.startswith(_OURS):
                yield code
                todo += [one for one in code.co_consts if isinstance(one, CodeType)]

else:

    def watch(look: Look | None) -> None:
        """Have `look(frame, offset)` called from now on; None: nobody."""

        def begin(frame: FrameType, event: str, arg: Any) -> Any:
            if frame.f_code.co_filename.startswith(_OURS):
                frame.f_trace_opcodes = True
                frame.f_trace_lines = False
                return follow
            return None

        def follow(frame: FrameType, event: str, arg: Any) -> Any:
            if event == "opcode":
                assert look is not None
                if not look(frame, frame.f_lasti):
                    sys.settrace(None)
                    return None
            return follow

        sys.settrace(None if look is None else begin)

    def unwatch() -> None:
        """Leave the code as it was."""


class _Finalizer:
    """What Python calls in the midst of other code."""

    def __del__(self: Any) -> None:
        self.act()


def interrupt_everywhere(run: Callable[[Interruption], Any]) -> int:
    """`run(interruption)` for each point there is; how many these were. `run` enters it, and checks what came of it."""
    number = 0
    # What waits in a hub is the same code on each poller.
    step = 4 if os.environ.get("GREENSERVE_HUB") else _STEP
    collects = gc.isenabled()
    gc.disable()  # it would bring interruptions of its own
    try:
        run(Interruption(0))  # what is done but once is done with it
        missed = 0
        while missed < _MISSED:
            number += step
            interruption = Interruption(number)
            run(interruption)
            missed += not interruption.where
            if not number % _COLLECT_EVERY:
                gc.collect()
        return number - missed * step
    finally:
        unwatch()
        if collects:
            gc.enable()
