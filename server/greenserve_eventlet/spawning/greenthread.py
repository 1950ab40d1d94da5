"""eventlet.greenthread: greenserve's green threads, and eventlet's older names for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from greenlet import greenlet

from greenserve_eventlet.hubs import get_hub
from greenserve_eventlet.hubs.timer import Timer
from greenserve_eventlet.support.deprecation import wrap_deprecated
from greenserve_hub import (
    GreenThread,
    Timeout,
    getcurrent,
    kill,
    sleep,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
)
from greenserve_hub import with_timeout as _with_timeout


def cancel(g: greenlet, *throw_args: Any) -> None:
    """End a green thread if it has not started yet; otherwise do nothing. Switches: when it ends it."""
    if not g:
        kill(g, *throw_args)


def call_after_global(seconds: float, func: Callable[..., object], /, *args: Any, **kwargs: Any) -> Timer:
    """Deprecated: use spawn_after(). Return a Timer."""
    _warn("call_after_global", "spawn_after")
    green = greenlet(func, get_hub().greenlet)
    return _timer(get_hub().schedule_call_global(seconds, green.switch, *args, **kwargs))


def call_after_local(seconds: float, function: Callable[..., object], /, *args: Any, **kwargs: Any) -> Timer:
    """Deprecated: use spawn_after_local(). Return a Timer."""
    _warn("call_after_local", "spawn_after_local")
    green = greenlet(function, get_hub().greenlet)
    return _timer(get_hub().schedule_call_local(seconds, green.switch, *args, **kwargs))


call_after = call_after_local


def exc_after(seconds: float | None, *throw_args: Any) -> Timer:
    """Deprecated: use Timeout(seconds, exception). Raise an exception in this green thread later; None never."""
    _warn("exc_after", "Timeout")
    if seconds is None:
        return Timer(0, lambda: None)  # never scheduled: only for its cancel()
    return _timer(get_hub().schedule_call_local(seconds, getcurrent().throw, *throw_args))


def _timer(timer: Any) -> Timer:
    assert isinstance(timer, Timer)
    return timer


def _warn(old: str, new: str) -> None:
    warnings.warn(f"greenthread.{old} is deprecated: use {new}", DeprecationWarning, stacklevel=3)


TimeoutError = wrap_deprecated("greenthread.TimeoutError", "Timeout")(Timeout)
with_timeout = wrap_deprecated("greenthread.with_timeout", "with_timeout")(_with_timeout)

__all__ = [
    "GreenThread",
    "TimeoutError",
    "call_after",
    "call_after_global",
    "call_after_local",
    "cancel",
    "exc_after",
    "getcurrent",
    "kill",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
    "with_timeout",
]
