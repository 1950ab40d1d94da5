"""HttpProtocol: the class that programs derive from to change what wsgi.server makes of a request.

greenserve reads requests and sends responses itself, so an HttpProtocol is made for each request that has come, and
asked for its environ. Its methods for reading and answering are never called: see _NEVER_CALLED.
"""

from __future__ import annotations

import urllib.parse
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Protocol

from greenserve.errors import ConfigError
from greenserve.wsgi.exchange import Exchange

__all__ = ["ConnectionState", "HttpProtocol", "Serves", "addr_to_host_port", "check_protocol"]

# Methods of eventlet's that have no place here.
_NEVER_CALLED: Final = (
    "handle",
    "handle_one_request",
    "handle_one_response",
    "parse_request",
    "setup",
    "finish",
    "send_error",
)
# Of these, those that programs override to read something else than HTTP before a request.
_READS_BEFORE_HTTP: Final = ("handle", "setup")


class Serves(Protocol):
    """What wsgi.Server has for its requests."""

    app: Any
    pool: Any
    log: Any
    debug: Any
    capitalize_response_headers: bool
    has_own_protocol: bool  # of the program's own: environ_of() has to be asked
    known_fields: dict[tuple[Any, ...], list[tuple[str, str]]]  # what was made of those that apps gave

    @property
    def minimum_chunk_size(self) -> int:
        """Bytes of an iterable that are sent together."""

    def kept_lines(self, http11: bool) -> bytes:
        """Return what a client is told that has asked to keep its connection."""

    def environ_of(self, exchange: Exchange, environ: dict[str, Any]) -> dict[str, Any]:
        """Return the environ of a request as the protocol changes it."""


class ConnectionState(list[Any]):
    """[address, socket, state], as eventlet has it, and the request that it is for."""

    exchange: Exchange
    environ: dict[str, Any]


class HttpProtocol(BaseHTTPRequestHandler):
    """One request, as it has come. Derive from it to change get_environ(), what it logs, or the numbers below.

    `self.headers` (a `MessageClass`), `command`, `path`, `requestline`, `request_version`, `client_address` and
    `server` are there.
    """

    protocol_version = "HTTP/1.1"
    minimum_chunk_size = 4096
    capitalize_response_headers = True
    # Not read: Content-Length beside Transfer-Encoding is refused by all (RFC 9112 §6.1).
    reject_bad_requests = True

    server: Any

    def __init__(self, conn_state: Any, server: Any) -> None:
        """Take the request of a connection."""
        exchange: Exchange = conn_state.exchange
        head = exchange.head
        self.conn_state = conn_state
        self.client_address = conn_state[0]
        self.connection = self.request = conn_state[1]
        self.server = server
        self.command = head.method
        self.path = head.target
        self.request_version = "HTTP/1.1" if head.http11 else "HTTP/1.0"
        self.requestline = f"{head.method} {head.target} {self.request_version}"
        self.raw_requestline = f"{self.requestline}\r\n".encode("latin-1")
        self.close_connection = not head.keep_alive
        self.headers = self.MessageClass()
        for name, value in head.fields:
            Message.add_header(self.headers, name, value)
        self.environ: dict[str, Any] = conn_state.environ

    def get_environ(self) -> dict[str, Any]:
        """Return the environ that the app gets."""
        host, port = addr_to_host_port(self.client_address)
        self.environ["REMOTE_ADDR"], self.environ["REMOTE_PORT"] = host, str(port)
        if "Content-Type" not in self.headers:
            self.environ["CONTENT_TYPE"] = self.headers.get_content_type()  # the default of MessageClass
        for name, value in self.headers.items():
            if "_" in name and (key := self.formalize_key_naming(name)):
                self.environ.setdefault(f"HTTP_{key}", value)
        return self.environ

    def get_client_address(self) -> tuple[str, Any]:
        """Return the client's address and port, behind those that X-Forwarded-For tells, for the log."""
        host, port = addr_to_host_port(self.client_address)
        if self.server.log_x_forwarded_for:
            forwarded = self.headers.get("X-Forwarded-For", "").replace(" ", "")
            host = f"{forwarded},{host}" if forwarded else host
        return host, port

    def formalize_key_naming(self, k: str) -> str | None:
        """Return the name of a field with an underscore as environ has it behind HTTP_; None: it is dropped.

        It would pass for the field with a hyphen in its place, which a proxy may have checked.
        """
        return None if "_" in k else k.replace("-", "_").upper()

    def log_message(self, format: str, *args: Any) -> None:
        """Log a line where the server does."""
        self.server.log.info(format % args)

    def unquoted_path(self) -> str:
        """Return the path without percent signs, in latin-1 (PEP 3333)."""
        return urllib.parse.unquote(self.path.partition("?")[0], encoding="latin-1")


def addr_to_host_port(addr: Any) -> tuple[str, Any]:
    """Return host and port of a socket's address; ("unix", "") for one without."""
    return (addr[0], addr[1]) if isinstance(addr, tuple) else ("unix", "")


def check_protocol(protocol: type[HttpProtocol], log: Any) -> None:
    """Raise ConfigError for a protocol that can't work here; log which methods of it are never called."""
    overridden = [
        name
        for name in _NEVER_CALLED
        if getattr(protocol, name, None) is not getattr(HttpProtocol, name, None)
    ]
    for name in _READS_BEFORE_HTTP:
        if name in overridden:
            raise ConfigError(
                f"{protocol.__name__}.{name}() would read from the connection, which greenserve does itself: for PROXY "
                "headers use its setting proxy_protocol, else change get_environ()"
            )
    if overridden:
        log.debug(
            "%s.%s() is never called: greenserve reads requests itself",
            protocol.__name__,
            ", ".join(overridden),
        )
