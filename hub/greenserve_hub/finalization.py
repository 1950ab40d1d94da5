"""The end of the interpreter, where finalizers still use the runtime.

Facts: after the atexit functions the interpreter finalizes. It collects garbage, then clears the modules, the last
imported first; both steps run finalizers. No other thread runs any more, greenlet's getcurrent() raises, and a function
whose module was cleared finds None for each global. C code (a lock, os.write, the flush of a pipe's buffer) works to
the end; our Python code would not. Decision: from then on there is no hub, so a patched function behaves like the
native one, and code that asks for a hub gets an empty one. Green threads stay where they are, like daemon threads. Our
modules get a getcurrent() that knows the main green thread, and they are not cleared. Cost: none before the end.

Imports no other part of the runtime but errors: loop/current.py says how to forget its hub, and code that would wait
for others asks `has_begun`.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable
from typing import Any, Final

from greenlet import getcurrent as native_getcurrent
from greenlet import greenlet

from greenserve_hub.errors import Deadlock

_PACKAGES: Final = ("greenserve", "greenserve_hub")
_begun = False
_first: list[Callable[[], object]] = []


def has_begun() -> bool:
    """Return True if the interpreter finalizes, so that no other thread runs any more. Switches: never."""
    return _begun


def deadlock() -> Deadlock:
    """Make the error of a wait without a timeout. Switches: never."""
    return Deadlock(
        "nothing can end this wait: the interpreter is exiting and runs only finalizers. Use a timeout, or wait in an "
        "atexit function"
    )


def when_it_begins(fn: Callable[[], object]) -> None:
    """Call `fn()` after the atexit functions and before the finalizers. Switches: never."""
    _first.append(fn)


class _Dropped:
    """Stored in `sys` under a name of the interactive session; Python drops these names before any module."""

    def __del__(self) -> None:
        if sys.is_finalizing():
            _begin()
            for name in _our_modules():
                del sys.modules[name]  # Python clears only the modules that it finds there


def _prepare() -> None:
    # Nothing reads this attribute any more. Garbage is collected before it is dropped, unless collection is off.
    vars(sys)["__interactivehook__"] = _Dropped()
    gc.callbacks.append(_look)


def _look(phase: str, info: dict[str, int]) -> None:
    if sys.is_finalizing():
        _begin()


def _begin() -> None:
    global _begun
    if not _begun:
        _begun = True
        for module in _our_modules().values():
            if vars(module).get("getcurrent") is native_getcurrent:
                vars(module)["getcurrent"] = _current
        for fn in _first:
            fn()


def _our_modules() -> dict[str, Any]:
    return {
        name: module for name, module in tuple(sys.modules.items()) if name.partition(".")[0] in _PACKAGES
    }


def _current() -> greenlet | None:
    return greenlet().parent


atexit.register(_prepare)
