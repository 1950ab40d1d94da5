"""Who a green thread is and where it was spawned: kept at each spawn, told when somebody asks.

Facts: a spawn takes some 8 µs, and one in a million is ever asked for its origin. Decision: keep what needs no work,
the code object and the instruction in it, and not the frame, which would keep its locals alive; turn them into a line
when asked. Cost: a quarter of a microsecond for each spawn. Knows greenlets and nothing of the hub; called by whoever
spawns, by errors that name a green thread, and by diagnostics/debug.py.
"""

from __future__ import annotations

import threading
from os import path
from sys import _getframe
from traceback import StackSummary
from types import CodeType, FrameType
from typing import Any

from greenlet import getcurrent, greenlet

# The code and the instruction that spawned (None: a callback of the hub), the id() of who did, and when by the hub's
# clock. The id may stand for another green thread by now: for a younger one.
Origin = tuple[CodeType | None, int, int, float]

# Whose frames stand between a spawn and the line that asked for it.
_PASSED_THROUGH = frozenset(
    path.join(path.dirname(path.dirname(_getframe().f_code.co_filename)), *f"{name}.py".split("/"))
    for name in [
        "greenio/serving",
        "greenthreads/greenthreads",
        "greenthreads/maps",
        "greenthreads/piles",
        "greenthreads/pools",
        "greenthreads/workers",
        "loop/hub",
        "patching/green/green_thread",
    ]
) | {threading.Thread.start.__code__.co_filename}


def origin(now: float, depth: int) -> Origin:
    """The origin of what is spawned at the moment `now`, at least `depth` frames below the line that asks for it."""
    spawner = getcurrent()
    try:
        frame = _getframe(depth)
        while (code := frame.f_code).co_filename in _PASSED_THROUGH:
            frame = frame.f_back  # type: ignore[assignment]  # None ends it
        return code, frame.f_lasti, id(spawner), now
    except (AttributeError, ValueError):
        # A green thread that is nothing but a spawn, as by spawn_n(spawn, f): its own origin is the line in question.
        known = origin_of(spawner)
        return (None, 0, id(spawner), now) if known is None else (*known[:2], id(spawner), now)


def origin_of(green: greenlet) -> Origin | None:
    """Where a green thread, of whichever kind, comes from; None for one that was not spawned."""
    known: Origin | None = getattr(green, "origin", None)
    return known


def line_of(origin: Origin) -> str:
    """File and line of the call that spawned."""
    code, last = origin[:2]
    if code is None:
        return "a callback of the hub"
    lines = (line for start, end, line in code.co_lines() if start <= last < end)
    return f"{code.co_filename}:{next(lines, None) or code.co_firstlineno}"


def name_of(green: greenlet) -> str:
    """What errors and dumps call a green thread: the name it was given, and its address."""
    if green.parent is None:
        return "the main green thread"
    kind = f"{type(green).__name__} {id(green):#x}"
    name: Any = getattr(green, "name", "")
    return f"{name} ({kind})" if name else kind


def stack_of(frame: FrameType | None) -> str:
    """The stack that ends in `frame`, innermost last, as tracebacks print it.

    Frames are let go of before any file is read: they may belong to another OS thread, which runs on meanwhile.
    """
    found: list[tuple[str, int, str, None]] = []
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname, None))
        frame = frame.f_back
    return "".join(StackSummary.from_list(reversed(found)).format())
