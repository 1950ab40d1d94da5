"""eventlet.hubs.timer: a call that the hub makes later."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub import get_hub
from greenserve_hub.deadlines import Deadline

_g_debug = False  # eventlet's name; set by debug.hub_timer_stacks()


class Timer:
    """Calls `cb(*args, **kw)` once, `seconds` after schedule(), unless it is cancelled."""

    def __init__(self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any) -> None:
        """Not scheduled yet."""
        self.seconds = seconds
        self.tpl: tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]] | None = (cb, args, kw)
        self.called = False
        self._deadline: Deadline | None = None
        self.traceback = "".join(traceback.format_stack()) if _g_debug else ""

    def __repr__(self) -> str:
        """Return the text for dumps; with the stack of its maker after debug.hub_timer_stacks(True)."""
        cb, args, kw = self.tpl or (None, None, None)
        stack = f"\n{self.traceback}" if self.traceback else ""
        return f"{type(self).__name__}({self.seconds}, {cb}, *{args}, **{kw}){stack}"

    @property
    def pending(self) -> bool:
        """True until it is called or cancelled."""
        return not self.called

    def copy(self) -> Timer:
        """Return one with the same call, not scheduled."""
        assert self.tpl is not None
        cb, args, kw = self.tpl
        return type(self)(self.seconds, cb, *args, **kw)

    def schedule(self) -> Timer:
        """Start the time. Switches: never."""
        self.called = False
        hub = get_hub()
        if self.seconds <= 0:
            # In the order of the calls: spawn() and this are often used together, and neither overtakes the other.
            hub.call_soon(self)
        else:
            self._deadline = hub.call_after(self.seconds, self)
        return self

    def __call__(self, *args: object) -> None:
        """Make the call now, unless it was made or cancelled."""
        if self.called or self.tpl is None:
            return
        self.called = True
        (cb, given, kw), self.tpl = self.tpl, None
        cb(*given, **kw)

    def cancel(self) -> None:
        """Prevent the call. Repeatable. Switches: never."""
        if not self.called:
            self.called = True
            self.tpl = None
            if self._deadline is not None:
                self._deadline.cancel()


class LocalTimer(Timer):
    """A Timer that does nothing if the green thread that made it is dead by then."""

    def __init__(self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any) -> None:
        """Not scheduled yet."""
        self.greenlet: greenlet | None = getcurrent()
        super().__init__(seconds, cb, *args, **kw)

    @property
    def pending(self) -> bool:
        """True until it is called or cancelled, or its green thread is dead."""
        return self.greenlet is not None and not self.greenlet.dead and not self.called

    def __call__(self, *args: object) -> None:
        """Make the call now, if its green thread is alive."""
        if self.pending:
            super().__call__(*args)

    def cancel(self) -> None:
        """Prevent the call. Repeatable. Switches: never."""
        self.greenlet = None
        super().cancel()


__all__ = ["LocalTimer", "Timer"]
