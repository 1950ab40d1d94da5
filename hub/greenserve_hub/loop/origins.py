"""The name of a green thread and where it was spawned: stored at each spawn, converted to text when needed.

Facts: a spawn takes about 8 µs, and almost no origin is ever read. Decision: store the code object and the instruction,
which needs no work; not the frame, which would keep its locals alive. The line is found when it is asked for. Cost: a
quarter of a microsecond per spawn. Knows greenlets but no hub. Called by spawning code, by errors that name a green
thread, and by diagnostics/debug.py.
"""

from __future__ import annotations

import threading
from os import path
from sys import _getframe
from traceback import StackSummary
from types import CodeType, FrameType
from typing import Any

from greenlet import getcurrent, greenlet

# The code and the instruction of the spawn (None: a callback of the hub), the id() of the spawner, and the time by the
# hub's clock. A younger green thread may have the same id by now.
Origin = tuple[CodeType | None, int, int, float]

# Files whose frames are between a spawn and the user's line.
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
    """Return the origin of a spawn at the time `now`, at least `depth` frames below the user's line."""
    spawner = getcurrent()
    try:
        frame = _getframe(depth)
        while (code := frame.f_code).co_filename in _PASSED_THROUGH:
            frame = frame.f_back  # type: ignore[assignment]  # None ends it
        return code, frame.f_lasti, id(spawner), now
    except (AttributeError, ValueError):
        # A green thread that only spawns, as in spawn_n(spawn, f): its own origin is the wanted line.
        known = origin_of(spawner)
        return (None, 0, id(spawner), now) if known is None else (*known[:2], id(spawner), now)


def origin_of(green: greenlet) -> Origin | None:
    """Return the origin of any kind of green thread; None if it was not spawned."""
    known: Origin | None = getattr(green, "origin", None)
    return known


def line_of(origin: Origin) -> str:
    """Return file and line of the call that spawned it."""
    code, last = origin[:2]
    if code is None:
        return "a callback of the hub"
    lines = (line for start, end, line in code.co_lines() if start <= last < end)
    return f"{code.co_filename}:{next(lines, None) or code.co_firstlineno}"


def name_of(green: greenlet) -> str:
    """Return the name of a green thread for errors and dumps: the name it was given, and its address."""
    if green.parent is None:
        return "the main green thread"
    kind = f"{type(green).__name__} {id(green):#x}"
    name: Any = getattr(green, "name", "")
    return f"{name} ({kind})" if name else kind


def stack_of(frame: FrameType | None) -> str:
    """Return the stack that ends in `frame` as a traceback prints it, innermost last.

    The frames are released before any file is read: they may belong to another OS thread, which keeps running.
    """
    return format_places(places_of(frame))


Place = tuple[str, int, str, None]


def places_of(frame: FrameType | None) -> list[Place]:
    """Return where the stack is that ends in `frame`, for format_places(): this reads no file and takes no time."""
    found: list[Place] = []
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname, None))
        frame = frame.f_back
    return found


def format_places(places: list[Place]) -> str:
    """Return a stack as a traceback prints it, innermost last. Reads the sources: the first time takes long."""
    return "".join(StackSummary.from_list(reversed(places)).format())
