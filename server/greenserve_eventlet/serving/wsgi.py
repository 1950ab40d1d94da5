"""eventlet.wsgi: server(), with all its keywords, over greenserve's own server.

The connections, limits, pool and checks are greenserve's; see DIFFERENCES.md for what differs and why. The names in
capitals are variables: programs set them before they call server().
"""

from __future__ import annotations

import errno
import os
import socket as _socket
import ssl
import sys
import time
import warnings
from email.utils import formatdate
from functools import partial
from http import server as BaseHTTPServer  # eventlet's name
from typing import Any

from greenserve.config import Config
from greenserve.errors import ProtocolError
from greenserve.logs.record import Finished
from greenserve.net import Server as _Server
from greenserve.net.serving.listeners import Given
from greenserve.net.serving.parts import Manners
from greenserve.net.sockets.binding import prepare
from greenserve.net.tls.contexts import ContextTLS
from greenserve.wsgi.exchange import Exchange
from greenserve_eventlet.serving.wsgi_call import WSGI_LOCAL, Call
from greenserve_eventlet.serving.wsgi_input import ChunkReadError, Input
from greenserve_eventlet.serving.wsgi_logging import LoggerFileWrapper, LoggerNull, get_logger, values_of
from greenserve_eventlet.serving.wsgi_protocol import (
    ConnectionState,
    HttpProtocol,
    addr_to_host_port,
    check_protocol,
)
from greenserve_eventlet.serving.wsgi_settings import MANY, limits, times

__all__ = [
    "WSGI_LOCAL",
    "BaseHTTPServer",
    "ChunkReadError",
    "HttpProtocol",
    "Input",
    "LoggerFileWrapper",
    "LoggerNull",
    "Server",
    "addr_to_host_port",
    "format_date_time",
    "get_logger",
    "server",
    "socket_repr",
]

# Variables
DEFAULT_MAX_SIMULTANEOUS_REQUESTS = 1024
DEFAULT_MAX_HTTP_VERSION = "HTTP/1.1"
MAX_REQUEST_LINE = 8192
MAX_HEADER_LINE = 8192
MAX_TOTAL_HEADER_SIZE = 65536
MINIMUM_CHUNK_SIZE = 4096
DEFAULT_LOG_FORMAT = (
    '%(client_ip)s - - [%(date_time)s] "%(request_line)s" %(status_code)s %(body_length)s %(wall_seconds).6f'
)
is_accepting = True

BAD_SOCK = {errno.EBADF, 10053}
BROKEN_SOCK = {errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN}
ACCEPT_EXCEPTIONS = (OSError, ssl.SSLError)
ACCEPT_ERRNO = {
    *(errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN),
    *(ssl.SSL_ERROR_EOF, ssl.SSL_ERROR_SSL),
}
STATE_IDLE = "idle"
STATE_REQUEST = "request"
STATE_CLOSE = "close"

_FOR_EVER = 10.0 * 365 * 86400  # seconds


class HeaderLineTooLong(Exception):  # eventlet's name
    """Nothing raises it: such a head is answered 400."""


class HeadersTooLarge(Exception):  # eventlet's name
    """Nothing raises it: such a head is answered 400."""


def format_date_time(timestamp: float) -> str:
    """Return a time as HTTP writes it (RFC 9110 §5.6.7); `timestamp` in seconds as of time.time()."""
    return formatdate(timestamp, usegmt=True)


def socket_repr(sock: Any) -> str:
    """Return the URL of a listening socket."""
    scheme = "https" if hasattr(sock, "do_handshake") else "http"
    name = sock.getsockname()
    if sock.family == _socket.AF_INET:
        return f"{scheme}://{name[0]}:{name[1]}"
    if sock.family == _socket.AF_INET6:
        return f"{scheme}://[{name[0]}]:{name[1]}"
    return f"{scheme}:{name}"


class Server:
    """One app and the keywords of server(). Programs make one for connections that they have accepted themselves."""

    def __init__(
        self,
        socket: Any,
        address: Any,
        app: Any,
        log: Any = None,
        environ: dict[str, Any] | None = None,
        max_http_version: str | None = None,
        protocol: type[HttpProtocol] = HttpProtocol,
        minimum_chunk_size: int | None = None,
        log_x_forwarded_for: bool = True,
        keepalive: bool | float = True,
        log_output: bool = True,
        log_format: str = DEFAULT_LOG_FORMAT,
        url_length_limit: int | None = None,
        debug: bool | None = None,
        socket_timeout: float | None = None,
        capitalize_response_headers: bool = True,
    ) -> None:
        """See server(). `socket` is the listening one, which is left alone here."""
        self.socket = socket
        self.address = address
        self.app = app
        self.log: Any = get_logger(log, debug is not False) if log_output else LoggerNull()
        self.environ = environ
        self.max_http_version = max_http_version
        self.protocol = protocol
        self.has_own_protocol = protocol is not HttpProtocol
        self.log_x_forwarded_for = log_x_forwarded_for
        self.keepalive = keepalive
        self.log_output = log_output
        self.log_format = log_format
        self.url_length_limit = MAX_REQUEST_LINE if url_length_limit is None else url_length_limit
        self.debug = debug
        self.socket_timeout = socket_timeout
        self.capitalize_response_headers = (
            capitalize_response_headers and protocol.capitalize_response_headers
        )
        self.known_fields: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
        self.pid = os.getpid()
        self.pool: Any = None
        self._minimum_chunk_size = minimum_chunk_size
        self._serving: dict[ssl.SSLContext | None, _Server] = {}
        check_protocol(protocol, self.log)
        if not capitalize_response_headers:
            warnings.warn(
                "capitalize_response_headers is off: the names of response fields are sent as the app spells them; "
                "clients that need that break the rule that names have no case (RFC 9110 §5.1)",
                DeprecationWarning,
                stacklevel=3,
            )

    # For its requests: see Serves ------------------------------------------------------------------------

    @property
    def minimum_chunk_size(self) -> int:
        """See Serves."""
        if self._minimum_chunk_size is not None:
            return self._minimum_chunk_size
        if self.protocol is HttpProtocol:
            return MINIMUM_CHUNK_SIZE
        return self.protocol.minimum_chunk_size

    @property
    def outstanding_requests(self) -> int:
        """How many requests run."""
        return sum(server.stats.active for server in self._serving.values())

    def get_environ(self) -> dict[str, Any]:
        """Return the keys that all requests have in common. Programs override it to add some. Switches: never."""
        return {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "eventlet.set_idle": _nothing,
            **(self.environ or {}),
        }

    def kept_lines(self, http11: bool) -> bytes:
        """See Serves."""
        seconds = 0 if self.keepalive is True else int(self.keepalive)
        told = b"Keep-Alive: timeout=%d\r\n" % seconds if seconds else b""
        return b"Connection: keep-alive\r\n" + told if http11 else told

    def environ_of(self, exchange: Exchange, environ: dict[str, Any]) -> dict[str, Any]:
        """See Serves."""
        link = exchange.link
        state = ConnectionState([(link.peer, int(link.peer_port)) if link.peer else "", None, STATE_REQUEST])
        state.exchange = exchange
        state.environ = environ
        return self.protocol(state, self).get_environ()

    # Connections of the program's own --------------------------------------------------------------------

    def process_request(self, conn_state: list[Any]) -> None:
        """Serve one connection, [address, socket, state], until it closes. Switches: always.

        `socket` is given up: it is closed afterwards. One of a TLS listener is given before its handshake.
        """
        address, sock = conn_state[:2]
        context = _context_of(sock)
        if context is not None and sock.version() is not None:
            raise ValueError(
                "process_request() takes a TLS connection before its handshake: accept() leaves it so"
            )
        server = self._serving.get(context)
        if server is None:
            server = self._serving[context] = self._make(None, context, MANY)
            server.start()
        plain = _socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        try:
            server.serve_connection(plain, address)
        finally:
            if len(conn_state) > 2:
                conn_state[2] = STATE_CLOSE

    # The server ------------------------------------------------------------------------------------------

    def serve(self, pool: Any, size: int) -> None:
        """Serve the listening socket; `pool` is the program's own or None. See server()."""
        self.pool = pool
        sock = self.socket
        context = _context_of(sock)
        listening = sock
        if context is not None:
            listening = _socket.socket(sock.family, sock.type, sock.proto, os.dup(sock.fileno()))
        elif not isinstance(sock, _socket.SocketType):
            raise TypeError(f"wsgi.server() takes a listening socket first, not {type(sock).__name__}")
        server = self._serving[None] = self._make(listening, context, size)
        server.start()
        server.listeners[0].watch()
        self.log.info("(%s) wsgi starting up on %s", self.pid, socket_repr(sock))
        try:
            server.wait()
        except (KeyboardInterrupt, SystemExit):
            self.log.info("wsgi exiting")
        finally:
            server.stop(_FOR_EVER)
            self.log.info("(%s) wsgi exited, is_accepting=%s", self.pid, is_accepting)
            sock.close()

    def _make(self, listening: Any, context: ssl.SSLContext | None, size: int) -> _Server:
        name, port = addr_to_host_port(self.address)
        given = self.get_environ()
        manners = Manners(
            environ={**given, **({"SERVER_NAME": name, "SERVER_PORT": port} if name == "unix" else {})},
            app_of=partial(Call, self),
            log_access=self._log_access if self.log_output else None,
            refusal_of=self._refusal_of,
            lenient=True,
            only_http10=self.max_http_version == "HTTP/1.0",
            passes_all=True,
            prefetches=False,  # the app may answer before the body comes
        )
        return _Server(
            self.app,
            Config.from_settings(
                pool=size,
                **limits(self.url_length_limit, MAX_HEADER_LINE, MAX_TOTAL_HEADER_SIZE),
                **times(self.socket_timeout or 0, self.keepalive),
            ),
            given=Given(
                [] if listening is None else [prepare(listening)],
                [],
                None if context is None else ContextTLS(context),
            ),
            errors=given["wsgi.errors"],
            manners=manners,
        )

    def _refusal_of(self, error: ProtocolError) -> bytes | None:
        """Answer as eventlet does: 400 to a head that is too long, and nothing to a client that is too slow for it."""
        if error.status == 408 and self.socket_timeout:
            return None
        if error.status != 431:
            return b""
        phrase = b"Header Line Too Long" if "field longer" in error.reason else b"Headers Too Large"
        return b"HTTP/1.0 400 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % phrase

    def _log_access(self, finished: Finished, began: float) -> None:
        server = next(iter(self._serving.values()))
        seconds = server.hub.clock() - began
        record = finished.record(time.time() - seconds, seconds)
        self.log.info(self.log_format % values_of(record, self.log_x_forwarded_for))

    def log_message(self, message: str) -> None:
        """Raise AttributeError: eventlet has removed it too."""
        raise AttributeError("wsgi.Server.log_message() is gone: use server.log.info()")


def _nothing() -> None:
    """eventlet.set_idle: greenserve knows itself which connections a stop may end."""


def _context_of(sock: Any) -> ssl.SSLContext | None:
    if not hasattr(sock, "do_handshake"):
        return None
    context = getattr(sock, "context", None)
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(
            "wsgi.server() takes TLS sockets of the ssl module: use eventlet.wrap_ssl(), not pyOpenSSL"
        )
    return context


def server(
    sock: Any,
    site: Any,
    log: Any = None,
    environ: dict[str, Any] | None = None,
    max_size: int | None = None,
    max_http_version: str | None = DEFAULT_MAX_HTTP_VERSION,
    protocol: type[HttpProtocol] = HttpProtocol,
    server_event: Any = None,
    minimum_chunk_size: int | None = None,
    log_x_forwarded_for: bool = True,
    custom_pool: Any = None,
    keepalive: bool | float = True,
    log_output: bool = True,
    log_format: str | None = None,
    url_length_limit: int | None = None,
    debug: bool | None = None,
    socket_timeout: float | None = None,
    capitalize_response_headers: bool = True,
) -> None:
    """Serve the WSGI app `site` at a listening socket until this green thread is killed. Switches: always.

    `log`: a logger, or a file; sys.stderr by default. `environ`: keys for every request. `max_size`: how many requests
    run at once, 1024 by default; or `custom_pool`, a GreenPool that they run in. `max_http_version="HTTP/1.0"`: treat
    every request so. `protocol`: see HttpProtocol. `minimum_chunk_size`: bytes of an iterable that are sent together,
    4096 by default; environ["eventlet.minimum_write_chunk_size"] for one request. `keepalive`: False, True, or the
    seconds that an idle connection stays open. `url_length_limit`: bytes of the request line. `socket_timeout`: seconds
    for each wait for a client, by default none but for heads. `debug=True` shows tracebacks to clients, which is off
    otherwise. A stop waits for running requests without a limit. Raises OSError when the socket fails, or is shut down.
    """
    serving = Server(
        sock,
        sock.getsockname(),
        site,
        log,
        environ=environ,
        max_http_version=max_http_version,
        protocol=protocol,
        minimum_chunk_size=minimum_chunk_size,
        log_x_forwarded_for=log_x_forwarded_for,
        keepalive=keepalive,
        log_output=log_output,
        log_format=DEFAULT_LOG_FORMAT if log_format is None else log_format,
        url_length_limit=url_length_limit,
        debug=debug,
        socket_timeout=socket_timeout,
        capitalize_response_headers=capitalize_response_headers,
    )
    if server_event is not None:
        warnings.warn("server_event of wsgi.server() is deprecated", DeprecationWarning, stacklevel=2)
        server_event.send(serving)
    if custom_pool is not None and not (hasattr(custom_pool, "spawn") and hasattr(custom_pool, "waitall")):
        raise AttributeError(
            "custom_pool of wsgi.server() needs the methods spawn and waitall: use a GreenPool"
        )
    size = getattr(custom_pool, "size", None) or max_size or DEFAULT_MAX_SIMULTANEOUS_REQUESTS
    serving.serve(custom_pool, size)
