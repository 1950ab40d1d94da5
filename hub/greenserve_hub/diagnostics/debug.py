"""A text dump of all green threads, on demand or on a signal, and other help to find faults.

For a program that hangs: from the backdoor, by a signal, or in code. Reads the state of other modules (hub.parked,
origins) and changes nothing. Used as a module: `from greenserve import debug`.

Invariant: a dump never raises, whatever the objects in it do when they are printed. It visits all objects of the
process: 0.1 s for a million objects, and 50 µs for each green thread.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from greenlet import greenlet

from greenserve_hub.diagnostics.watchdogs import Watchdog
from greenserve_hub.greenthreads.greenthreads import GreenThread
from greenserve_hub.greenthreads.workers import PoolWorker
from greenserve_hub.loop.current import find_hub, get_hub
from greenserve_hub.loop.hub import Hub, print_error
from greenserve_hub.loop.origins import line_of, name_of, origin_of, stack_of
from greenserve_hub.unpatched import _thread, os, signal

_INDENT = "  "


def format_threads(stacks: bool = True, frame: FrameType | None = None) -> str:
    """Return a tree of the green threads of all hubs, each below the green thread that spawned it.

    Each has its name, its age, where it was spawned, what it waits for and since when and, with `stacks`, its stack.
    `frame`: where the stack of the current green thread begins; the caller unless given. Switches: never.
    """
    running = {**sys._current_frames(), _thread.get_ident(): frame or sys._getframe(1)}
    # type(), because isinstance() reads __class__, which makes lazy proxies do work or raise.
    found = [one for one in gc.get_objects() if issubclass(type(one), Hub | greenlet)]
    # The collector does not tell of what gc.freeze() has set aside, in a program that forks say.
    hubs = _once_each([find_hub(), *found], lambda one: issubclass(type(one), Hub) and not one.closed)
    kept = [one for hub in hubs for one in (*hub.parked, hub.greenlet.parent)]
    greens = _once_each(found + kept, lambda one: issubclass(type(one), greenlet) and not one.dead)
    lines: list[str] = []
    for hub in sorted(hubs, key=lambda hub: hub is not find_hub()):
        lines += _HubDump(hub, greens, running.get(hub.thread_id)).lines(stacks)
    return "\n".join(lines) + "\n"


def _once_each(objects: Iterable[Any], counts: Callable[[Any], bool]) -> list[Any]:
    return list({id(one): one for one in objects if counts(one)}.values())


class _HubDump:
    """The part of one hub."""

    def __init__(self, hub: Hub, greens: Iterable[greenlet], running: FrameType | None) -> None:
        self._hub = hub
        self._running = running  # the current frame of its OS thread
        own = [one for one in greens if _belongs(one, hub)]
        self._busy = {id(one): one for one in own if not _is_idle(one)}
        self._idle = len(own) - len(self._busy)

    def lines(self, stacks: bool) -> Iterator[str]:
        hub = self._hub
        # Not threading.enumerate(): a signal handler may have interrupted the code that holds its lock.
        names = {ident: thread.name for ident, thread in threading._active.copy().items()}  # type: ignore[attr-defined]
        yield (
            f"OS thread {names.get(hub.thread_id, hub.thread_id)}, hub on {hub.poller.name}: "
            f"{len(hub.descriptors)} descriptors, {len(hub.deadlines)} timers, {len(hub.ready)} calls ready"
        )
        children: dict[int, list[greenlet]] = {}
        for one in sorted(self._busy.values(), key=lambda one: (one.parent is not None, _born(one))):
            children.setdefault(id(self._spawner(one)), []).append(one)
        seen: set[greenlet] = set()
        # First those without a spawner. Then the rest, which would not appear if two had spawned each other.
        for root in children.pop(id(None), []) + [one for some in children.values() for one in some]:
            todo = [(root, 1)]
            while todo:
                one, depth = todo.pop()
                if one not in seen:
                    seen.add(one)
                    yield from (_INDENT * depth + line for line in self._told(one, stacks))
                    todo += [(child, depth + 1) for child in reversed(children.get(id(one), []))]
        if self._idle:
            yield f"{_INDENT}{self._idle} idle workers of pools"

    def _spawner(self, green: greenlet) -> greenlet | None:
        origin = origin_of(green)
        spawner = None if origin is None else self._busy.get(origin[2])
        # Otherwise another object now has the spawner's address, or its greenlet does other work.
        return spawner if spawner is not None and _born(spawner) <= _born(green) else None

    def _told(self, green: greenlet, stacks: bool) -> list[str]:
        try:
            return list(self._green_lines(green, stacks))
        except Exception as error:  # from a name or a callable with its own __str__ or __getattr__
            return [f"{type(green).__name__} {id(green):#x}: cannot be shown: {type(error).__name__}"]

    def _green_lines(self, green: greenlet, stacks: bool) -> Iterator[str]:
        frame = green.gr_frame if green.gr_frame is not None or not green else self._running
        told = [_function(green, frame), name_of(green)] if green.parent is not None else [name_of(green)]
        origin = origin_of(green)
        if origin is not None:
            told += [f"{self._hub.clock() - origin[3]:.1f} s old", f"spawned at {line_of(origin)}"]
        yield f"{', '.join(told)}: {self._state(green)}"
        if stacks and frame is not None:
            yield from (_INDENT + line for line in stack_of(frame).splitlines())

    def _state(self, green: greenlet) -> str:
        waiter = self._hub.parked.get(green)
        if waiter is not None:
            return f"waiting {self._hub.clock() - waiter.since:.1f} s: {waiter}"
        if not green:
            return "not begun"
        return "running" if green.gr_frame is None else "switched away by hand"


def _belongs(green: greenlet, hub: Hub) -> bool:
    # The parent of a hub's green threads is its greenlet, whose parent is the main greenlet of the OS thread.
    if green is hub.greenlet.parent:
        return True
    parent = green.parent
    while parent is not None and parent is not hub.greenlet:
        parent = parent.parent
    return parent is not None


def _is_idle(green: greenlet) -> bool:
    return issubclass(type(green), PoolWorker) and green.job is None  # type: ignore[attr-defined]


def _born(green: greenlet) -> float:
    origin = origin_of(green)
    return 0.0 if origin is None else origin[3]


def _function(green: greenlet, frame: FrameType | None) -> str:
    """Return the name of the function that it was spawned with."""
    call = getattr(green, "_call", None)
    job = getattr(green, "job", None)
    fn: Any = call[0] if call else job[1] if job else getattr(green, "run", None)
    while frame is not None:
        if frame.f_code is GreenThread.run.__code__:
            fn = frame.f_locals.get("fn", fn)
        if fn is None and frame.f_back is None:
            return frame.f_code.co_qualname
        frame = frame.f_back
    while isinstance(fn, partial):
        fn = fn.func
    return str(getattr(fn, "__qualname__", type(fn).__name__))


def dump_on_signal(number: int = signal.SIGQUIT, write: Callable[[str], object] | None = None) -> Any:
    """On each signal `number`, pass format_threads() to `write`; by default print it to stderr.

    Works also while a green thread blocks the hub. Returns the previous handler, for signal.signal(). ValueError
    outside the main thread. Switches: never.
    """

    def dump(number: int, frame: FrameType | None) -> None:
        try:
            (write or _print)(format_threads(frame=frame))
        except Exception:
            print_error(*sys.exc_info())

    return signal.signal(number, dump)


def _print(text: str) -> None:
    # Bypass sys.stderr, which is not reentrant: the signal may have interrupted a write to it.
    left = text.encode("utf-8", "backslashreplace")
    with suppress(OSError):
        while left:
            left = left[os.write(2, left) :]


def format_hub_listeners() -> str:
    """List the descriptors of the current hub, and what is called when they are ready. Switches: never."""
    lines = [
        f"{descriptor}: read by {descriptor.reader}, written by {descriptor.writer}"
        for descriptor in get_hub().descriptors.values()
    ]
    return "\n".join([f"{len(lines)} descriptors", *lines]) + "\n"


def format_hub_timers() -> str:
    """List the timers of the current hub: seconds until each is due, and what it calls. Switches: never."""
    hub = get_hub()
    armed = {deadline for _, _, deadline in hub.deadlines.heap if deadline.pending}
    lines = [f"in {deadline.when - hub.clock():.3f} s: {deadline.callback}" for deadline in armed]
    return "\n".join([f"{len(lines)} timers", *lines]) + "\n"


def hub_exceptions(state: bool = True) -> None:
    """Turn on or off that the current hub prints errors that reach no green thread. On by default. Switches: never."""
    get_hub().on_error = print_error if state else _ignore


def _ignore(*_: object) -> None:
    return


__all__ = [
    "Watchdog",
    "dump_on_signal",
    "format_hub_listeners",
    "format_hub_timers",
    "format_threads",
    "hub_exceptions",
]
