"""greenserve: blocking Python, ten thousand connections.

The server's public names, and those of the green-thread runtime below it. Imports run one way: process → net → wsgi →
http1; nothing below imports from here. One name of the runtime is left out because the server has the same name: a
plain TCP server, eventlet's `serve(sock, handle)`, is `greenserve_hub.serve`.
"""
# ruff: noqa: I001  # grouped by purpose; sorting would mix the groups up

import importlib as _importlib
import typing as _typing

# The runtime comes first: it records what was imported before it
from greenserve_hub.diagnostics import debug as debug
from greenserve_hub.osthreads import dns as dns
from greenserve_hub.greenio import hubs as hubs
from greenserve_hub.osthreads import threads as threads
from greenserve_hub import (
    BoundedSemaphore,
    CappedSemaphore,
    ConcurrentUseError,
    Condition,
    Deadlock,
    Empty,
    Event,
    Full,
    GreenPile,
    GreenPool,
    GreenSocket,
    GreenThread,
    GreenletExit,
    Hub,
    HubError,
    IOClosed,
    LifoQueue,
    LightQueue,
    Lock,
    MonkeyPatchWarning,
    PatchReport,
    PriorityQueue,
    Queue,
    RLock,
    Semaphore,
    StopServe,
    Timeout,
    available_pollers,
    backdoor,
    backdoor_server,
    connect,
    create_connection,
    get_hub,
    getcurrent,
    import_patched,
    is_monkey_patched,
    is_timeout,
    kill,
    listen,
    local,
    monkey_patch,
    original,
    sleep,
    socketpair,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_for_awaitable,
    spawn_n,
    use_hub,
    wait_for_awaitable,
    with_timeout,
    wrap_is_timeout,
)

# The server's names are imported when they are first asked for. A program that uses the runtime alone, and each process
# that multiprocessing starts for it, is up in a third of the time then.
if _typing.TYPE_CHECKING:
    from greenserve.config import Config
    from greenserve.embedding import run, serve, wsgi_server
    from greenserve.errors import AppError, AppImportError, BodyError, ConfigError
    from greenserve.errors import LimitExceeded, PeerGone, ProtocolError, ServeError, WebSocketClosed
    from greenserve.logs.request_ids import RequestContext
    from greenserve.net import Room, Server, WebSocket, WebSocketWSGI, accept_websocket
    from greenserve.websocket import Compression, HandshakeError
    from greenserve.wsgi import RequestCancelled, RequestTimeout

_MODULES: _typing.Final = {
    "greenserve.config": ("Config",),
    "greenserve.embedding": ("run", "serve", "wsgi_server"),
    "greenserve.errors": (
        "AppError",
        "AppImportError",
        "BodyError",
        "ConfigError",
        "LimitExceeded",
        "PeerGone",
        "ProtocolError",
        "ServeError",
        "WebSocketClosed",
    ),
    "greenserve.logs.request_ids": ("RequestContext",),
    "greenserve.net": ("Room", "Server", "WebSocket", "WebSocketWSGI", "accept_websocket"),
    "greenserve.websocket": ("Compression", "HandshakeError"),
    "greenserve.wsgi": ("RequestCancelled", "RequestTimeout"),
}
_MODULE_OF: _typing.Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AppError",
    "AppImportError",
    "BodyError",
    "BoundedSemaphore",
    "CappedSemaphore",
    "Compression",
    "ConcurrentUseError",
    "Condition",
    "Config",
    "ConfigError",
    "Deadlock",
    "Empty",
    "Event",
    "Full",
    "GreenPile",
    "GreenPool",
    "GreenSocket",
    "GreenThread",
    "GreenletExit",
    "HandshakeError",
    "Hub",
    "HubError",
    "IOClosed",
    "LifoQueue",
    "LightQueue",
    "LimitExceeded",
    "Lock",
    "MonkeyPatchWarning",
    "PatchReport",
    "PeerGone",
    "PriorityQueue",
    "ProtocolError",
    "Queue",
    "RLock",
    "RequestCancelled",
    "RequestContext",
    "RequestTimeout",
    "Room",
    "Semaphore",
    "ServeError",
    "Server",
    "StopServe",
    "Timeout",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketWSGI",
    "accept_websocket",
    "available_pollers",
    "backdoor",
    "backdoor_server",
    "connect",
    "create_connection",
    "get_hub",
    "getcurrent",
    "import_patched",
    "is_monkey_patched",
    "is_timeout",
    "kill",
    "listen",
    "local",
    "monkey_patch",
    "original",
    "run",
    "serve",
    "sleep",
    "socketpair",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_for_awaitable",
    "spawn_n",
    "use_hub",
    "wait_for_awaitable",
    "with_timeout",
    "wrap_is_timeout",
    "wsgi_server",
]


def __getattr__(name: str) -> object:
    """Import a name of the server (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
