"""A listening socket and the green thread that accepts from it.

It outlives every error of a single connection, waits when the machine has no descriptors or memory left, and
leaves clients in the kernel's backlog while the server has no room (`limit_connections`). It reads nothing: a
connection does.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from greenserve.net.binding import file_of, name_and_port, remove_file, url_of
from greenserve.net.connection import Connection
from greenserve.net.stream import Stream
from greenserve.wsgi import base_environ
from greenserve_hub.errors import IOClosed
from greenserve_hub.greenthreads import sleep
from greenserve_hub.natives import socket
from greenserve_hub.readiness import wait_readable

if TYPE_CHECKING:
    from greenserve.net.server import Server
    from greenserve.net.tls import TLS

log = logging.getLogger("greenserve.error")

# accept(2): errors of the network that belong to the connection which was to be accepted. The next one may be
# fine.
_OF_THE_PEER: Final = frozenset(
    number
    for name in [
        "ECONNABORTED",
        "ECONNRESET",
        "EPROTO",
        "EPIPE",
        "ETIMEDOUT",
        "EINTR",
        "EPERM",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
        "ENOTCONN",
        "ESHUTDOWN",
    ]
    if (number := getattr(errno, name, None)) is not None
)
_OF_THE_MACHINE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FIRST_PAUSE: Final = 0.05  # seconds; doubles up to the longest
_LONGEST_PAUSE: Final = 1.0
# Connections accepted before the others have their turn; a burst must not overflow the backlog.
_AT_ONCE: Final = 1024
_ENVIRONS: Final = 64  # kept; versions times ciphers times names are a dozen


class Listener:
    """One address that a server listens at."""

    def __init__(
        self,
        server: Server,
        sock: socket.socket,
        software: str,
        errors: TextIO,
        tls: TLS | None,
        submit: Callable[[Connection], None],
    ) -> None:
        """Takes over a socket that listens and does not block. `submit` is given each connection with a request."""
        self.sock = sock
        self.name = sock.getsockname()
        self.tls = tls
        self.submit = submit
        self._server = server
        scheme = "http" if tls is None else "https"
        name, port = name_and_port(sock, scheme)
        self.environ: dict[str, Any] = base_environ(scheme, name, port, software, errors)
        self._tls_environs: dict[tuple[str, ...], dict[str, Any]] = {}
        self.url = url_of(sock, scheme)
        self._file = file_of(sock)
        self._descriptor = server.hub.open_descriptor(sock.fileno())

    def accept_forever(self) -> None:
        """Accept until close(). Switches: always."""
        pause = _FIRST_PAUSE
        server = self._server
        accepted = 0
        while not self._descriptor.closed:
            server.wait_for_room()
            try:
                sock, address = self._accept()
            except BlockingIOError:
                accepted = 0
                with contextlib.suppress(IOClosed):
                    wait_readable(self._descriptor)
                continue
            except OSError as error:
                if self._descriptor.closed:
                    return
                server.counts.accept_errors += 1
                if error.errno in _OF_THE_PEER:
                    continue
                if pause == _FIRST_PAUSE:
                    advice = (
                        "raise `ulimit -n` or lower --limit-connections"
                        if error.errno in _OF_THE_MACHINE
                        else "accepting goes on"
                    )
                    log.error("%s: cannot accept: %s; %s", self.url, error.strerror, advice)
                sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            try:
                self._open(sock, address)
            except Exception:
                sock.close()
                log.exception("%s: a connection could not be taken up", self.url)
            accepted += 1
            if accepted == _AT_ONCE:
                accepted = 0
                sleep(0)

    def _accept(self) -> tuple[socket.socket, Any]:
        # socket.accept would make what `socket` is patched to: a GreenSocket, in a patched program.
        own = self.sock
        fd, address = own._accept()  # type: ignore[attr-defined]  # what socket.accept stands on as well
        return socket.socket(own.family, own.type, own.proto, fileno=fd), address

    def _open(self, sock: socket.socket, address: Any) -> None:
        sock.setblocking(False)
        peer, port = (address[0], str(address[1])) if isinstance(address, tuple) else ("", "")
        server = self._server
        if server.prefaces is not None and not server.prefaces.admits(peer):
            server.counts.refused += 1
            sock.close()
            return
        server.remember(Connection(server, self, Stream(server.hub, sock), peer, port))

    def tls_environ(self, values: dict[str, str]) -> dict[str, Any]:
        """`environ` with what is known of a TLS session; one for all connections that have the same."""
        key = tuple(values.values())
        found = self._tls_environs.get(key)
        if found is None:
            if len(self._tls_environs) >= _ENVIRONS:
                self._tls_environs.clear()  # the names in them are the clients' to choose
            found = self._tls_environs[key] = self.environ | values
        return found

    def accept_rest(self) -> None:
        """Take up what the kernel holds already: those clients have their connection. Switches: never."""
        with contextlib.suppress(OSError):
            while not self._descriptor.closed and self._server.has_room:
                self._open(*self._accept())

    def close(self) -> None:
        """Accept no more, and take away a unix socket's file. Switches: never."""
        if self._descriptor.closed:
            return
        self._descriptor.close()
        self.sock.close()
        remove_file(self._file)
