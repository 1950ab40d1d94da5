"""eventlet.websocket: WebSocketWSGI makes a WSGI app of a function that takes a WebSocket.

It works on the socket of the request: environ["eventlet.input"] of wsgi.server, environ["gunicorn.socket"] of gunicorn.
greenserve's own accept_websocket() has what this has not: pings, deadlines, and a queue that is bounded.
"""

from __future__ import annotations

import base64
import errno
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenserve.websocket.handshake.compression import Compression
from greenserve_eventlet.serving.hixie import BadRequest, WebSocket, handshake_reply
from greenserve_eventlet.serving.rfc6455 import (
    DEFAULT_MAX_FRAME_LENGTH,
    ConnectionClosedError,
    ProtocolError,
    RFC6455WebSocket,
)
from greenserve_eventlet.serving.wsgi_call import WSGI_LOCAL

__all__ = [
    "ACCEPTABLE_CLIENT_ERRORS",
    "DEFAULT_MAX_FRAME_LENGTH",
    "PROTOCOL_GUID",
    "BadRequest",
    "ConnectionClosedError",
    "ProtocolError",
    "RFC6455WebSocket",
    "WebSocket",
    "WebSocketWSGI",
]

ACCEPTABLE_CLIENT_ERRORS = {errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN}
PROTOCOL_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_VERSIONS: Final = ("8", "13")
_DEFLATE: Final = "permessage-deflate"
_PARAMETERS: Final = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)


class WebSocketWSGI:
    """A WSGI app that calls `handler(websocket)` for each WebSocket; to return closes it."""

    def __init__(
        self, handler: Callable[[Any], object], max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH
    ) -> None:
        """`max_frame_length`: bytes that a message may have, inflated."""
        self.handler = handler
        self.protocol_version: int | None = None
        self.support_legacy_versions = True
        self.supported_protocols: list[str] = []
        self.origin_checker: Callable[[Any, Any], object] | None = None
        self.max_frame_length = max_frame_length

    @classmethod
    def configured(
        cls,
        handler: Callable[[Any], object] | None = None,
        supported_protocols: list[str] | None = None,
        origin_checker: Callable[[Any, Any], object] | None = None,
        support_legacy_versions: bool = False,
    ) -> Any:
        """Make one with settings, or a decorator. `origin_checker(host, origin)` returns False to refuse a page's."""

        def decorate(handler: Callable[[Any], object]) -> WebSocketWSGI:
            app = cls(handler)
            app.support_legacy_versions = support_legacy_versions
            app.origin_checker = origin_checker
            app.supported_protocols = supported_protocols or []
            return app

        return decorate if handler is None else decorate(handler)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Shake hands and call the handler. Switches: as that does."""
        try:
            websocket = self._accept(environ)
        except BadRequest as refused:
            start_response(refused.status, [("Connection", "close"), *(refused.headers or [])])
            return [refused.body or b""]
        if "eventlet.set_idle" in environ:
            environ["eventlet.set_idle"]()
        try:
            self.handler(websocket)
        except OSError as error:
            if error.errno not in ACCEPTABLE_CLIENT_ERRORS:
                raise
        websocket._send_closing_frame(True)
        WSGI_LOCAL.already_handled = True
        return []

    def _accept(self, environ: dict[str, Any]) -> WebSocket:
        options = [option.strip() for option in environ.get("HTTP_CONNECTION", "").lower().split(",")]
        if "upgrade" not in options or environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            raise BadRequest
        if "HTTP_SEC_WEBSOCKET_VERSION" in environ:
            return self._handle_hybi_request(environ)
        if self.support_legacy_versions:
            return self._handle_legacy_request(environ)
        raise BadRequest

    def _handle_legacy_request(self, environ: dict[str, Any]) -> WebSocket:
        key3: bytes | None = None
        sock = None
        self.protocol_version = 75
        if "HTTP_SEC_WEBSOCKET_KEY1" in environ:
            if "HTTP_SEC_WEBSOCKET_KEY2" not in environ:
                raise BadRequest
            self.protocol_version = 76
            handshake_reply(environ, b"")  # refuses what is no handshake, while the request is HTTP
            sock = _socket_of(environ)
            key3 = b""
            while len(key3) < 8 and (received := sock.recv(8 - len(key3))):
                key3 += received
        reply = handshake_reply(environ, key3)
        sock = sock or _socket_of(environ)
        sock.sendall(reply)
        return WebSocket(sock, environ, self.protocol_version)

    def _handle_hybi_request(self, environ: dict[str, Any]) -> RFC6455WebSocket:
        version = environ["HTTP_SEC_WEBSOCKET_VERSION"]
        if version not in _VERSIONS:
            raise BadRequest("426 Upgrade Required", headers=[("Sec-WebSocket-Version", "8, 13")])
        self.protocol_version = int(version)
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY")
        if not key:
            raise BadRequest
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            origin = environ.get("HTTP_SEC_WEBSOCKET_ORIGIN", "") if version == "8" else ""
        if self.origin_checker is not None and not self.origin_checker(environ.get("HTTP_HOST"), origin):
            raise BadRequest("403 Forbidden")
        asked = [name.strip() for name in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")]
        protocol = next((name for name in asked if name in self.supported_protocols), None)
        accept = base64.b64encode(hashlib.sha1(key.encode("latin-1") + PROTOCOL_GUID).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        ]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        extensions, answer = _choose_extensions(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""))
        if answer:
            lines.append(f"Sec-WebSocket-Extensions: {answer}")
        sock = _socket_of(environ)
        sock.sendall("\r\n".join([*lines, "\r\n"]).encode("latin-1"))
        return RFC6455WebSocket(
            sock,
            environ,
            self.protocol_version,
            protocol=protocol,
            extensions=extensions,
            max_frame_length=self.max_frame_length,
        )


def _socket_of(environ: dict[str, Any]) -> Any:
    if "eventlet.input" in environ:
        return environ["eventlet.input"].get_socket()
    if "gunicorn.socket" in environ:
        return environ["gunicorn.socket"]
    raise RuntimeError(
        "environ has neither eventlet.input nor gunicorn.socket: serve this app with eventlet.wsgi.server or with "
        "gunicorn -k eventlet; under greenserve's command use greenserve.accept_websocket(environ)"
    )


def _choose_extensions(header: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the extensions that are agreed on, and the field that says so; the same as greenserve takes."""
    offers = []
    for offer in header.lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        pairs = [parameter.partition("=") for parameter in parameters if parameter]
        offers.append((name, [(key.strip(), _value(key, value)) for key, _, value in pairs]))
    chosen = Compression(window_bits=15).choose(offers)
    if chosen is None:
        return {}, ""
    deflate, answer = chosen
    return {_DEFLATE: {name: getattr(deflate, name) for name in _PARAMETERS}}, answer


def _value(key: str, value: str) -> str | None:
    """Return a parameter's value; some clients leave out that of server_max_window_bits, and mean any."""
    value = value.strip().strip('"')
    return value or ("15" if key.strip() == "server_max_window_bits" else None)
