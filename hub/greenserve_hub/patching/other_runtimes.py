"""eventlet and gevent beside us, and libraries that do something of their own because one of them is installed.

Facts: each has a hub that waits in the kernel by itself. Whoever waits in theirs stops all of ours, and the other way
round: two in one OS thread stand still. One that is installed, or imported, harms nothing; but Socket.IO's engineio
takes the first that it can import, and ddtrace drops modules so that gevent finds them unpatched. Decision: where they
have patched, nothing is begun; what would choose one because it is there is told to use threads, which are green.

Knows these libraries by the names that they publish, and imports none of them.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import wraps
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from greenserve_hub.errors import HubError
from greenserve_hub.patching.stdlib.import_hooks import when_imported

_RIVALS: Final = ("eventlet", "gevent")  # in the order in which engineio tries them
_MODES: Final = (*_RIVALS, "gevent_uwsgi")


def patched_by() -> str:
    """Which of the two has patched modules of this process, as it would be called; "" for none. Switches: never."""
    gevent = sys.modules.get("gevent.monkey")
    if any(not name.startswith("_gevent") for name in getattr(gevent, "saved", ())):
        return "gevent.monkey.patch_all()"
    eventlet = sys.modules.get("eventlet.patcher")
    return "eventlet.monkey_patch()" if getattr(eventlet, "already_patched", None) else ""


def refuse_others() -> None:
    """Raise HubError where one of the two has patched this process. Switches: never."""
    if call := patched_by():
        raise HubError(
            f"{call} has patched this process, and two hubs in one would stop each other: take the call out (the "
            "command and greenserve.monkey_patch() patch the same modules), or serve the app with what it is made for"
        )


def choose_threads() -> None:
    """Have libraries use threads where they would look for one of the two, when they are imported. Switches: never."""
    when_imported("engineio.base_server", _engineio)
    when_imported("ddtrace.bootstrap.cloning", _ddtrace)


def _engineio(module: Any) -> None:
    begin = module.BaseServer.__init__

    @wraps(begin)
    def __init__(self: Any, async_mode: str | None = None, *args: Any, **options: Any) -> None:
        if async_mode in _MODES or (async_mode is None and not self.is_asyncio_based()):
            _tell(async_mode)
            async_mode = "threading"
        begin(self, async_mode, *args, **options)

    module.BaseServer.__init__ = __init__


def _tell(asked: str | None) -> None:
    found = asked or next((name for name in _RIVALS if _is_installed(name)), "")
    if found:
        why = "as it was told to" if asked else "only because that is installed"
        warnings.warn(
            f"Socket.IO would run on {found}, {why}, and stop all requests, since this process runs on greenserve. "
            'It gets async_mode="threading", whose threads are green here: pass that yourself, and this is not said.',
            RuntimeWarning,
            stacklevel=_outside("engineio", "socketio", "flask_socketio"),
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _outside(*packages: str) -> int:
    # The level, as warnings.warn() counts from _tell(), of the line that made the server.
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and _package(frame) in (*packages, "greenserve_hub"):
        level, frame = level + 1, frame.f_back
    return level


def _package(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _ddtrace(module: ModuleType) -> None:
    # It has imported modules that gevent is to find unpatched, and drops them. Ours are patched already, and others
    # would be imported in their place that are not.
    if os.environ.get("DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE", "auto").lower() == "auto":
        module.enabled = False  # type: ignore[attr-defined]
