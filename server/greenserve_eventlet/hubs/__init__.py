"""The hub of this OS thread under eventlet's names."""

from greenserve_eventlet.hubs import hub as hub
from greenserve_eventlet.hubs import timer as timer
from greenserve_eventlet.hubs.choosing import (
    builtin_hub_modules,
    builtin_hub_names,
    get_default_hub,
    get_hub,
    use_hub,
)
from greenserve_hub import HubError
from greenserve_hub.errors import IOClosed
from greenserve_hub.greenio.hubs import notify_close, notify_opened, trampoline

__all__ = [
    "HubError",
    "IOClosed",
    "builtin_hub_modules",
    "builtin_hub_names",
    "get_default_hub",
    "get_hub",
    "notify_close",
    "notify_opened",
    "trampoline",
    "use_hub",
]
