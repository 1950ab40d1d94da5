"""listen, connect and serve: eventlet's three ways to a socket, in one line each.

Stands on green sockets and pools. `serve` is the loop of a small TCP server; the WSGI server has a listener
of its own.

Facts: the accept() of the standard's SSLSocket shakes hands, so that one client that is silent keeps all others out,
and one that speaks something else ends the loop. Consequence: serve() accepts on the socket below it, and hands are
shaken in the connection's own green thread.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from greenserve_hub.errors import HubError
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import GreenletExit, getcurrent, sleep
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.unpatched import os

_LATER = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.05  # seconds without descriptors or memory, before accepting is tried again
_HANDSHAKE_TIME = 10.0  # seconds for a client to agree on TLS


class StopServe(Exception):  # eventlet's name
    """Raised by a handler of serve(): stop accepting, and return."""


def listen(
    addr: Any,
    family: int = socket.AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool = False,
) -> GreenSocket:
    """A socket that listens at `addr`: (host, port), or a path with AF_UNIX. Switches: never.

    OSError when it can't be had.
    """
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
    """A socket connected to `addr`, from the local address `bind` if given. Switches: until it is.

    OSError.
    """
    sock = GreenSocket(family, socket.SOCK_STREAM)
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

    Switches: always.

    A handler's exception goes to the hub's `on_error` and harms nobody else; when it returns the client is told that
    no more will come, and the connection closed. Where `sock` speaks TLS (SSLContext.wrap_socket), a handler gets a
    client that has agreed on it, within 10 s; if its `do_handshake_on_connect` is False, one that has not begun to.
    Returns when a handler raises StopServe; raises OSError when the listening socket fails.
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
                connection.close()  # stopped while it waited for a slot
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
    """A connection with TLS on it, as the listening socket has it; None for a client that does not agree."""
    connection: Any = plain
    try:
        plain.getpeername()  # wrap_socket() forgets to close one that has gone already
        connection = sock.context.wrap_socket(
            plain,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=sock.suppress_ragged_eofs,
        )
        if sock.do_handshake_on_connect:
            with Timeout(_HANDSHAKE_TIME):
                connection.do_handshake()
    except (OSError, ValueError, Timeout):  # ValueError: it has gone since
        connection.close()
        return None
    except BaseException:
        connection.close()  # killed
        raise
    return connection  # type: ignore[no-any-return]


def _end(connection: GreenSocket) -> None:
    """Tell the client that no more will come, which close() does not do while another process holds the socket."""
    if not connection._io_refs:  # type: ignore[attr-defined]  # a makefile() may still be written to
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_WR)


class _Stopped(GreenletExit):
    """Wakes the accepting green thread after StopServe."""
