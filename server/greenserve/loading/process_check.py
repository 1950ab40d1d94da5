"""Checks that this process can serve: other code in it could stop the server, or let the app block it.

Called when a server is made, and by cli.py before and after it imports the app.
"""

from __future__ import annotations

import sys

from greenserve.errors import ConfigError
from greenserve.logs.error_log import error_log
from greenserve.logs.throttled import Once
from greenserve_hub.errors import HubError
from greenserve_hub.patching.monkey import lost_modules
from greenserve_hub.patching.other_runtimes import refuse_others

__all__ = ["check_process"]

_once = Once(20)


def check_process() -> None:
    """Raise ConfigError if eventlet or gevent has patched the process; log once if other code makes calls block."""
    try:
        refuse_others()
    except HubError as error:
        raise ConfigError(str(error)) from None
    if lost := lost_modules():
        _warn(
            f"the app, or a module that it imports, has removed {', '.join(lost)} from sys.modules: later imports get "
            "copies that are not patched, and their calls block all requests. ddtrace does this if "
            "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE is 1: unset it, or start with ddtrace-run"
        )
    for name in ("eventlet", "gevent"):
        if getattr(sys.modules.get(name), "__name__", name) != name:
            continue  # greenserve_eventlet goes by this name
        if f"engineio.async_drivers.{name}" in sys.modules:
            _warn(
                f"Socket.IO runs on {name} here and will hang: give it async_mode='threading', or call "
                "greenserve.monkey_patch() before it is imported"
            )


def _warn(text: str) -> None:
    if _once.admit(text):
        error_log.warning(text)
