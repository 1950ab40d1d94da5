"""sys.settrace, sys.setprofile and similar for a patched program: each green thread has its own (see tracing.py).

A debugger that attaches to the process (`python -m pdb -p PID`) runs a script in the current green thread, or in the
hub. A trace function that it sets applies to all green threads, because otherwise its breakpoints would not be met.

Invariant: after a function is set, no Python code of ours is called, or returns, on the way back to the user: a profile
function would see it.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub import tracing
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.patching.stdlib.import_hooks import when_imported


class _Setter:
    """A function of sys, preceded by a call of trace_apart(), which has returned when the C function runs."""

    def __init__(self, native: Callable[[Any], None]) -> None:
        self._native = native
        self.__name__ = native.__name__
        self.__doc__ = native.__doc__

    @property
    def __call__(self) -> Callable[[Any], None]:
        """Return the native function: Python looks `__call__` up, and then calls the result."""
        if find_hub() is not None:
            tracing.trace_apart()
        return self._native


class _TraceSetter(_Setter):
    """sys.settrace. Called by a script that was sent to this process, it applies to all green threads."""

    @property
    def __call__(self) -> Callable[[Any], None]:
        """Return the native function, or _set_for_everybody()."""
        hub = find_hub()
        if hub is None:
            return self._native
        if tracing.is_everybody_traced() or _is_sent():
            return self._set_for_everybody
        return super().__call__

    def _set_for_everybody(self, function: Any) -> None:
        hub = find_hub()
        if function is None:
            tracing.stop_tracing()
        elif hub is not None and _is_sent():
            tracing.trace_everybody(_others(hub), function)
        self._native(function)


def _is_sent() -> bool:
    # sys.remote_exec() runs the body of a module without a name.
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and "__name__" not in frame.f_globals:
            return True
        frame = frame.f_back
    return False


def _set_hook(set_native: Callable[[Any], None]) -> Callable[[Any], None]:
    def set_hook(func: Any) -> None:
        if find_hub() is not None:
            tracing.trace_apart()  # because new green threads begin with it too
        set_native(func)

    set_hook.__name__ = set_hook.__qualname__ = set_native.__name__
    set_hook.__doc__ = set_native.__doc__
    return set_hook


def _set_for_all(set_native: Callable[[Any], None], which: int) -> Callable[[Any], None]:
    def set_for_all(func: Any) -> None:
        hub = find_hub()
        if hub is not None:
            tracing.trace_others(_others(hub), which, func)
        set_native(func)

    set_for_all.__name__ = set_for_all.__qualname__ = set_native.__name__
    set_for_all.__doc__ = set_native.__doc__
    return set_for_all


def follow_profilers() -> None:
    """Do the same for cProfile when it is imported, before Python 3.12. Switches: never.

    From 3.12 on there is one cProfile for the whole process.
    """
    if sys.version_info < (3, 12):
        when_imported("cProfile", _profile_apart)


def _profile_apart(module: Any) -> None:
    enable = module.Profile.enable

    def enabling(profiler: Any) -> Any:
        if find_hub() is not None:
            tracing.trace_apart()
        return enable.__get__(profiler)

    module.Profile.enable = property(enabling)  # like _Setter: the C function is called


def _others(hub: Hub) -> list[greenlet]:
    """Return all green threads of the hub's OS thread that have begun, except the current one."""
    found = [one for one in gc.get_objects() if issubclass(type(one), greenlet)]
    return [one for one in found if one and one is not getcurrent() and _root(one) is hub.main]


def _root(green: greenlet) -> greenlet:
    while green.parent is not None:
        green = green.parent
    return green


REPLACED: dict[str, dict[str, Any]] = {
    "sys": {"setprofile": _Setter(sys.setprofile), "settrace": _TraceSetter(sys.settrace)},
    "threading": {
        "setprofile": _set_hook(threading.setprofile),
        "settrace": _set_hook(threading.settrace),
    },
}
if sys.version_info >= (3, 12):
    REPLACED["threading"] |= {
        "setprofile_all_threads": _set_for_all(threading.setprofile_all_threads, tracing.PROFILE),
        "settrace_all_threads": _set_for_all(threading.settrace_all_threads, tracing.TRACE),
    }
