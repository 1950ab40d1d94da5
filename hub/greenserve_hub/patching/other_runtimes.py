"""eventlet and gevent in the same process, and libraries that behave differently if one of them is installed.

Facts: each has its own hub that waits in the kernel. A wait in theirs stops all green threads of ours, and the other
way round, so two of them in one OS thread block each other. It does no harm if one is only installed or imported, but
Socket.IO's engineio uses the first that it can import, and ddtrace drops modules so that gevent finds them unpatched.
Decision: if one of them has patched the process, nothing starts. Libraries that would choose one because it is
installed are told to use threads, which are green.

Knows these libraries by their public names, and imports none of them.
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
    """Return the call with which eventlet or gevent has patched this process, or "". Switches: never."""
    gevent = sys.modules.get("gevent.monkey")
    if any(not name.startswith("_gevent") for name in getattr(gevent, "saved", ())):
        return "gevent.monkey.patch_all()"
    eventlet = sys.modules.get("eventlet.patcher")
    if _is_ours("eventlet"):
        return ""  # its name stands for greenserve's own
    return "eventlet.monkey_patch()" if getattr(eventlet, "already_patched", None) else ""


def _is_ours(name: str) -> bool:
    return getattr(sys.modules.get(name), "__name__", name) != name


def refuse_others() -> None:
    """Raise HubError if eventlet or gevent has patched this process. Switches: never."""
    if call := patched_by():
        raise HubError(
            f"{call} has patched this process, and two hubs in one process block each other: remove the call (the "
            "command and greenserve.monkey_patch() patch the same modules), or serve the app with the server it needs"
        )


def choose_threads() -> None:
    """Make libraries that would look for eventlet or gevent use threads. Switches: never."""
    when_imported("engineio.base_server", _engineio)
    when_imported("ddtrace.bootstrap.cloning", _ddtrace)


def _engineio(module: Any) -> None:
    begin = module.BaseServer.__init__

    @wraps(begin)
    def __init__(self: Any, async_mode: str | None = None, *args: Any, **options: Any) -> None:
        if _is_ours("eventlet") and async_mode in (None, "eventlet"):
            pass  # eventlet's driver runs on greenserve
        elif async_mode in _MODES or (async_mode is None and not self.is_asyncio_based()):
            _tell(async_mode)
            async_mode = "threading"
        begin(self, async_mode, *args, **options)

    module.BaseServer.__init__ = __init__


def _tell(asked: str | None) -> None:
    found = asked or next((name for name in _RIVALS if _is_installed(name)), "")
    if found:
        why = "as async_mode says" if asked else "only because it is installed"
        warnings.warn(
            f"Socket.IO would run on {found}, {why}, and block all requests, because this process runs on greenserve. "
            'It gets async_mode="threading", whose threads are green here. Pass that yourself to avoid this warning.',
            RuntimeWarning,
            stacklevel=_outside("engineio", "socketio", "flask_socketio"),
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _outside(*packages: str) -> int:
    # The stack level, as warnings.warn() counts it in _tell(), of the line that made the server.
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and _package(frame) in (*packages, "greenserve_hub"):
        level, frame = level + 1, frame.f_back
    return level


def _package(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _ddtrace(module: ModuleType) -> None:
    # ddtrace drops modules that it has imported, so that gevent finds them unpatched. Ours are patched already, and
    # unpatched ones would be imported in their place.
    if os.environ.get("DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE", "auto").lower() == "auto":
        module.enabled = False  # type: ignore[attr-defined]
