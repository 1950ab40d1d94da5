"""listen, connect and serve: eventlet's three functions for sockets.

Uses green sockets and pools. `serve` is the loop of a small TCP server; the WSGI server has its own listener.

Facts: accept() of the standard SSLSocket does the handshake. So one silent client keeps all others out, and a client
that does not speak TLS ends the loop. Consequence: serve() accepts on the socket below, and the handshake runs in the
connection's own green thread.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from greenserve_hub.errors import HubError
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import GreenletExit, getcurrent, sleep
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.unpatched import os

_LATER = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.05  # seconds until the next accept() when descriptors or memory have run out
_HANDSHAKE_TIME = 10.0  # seconds for the TLS handshake


AnySocket = TypeVar("AnySocket", bound=GreenSocket)


class StopServe(Exception):  # eventlet's name
    """Raised by a handler of serve(): stop accepting, and return."""


def listen(
    addr: Any,
    family: int = socket.AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool = False,
) -> GreenSocket:
    """Return a socket that listens on `addr`: (host, port), or a path with AF_UNIX. OSError. Switches: never."""
    sock = GreenSocket(family, socket.SOCK_STREAM)
    try:
        if reuse_addr and family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(addr)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def connect(addr: Any, family: int = socket.AF_INET, bind: Any = None) -> GreenSocket:
    """Return a socket connected to `addr`, from the local address `bind` if given. OSError.

    Switches: until it is connected.
    """
    return connect_socket(GreenSocket(family, socket.SOCK_STREAM), addr, bind)


def connect_socket(sock: AnySocket, addr: Any, bind: Any) -> AnySocket:
    """Connect `sock`, which is closed if that fails, and return it: see connect()."""
    try:
        if bind is not None:
            sock.bind(bind)
        sock.connect(addr)
    except BaseException:
        sock.close()
        raise
    return sock


def serve(sock: GreenSocket, handle: Callable[[GreenSocket, Any], object], concurrency: int = 1000) -> None:
    """Call `handle(connection, address)` in a green thread for each client, at most `concurrency` at once.

    A handler's exception goes to the hub's `on_error`, and affects no other connection. When the handler returns, the
    connection is shut down and closed. If `sock` speaks TLS (SSLContext.wrap_socket), the handshake is done before,
    within 10 s, unless its `do_handshake_on_connect` is False. Returns when a handler raises StopServe; raises OSError
    when the listening socket fails. Switches: always.
    """
    if concurrency < 1:
        raise HubError("serve() needs a concurrency of at least 1")
    pool = GreenPool(concurrency)
    server = getcurrent()
    hub = get_hub()
    speaks_tls = hasattr(sock, "do_handshake")
    accept = partial(GreenSocket.accept, sock) if speaks_tls else sock.accept
    process = os.getpid()
    serving = True

    def stop() -> None:
        if serving:
            server.throw(_Stopped())

    def run(connection: GreenSocket, address: Any) -> None:
        secured = _secured(sock, connection) if speaks_tls else connection
        if secured is None:
            return
        try:
            handle(secured, address)
        except StopServe:
            hub.call_soon(stop)
        finally:
            if os.getpid() == process:
                _end(secured)
            secured.close()

    try:
        while True:
            connection, address = _accepted(accept)
            try:
                pool.spawn_n(run, connection, address)
            except BaseException:
                connection.close()  # stopped while waiting for a slot
                raise
    except _Stopped:
        pass
    finally:
        serving = False


def _accepted(accept: Callable[[], tuple[GreenSocket, Any]]) -> tuple[GreenSocket, Any]:
    while True:
        try:
            return accept()
        except ConnectionError:
            continue
        except OSError as error:
            if error.errno not in _LATER:
                raise
            sleep(_PAUSE)


def _secured(sock: Any, plain: GreenSocket) -> GreenSocket | None:
    """Return the connection with TLS, configured like the listening socket; None if the handshake fails."""
    connection: Any = plain
    try:
        plain.getpeername()  # wrap_socket() does not close a socket whose client has disconnected
        connection = sock.context.wrap_socket(
            plain,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=sock.suppress_ragged_eofs,
        )
        if sock.do_handshake_on_connect:
            with Timeout(_HANDSHAKE_TIME):
                connection.do_handshake()
    except (OSError, ValueError, Timeout):  # ValueError: the client has disconnected meanwhile
        connection.close()
        return None
    except BaseException:
        connection.close()  # this green thread was killed
        raise
    return connection  # type: ignore[no-any-return]


def _end(connection: GreenSocket) -> None:
    """Shut the sending side down, because close() sends no end while another process holds the socket."""
    if not connection._io_refs:  # type: ignore[attr-defined]  # a makefile() may still be written to
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_WR)


class _Stopped(GreenletExit):
    """Wakes the accepting green thread after StopServe."""
