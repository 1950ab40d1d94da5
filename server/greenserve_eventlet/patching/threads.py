"""current_thread for green threads: eventlet's spawn() gives a thread that can be named and joined.

Facts: in a green thread that no threading.Thread has started, the standard current_thread() makes up a Thread, which
cannot be joined. Programs of eventlet name such green threads for their logs, and join them. Decision: they get an
object of their own, which threading does not count. A bare greenlet (spawn_n) counts as the main thread.
"""

from __future__ import annotations

import threading
from itertools import count
from types import ModuleType
from typing import Any, Final

from greenlet import getcurrent, greenlet

from greenserve_hub import GreenThread, Timeout, original
from greenserve_hub.greenthreads.greenthreads import SpawnedGreenlet
from greenserve_hub.loop.current import find_hub
from greenserve_hub.patching.stdlib.versions import active_threads

_numbers: Final = count(1)
_BARE: Final = (greenlet, SpawnedGreenlet)  # but not those of a GreenPool or of a Thread


class _GreenThread:
    """A green thread as threading.Thread shows one."""

    daemon = True

    def __init__(self, green: GreenThread[Any]) -> None:
        self._g = green  # eventlet's name for it
        self.name = green.name or f"GreenThread-{next(_numbers)}"

    def __repr__(self) -> str:
        return f"<_GreenThread({self.name}, {self._g!r})>"

    @property
    def ident(self) -> int:
        """What threading.get_ident() returns in it."""
        return id(self._g)

    @property
    def native_id(self) -> int:
        """That of its OS thread."""
        return threading.get_native_id()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most `timeout` seconds. Its error is raised here too. Switches: unless dead."""
        with Timeout(timeout, False):
            self._g.wait()

    def is_alive(self) -> bool:
        """Return True until it ends."""
        return not self._g.dead

    def isDaemon(self) -> bool:
        """Return True: a program does not wait for it."""
        return True

    def getName(self) -> str:
        """Return its name."""
        return self.name

    def setName(self, name: str) -> None:
        """Set its name, for logs and dumps."""
        self.name = self._g.name = name

    get_name, set_name, isAlive, is_daemon = getName, setName, is_alive, isDaemon


def know_green_threads(module: ModuleType) -> None:
    """Make current_thread() of `module`, which is threading, know green threads. Repeatable. Switches: never."""
    standard = module.current_thread
    if getattr(standard, "knows_green_threads", False):
        return
    native = original("threading")  # now: it takes the OS thread that loads it for the main one

    def current_thread() -> Any:
        green = getcurrent()
        hub = find_hub()
        if threading.get_ident() in active_threads():
            return standard()
        if hub is None:
            # An OS thread of the unpatched threading is known there.
            return native.current_thread() if _here() in vars(native)["_active"] else standard()
        if isinstance(green, GreenThread):
            thread = vars(green).get("_eventlets_thread")
            if thread is None:
                thread = vars(green)["_eventlets_thread"] = _GreenThread(green)
            return thread
        return threading.main_thread() if type(green) in _BARE and green is not hub.main else standard()

    current_thread.knows_green_threads = True  # type: ignore[attr-defined]
    module.current_thread = module.currentThread = current_thread  # type: ignore[attr-defined]


def _here() -> int:
    return int(original("_thread").get_ident())


__all__ = ["know_green_threads"]
