"""What every green thread is doing: a dump as text, on demand or on a signal.

For whoever looks at a program that hangs: from the backdoor, from a signal, or from code. It reads what others keep
(hub.parked, GreenThread's name and origin) and changes nothing. Walks all objects of the process, so a dump of a large
program takes a moment.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, TextIO

from greenlet import getcurrent, greenlet

from greenserve_hub.greenthreads import GreenThread
from greenserve_hub.loop import Hub
from greenserve_hub.workers import PoolWorker

_INDENT = "  "


def format_threads(stacks: bool = True) -> str:
    """A tree of all green threads, of every OS thread, under those that spawned them.

    Each with its name, its age, where it was spawned, what it waits for and since when and, with `stacks`, its stack.
    Switches: never.
    """
    found = gc.get_objects()
    hubs = [one for one in found if isinstance(one, Hub) and not one.closed]
    greens = [one for one in found if isinstance(one, greenlet) and not one.dead]
    lines: list[str] = []
    for hub in sorted(hubs, key=lambda hub: hub.thread_id != threading.get_ident()):
        lines += _hub_lines(hub, greens, stacks)
    return "\n".join(lines) + "\n"


def _hub_lines(hub: Hub, greens: list[greenlet], stacks: bool) -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    yield (
        f"OS thread {names.get(hub.thread_id, hub.thread_id)!s}, hub on {hub.poller.name}: "
        f"{len(hub.descriptors)} descriptors, {len(hub.deadlines)} timers, {len(hub.ready)} calls ready"
    )
    # A greenlet's parent is its hub's greenlet, and the parent of that the OS thread's main one.
    own = [one for one in greens if one.parent is hub.greenlet or one is hub.greenlet.parent]
    idle = [one for one in own if _is_idle(one, hub)]
    own = [one for one in own if one not in idle and (one or _state(one, hub) != "switched away by hand")]
    children: dict[greenlet | None, list[greenlet]] = {}
    for one in own:
        spawner = one.spawned_by if isinstance(one, GreenThread) else None
        children.setdefault(spawner if spawner in own else None, []).append(one)
    main = hub.greenlet.parent
    roots = sorted(children.get(None, []), key=lambda one: one is not main)
    todo = [(one, 1) for one in reversed(roots)]
    while todo:
        one, depth = todo.pop()
        for line in _green_lines(one, hub, stacks):
            yield _INDENT * depth + line
        todo += [(child, depth + 1) for child in reversed(children.get(one, []))]
    if idle:
        yield f"{_INDENT}{len(idle)} idle workers of pools"


def _green_lines(green: greenlet, hub: Hub, stacks: bool) -> Iterator[str]:
    frame = _frame(green, hub)
    told = [_name(green, hub, frame)]
    if isinstance(green, GreenThread):
        told += [f"{green.age:.1f} s old", f"spawned at {green.spawned_at}"]
    yield f"{', '.join(told)}: {_state(green, hub)}"
    if stacks and frame is not None:
        for text in traceback.format_stack(frame):
            yield from (_INDENT + line for line in text.rstrip().split("\n"))


def _name(green: greenlet, hub: Hub, frame: FrameType | None) -> str:
    if green is hub.greenlet.parent:
        return "main green thread"
    name = getattr(green, "name", "")
    if not name:
        while frame is not None and frame.f_back is not None:
            frame = frame.f_back
        name = frame.f_code.co_qualname if frame is not None else "?"
    return f"{name} ({type(green).__name__} {id(green):#x})"


def _state(green: greenlet, hub: Hub) -> str:
    waiter = hub.parked.get(green)
    if waiter is not None:
        return f"waiting {hub.clock() - waiter.since:.1f} s: {waiter}"
    if green is getcurrent():
        return "running"
    if not green:
        return "not begun"
    if green.gr_frame is None:
        return "running in its OS thread"
    return "switched away by hand"


def _is_idle(green: greenlet, hub: Hub) -> bool:
    return isinstance(green, PoolWorker) and green.gr_frame is not None and green not in hub.parked


def _frame(green: greenlet, hub: Hub) -> FrameType | None:
    if green is getcurrent():
        return sys._getframe(1)
    if green and green.gr_frame is None:
        return sys._current_frames().get(hub.thread_id)
    frame: FrameType | None = green.gr_frame
    return frame


def dump_on_signal(number: int = signal.SIGQUIT, file: TextIO | None = None) -> Any:
    """Write format_threads() to `file` (stderr) whenever the signal comes; the handler there was before.

    Also while a green thread holds the hub. In the main thread. Switches: never.
    """

    def dump(number: int, frame: FrameType | None) -> None:
        out = sys.stderr if file is None else file
        out.write(format_threads())
        out.flush()

    return signal.signal(number, dump)


__all__ = ["dump_on_signal", "format_threads"]
