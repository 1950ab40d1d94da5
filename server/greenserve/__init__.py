"""greenserve: blocking Python, ten thousand connections.

The server's public names, and those of the green-thread runtime below it. Arrows run one way: process → net →
wsgi → http1; nothing below imports from here. One name of the runtime is left out, for the server has it: a plain
TCP server, eventlet's `serve(sock, handle)`, is `greenserve_hub.serve`.
"""
# ruff: noqa: I001  # in groups by what they are for, which the alphabet would mix up

# The server
from greenserve.config import Config
from greenserve.embedding import run, serve, wsgi_server
from greenserve.net import Server

# What can go wrong in it
from greenserve.errors import AppError, AppImportError, BodyError, ConfigError
from greenserve.errors import LimitExceeded, PeerGone, ProtocolError, ServeError

# The runtime
from greenserve_hub import dns as dns, threads as threads
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
    PriorityQueue,
    Queue,
    RLock,
    Semaphore,
    StopServe,
    Timeout,
    WouldBlock,
    available_pollers,
    connect,
    create_connection,
    get_hub,
    getcurrent,
    is_timeout,
    kill,
    listen,
    sleep,
    socketpair,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
    use_hub,
    with_timeout,
    wrap_is_timeout,
)

__all__ = [
    "AppError",
    "AppImportError",
    "BodyError",
    "BoundedSemaphore",
    "CappedSemaphore",
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
    "Hub",
    "HubError",
    "IOClosed",
    "LifoQueue",
    "LightQueue",
    "LimitExceeded",
    "Lock",
    "PeerGone",
    "PriorityQueue",
    "ProtocolError",
    "Queue",
    "RLock",
    "Semaphore",
    "ServeError",
    "Server",
    "StopServe",
    "Timeout",
    "WouldBlock",
    "available_pollers",
    "connect",
    "create_connection",
    "get_hub",
    "getcurrent",
    "is_timeout",
    "kill",
    "listen",
    "run",
    "serve",
    "sleep",
    "socketpair",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
    "use_hub",
    "with_timeout",
    "wrap_is_timeout",
    "wsgi_server",
]
