"""The interpreter's end, in which finalizers go on to use what is ours.

Facts: after the functions of atexit the interpreter finalizes: it collects garbage, and then takes the modules apart,
those that were imported last before the others. Both run finalizers. No other thread goes on; getcurrent() of greenlet
raises; and a function whose module has been taken apart finds None for each of its globals. What is in C (a lock,
os.write, the flushing of a pipe's buffer) works to the end, and ours, in Python, would not. Decision: from then on
there is no hub, so that a patched function does what the native one does, and who asks for a hub gets one in which
nobody else is. Green threads stay where they are, as daemon threads do. Our modules have a getcurrent() that knows the
main green thread, and are not taken apart. Cost: none before the end.

A leaf: loop/current.py says how its hub is forgotten, and who would wait for others asks `has_begun`.
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
    """Return True if the interpreter ends, and nobody else runs any more. Switches: never."""
    return _begun


def deadlock() -> Deadlock:
    """The error of who waits for another, and without a timeout. Switches: never."""
    return Deadlock(
        "nobody is left to end this wait: the interpreter is at its end, where finalizers run alone. Give it a "
        "timeout, or wait in a function of atexit"
    )


def when_it_begins(fn: Callable[[], object]) -> None:
    """Call `fn()` when the functions of atexit have run and finalizers are to come. Switches: never."""
    _first.append(fn)


class _Dropped:
    """Let go of before any module is, as the attributes of sys are that an interactive session has."""

    def __del__(self) -> None:
        if sys.is_finalizing():
            _begin()
            for name in _our_modules():
                del sys.modules[name]  # only what is found there is taken apart


def _prepare() -> None:
    # Nobody reads this attribute any more. The collection comes before it is dropped, unless it is turned off.
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
