"""eventlet.convenience: listen, connect, serve and wrap_ssl.

serve() ends with what a handler has raised, as programs written for eventlet expect; greenserve's own goes on.
"""

from __future__ import annotations

import errno
import socket
import warnings
from collections.abc import Callable
from typing import Any

from greenserve_eventlet.green import ssl
from greenserve_eventlet.greenio.base import GreenSocket
from greenserve_hub import StopServe
from greenserve_hub import serve as _serve
from greenserve_hub.greenio.serving import connect_socket

__all__ = [
    "ReusePortUnavailableWarning",
    "ReuseRandomPortWarning",
    "StopServe",
    "connect",
    "listen",
    "serve",
    "wrap_ssl",
]

_NO_REUSEPORT = {errno.EINVAL, errno.ENOPROTOOPT}


class ReuseRandomPortWarning(Warning):
    """listen() was asked to share a port that the kernel chooses: it may choose one of another program."""


class ReusePortUnavailableWarning(Warning):
    """The system has no SO_REUSEPORT, though it names it."""


def connect(addr: Any, family: int = socket.AF_INET, bind: Any = None) -> GreenSocket:
    """Return a socket connected to `addr`, from the local address `bind` if given. OSError.

    Switches: until it is connected.
    """
    return connect_socket(GreenSocket(family, socket.SOCK_STREAM), addr, bind)


def listen(
    addr: Any,
    family: int = socket.AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool | None = None,
) -> GreenSocket:
    """Return a socket that listens on `addr`: (host, port), or a path with AF_UNIX. OSError. Switches: never.

    `reuse_port` lets several processes listen at one port; by default at every port that `addr` names.
    """
    sock = GreenSocket(family, socket.SOCK_STREAM)
    try:
        if reuse_addr:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family in (socket.AF_INET, socket.AF_INET6) and addr[1] == 0:
            if reuse_port:
                warnings.warn(
                    "listen() with reuse_port at port 0 may share the port of another program: name the port",
                    ReuseRandomPortWarning,
                    stacklevel=2,
                )
        elif reuse_port is None:
            reuse_port = family != socket.AF_UNIX
        if reuse_port:
            _reuse_port(sock)
        sock.bind(addr)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _reuse_port(sock: GreenSocket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        if error.errno in _NO_REUSEPORT:
            warnings.warn(
                f"this system has no SO_REUSEPORT ({error.strerror}): only one process can listen at the port",
                ReusePortUnavailableWarning,
                stacklevel=3,
            )


def serve(sock: Any, handle: Callable[[Any, Any], object], concurrency: int = 1000) -> None:
    """Call `handle(connection, address)` in a green thread for each client, at most `concurrency` at once.

    Returns when a handler raises StopServe. Any other Exception of a handler ends it too, and is raised here. With TLS
    (wrap_ssl), the handshake runs in the connection's green thread. Switches: always.
    """
    failures: list[Exception] = []

    def run(connection: Any, address: Any) -> None:
        try:
            handle(connection, address)
        except StopServe:
            raise
        except Exception as error:
            failures.append(error)
            raise StopServe from None

    _serve(sock, run, concurrency)
    if failures:
        raise failures[0]


def wrap_ssl(sock: Any, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
    """Return the socket with TLS; the arguments are those of eventlet.green.ssl.wrap_socket.

    Switches: for the handshake, if it is connected. A listening one leaves it to each connection.
    """
    return ssl.wrap_socket(sock, *args, **kwargs)


wrap_ssl_impl = ssl.wrap_socket
