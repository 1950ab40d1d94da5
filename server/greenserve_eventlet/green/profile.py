"""eventlet.green.profile: the profile module, whose Profile tells green threads apart.

Facts: the profiler keeps a stack of calls, and a switch to another green thread looks like calls and returns that do
not match it. Decision: each green thread has a profiler of its own, and the results are added up. Time that passes
while a green thread is switched away from counts for no call of it.
"""

from __future__ import annotations

import profile as _standard
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub.unpatched import time

__all__ = ["Profile", "run", "runctx"]


class _Clock:
    """Seconds of one green thread: it stands while others run."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._since: float | None = time.perf_counter()

    def __call__(self) -> float:
        return self._elapsed + (0.0 if self._since is None else time.perf_counter() - self._since)

    def pause(self) -> None:
        self._elapsed = self()
        self._since = None

    def go_on(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()


class Profile(_standard.Profile):
    """Profiles all green threads of this OS thread from start() to stop(), or during run(), runctx() and runcall()."""

    timings: dict[Any, Any]
    dispatcher: Any  # not in typeshed

    def __init__(self, timer: Callable[[], float] | None = None, bias: int | None = None) -> None:
        """`timer` returns seconds, in place of a clock that stands while other green threads run."""
        self._timer = timer
        self._clock = _Clock()
        super().__init__(timer or self._clock, bias)
        self._others: dict[greenlet, _One] = {}
        self._own = getcurrent()
        self._last: _Clock = self._clock
        self._depth = 0
        self.running = False

    def start(self, name: str = "start") -> None:
        """Begin; `name` is in the results. Switches: never."""
        if not self.running:
            self.running = True
            self._own = getcurrent()
            self.simulate_call(name)
            sys.setprofile(self._dispatch)

    def stop(self) -> None:
        """End, and add up the results. Switches: never."""
        sys.setprofile(None)
        self.running = False
        self._add_up()

    def runctx(self, cmd: str, globals: dict[str, Any], locals: Any) -> Any:
        """Profile `exec(cmd, globals, locals)`, and return this. Switches: as the code does."""
        self._own = getcurrent()
        self.set_cmd(cmd)
        sys.setprofile(self._dispatch)
        try:
            exec(cmd, globals, locals)
        finally:
            sys.setprofile(None)
            self._add_up()
        return self

    def runcall(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Profile a call, and return what it returns. Switches: as `func` does."""
        self._own = getcurrent()
        self.set_cmd(repr(func))
        sys.setprofile(self._dispatch)
        try:
            return func(*args, **kwargs)
        finally:
            sys.setprofile(None)
            self._add_up()

    def _dispatch(self, frame: Any, event: str, arg: Any) -> None:
        current = getcurrent()
        if current is self._own:
            self._turn_to(self._clock)
            self._depth = _dispatched(self, self._depth, frame, event, arg)
            return
        other = self._others.get(current)
        if other is None:
            other = self._others[current] = _One(self._timer, self.bias)
        self._turn_to(other.clock)
        other.dispatch(frame, event, arg)

    def _turn_to(self, clock: _Clock) -> None:
        if clock is not self._last:
            self._last.pause()
            clock.go_on()
            self._last = clock

    def _add_up(self) -> None:
        self.simulate_cmd_complete()
        others, self._others = self._others, {}
        for other in others.values():
            for function, (cc, ns, tt, ct, callers) in other.finished().items():
                known = self.timings.get(function)
                if known is None:
                    self.timings[function] = cc, ns, tt, ct, callers
                    continue
                added = dict(known[4])
                for caller, count in callers.items():
                    added[caller] = added.get(caller, 0) + count
                self.timings[function] = known[0] + cc, known[1] + ns, known[2] + tt, known[3] + ct, added


class _One:
    """The calls of one other green thread."""

    def __init__(self, timer: Callable[[], float] | None, bias: int) -> None:
        self.clock = _Clock()
        self._profile: Any = _standard.Profile(timer or self.clock, bias)
        self._profile.set_cmd("green thread")
        self._depth = 0

    def dispatch(self, frame: Any, event: str, arg: Any) -> None:
        self._depth = _dispatched(self._profile, self._depth, frame, event, arg)

    def finished(self) -> dict[Any, Any]:
        self._profile.simulate_cmd_complete()
        timings: dict[Any, Any] = self._profile.timings
        return timings


def _dispatched(profiler: Any, depth: int, frame: Any, event: str, arg: Any) -> int:
    """Count a call or a return, and return how deep it is now. What was called before the start is not counted."""
    if event in ("call", "c_call"):
        depth += 1
    elif depth:
        depth -= 1
    else:
        return 0
    profiler.dispatcher(frame, event, arg)
    return depth


def run(statement: str, filename: str | None = None, sort: str | int = -1) -> None:
    """Profile a statement; print the results, or write them into a file. Switches: as the statement does."""
    names = vars(sys.modules["__main__"])
    runctx(statement, names, names, filename, sort)


def runctx(
    statement: str,
    globals: dict[str, Any],
    locals: Any,
    filename: str | None = None,
    sort: str | int = -1,
) -> None:
    """The same with the statement's own globals and locals."""
    profiler = Profile()
    with suppress(SystemExit):
        profiler.runctx(statement, globals, locals)
    if filename is None:
        profiler.print_stats(sort)
    else:
        profiler.dump_stats(filename)
