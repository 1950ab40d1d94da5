"""listen, connect and serve: eventlet's three ways to a socket, in one line each.

Stands on green sockets and pools. `serve` is the loop of a small TCP server; the WSGI server has a listener
of its own.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads import GreenletExit, getcurrent, sleep
from greenserve_hub.loop import get_hub
from greenserve_hub.pools import GreenPool
from greenserve_hub.sockets import GreenSocket

_LATER = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.05  # seconds without descriptors or memory, before accepting is tried again


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

    A handler's exception goes to the hub's `on_error` and harms nobody else; its connection is closed when it
    returns. Returns when a handler raises StopServe; raises OSError when the listening socket fails.
    """
    if concurrency < 1:
        raise HubError("serve() needs a concurrency of at least 1")
    pool = GreenPool(concurrency)
    server = getcurrent()
    hub = get_hub()
    serving = True

    def stop() -> None:
        if serving:
            server.throw(_Stopped())

    def run(connection: GreenSocket, address: Any) -> None:
        try:
            handle(connection, address)
        except StopServe:
            hub.call_soon(stop)
        finally:
            connection.close()

    try:
        while True:
            try:
                connection, address = sock.accept()
            except ConnectionError:
                continue
            except OSError as error:
                if error.errno not in _LATER:
                    raise
                sleep(_PAUSE)
                continue
            try:
                pool.spawn_n(run, connection, address)
            except BaseException:
                connection.close()  # stopped while it waited for a slot
                raise
    except _Stopped:
        pass
    finally:
        serving = False


class _Stopped(GreenletExit):
    """Wakes the accepting green thread after StopServe."""
