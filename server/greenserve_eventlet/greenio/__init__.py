"""Green sockets and pipes under eventlet's names."""

from typing import Any

from greenserve_eventlet.greenio import base as _base
from greenserve_eventlet.greenio.base import (
    _GLOBAL_DEFAULT_TIMEOUT,
    CONNECT_ERR,
    CONNECT_SUCCESS,
    SOCKET_BLOCKING,
    SOCKET_CLOSED,
    GreenSocket,
    set_nonblocking,
    shutdown_safe,
    socket_timeout,
)
from greenserve_eventlet.greenio.py3 import GreenFileIO, GreenPipe, _fileobject

__all__ = [
    "CONNECT_ERR",
    "CONNECT_SUCCESS",
    "SOCKET_BLOCKING",
    "SOCKET_CLOSED",
    "_GLOBAL_DEFAULT_TIMEOUT",
    "GreenFileIO",
    "GreenPipe",
    "GreenSocket",
    "_fileobject",
    "set_nonblocking",
    "shutdown_safe",
    "socket_timeout",
]


def __getattr__(name: str) -> Any:
    return getattr(_base, name)
