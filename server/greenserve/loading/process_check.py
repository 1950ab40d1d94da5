"""Whether this process can serve: what else in it would stop the server, or let the app stop it.

Called where a server is made, and by cli.py before the app is imported and after it. A leaf.
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
    """Raise ConfigError where eventlet or gevent has patched the process; log once what else makes calls block."""
    try:
        refuse_others()
    except HubError as error:
        raise ConfigError(str(error)) from None
    if lost := lost_modules():
        _warn(
            f"the app, or what it imports, has dropped {', '.join(lost)} from sys.modules: who imports them now gets "
            "copies that are not patched, whose calls block all requests. ddtrace does so where "
            "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE is 1: leave that out, or start with ddtrace-run"
        )
    for name in ("eventlet", "gevent"):
        if f"engineio.async_drivers.{name}" in sys.modules:
            _warn(
                f"Socket.IO runs on {name} here, and will stand still: give it async_mode='threading', or call "
                "greenserve.monkey_patch() before it is imported"
            )


def _warn(text: str) -> None:
    if _once.admit(text):
        error_log.warning(text)
