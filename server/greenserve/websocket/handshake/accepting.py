"""The server's half of the opening handshake (RFC 6455 §4.2): an environ in, the 101 response out.

Called inside a request, with the environ that the app got. It decides in the order of §4.2.1 and changes nothing: a
HandshakeError leaves a request that can still be answered in any way. The invariant: the head is made of what was
checked, so that neither a client nor an app can put a line into it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Final

from greenserve.errors import AppError
from greenserve.grammar import is_token
from greenserve.websocket.framing.deflate import Deflate
from greenserve.websocket.handshake.compression import Compression
from greenserve.websocket.handshake.offers import parse_offers, parse_tokens
from greenserve.websocket.handshake.origins import Origins, check_origin
from greenserve.websocket.handshake.refusals import HandshakeError

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
_VERSION: Final = "13"
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes (§4.1)
_BAD_VALUE: Final = re.compile(r"[^\t -~\x80-\xff]")
_NEEDED: Final = (
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", _VERSION),
)  # RFC 9110 §15.5.22, RFC 6455 §4.4
# Fields that the handshake itself sets, that frame a message, or that are for the next hop only.
_OURS: Final = frozenset(
    {
        *("upgrade", "connection", "sec-websocket-accept", "sec-websocket-extensions"),
        *(
            "sec-websocket-protocol",
            "sec-websocket-version",
            "content-length",
            "transfer-encoding",
            "trailer",
        ),
        *("keep-alive", "te", "proxy-connection"),
    }
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What was agreed on, and the response that says so."""

    subprotocol: str | None
    deflate: Deflate | None
    head: bytes  # the 101 response, whole


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Return True if a request asks to become a WebSocket, in whatever wrong way (RFC 9110 §7.8)."""
    return _lists(environ, "HTTP_UPGRADE", "websocket") and _lists(environ, "HTTP_CONNECTION", "upgrade")


def shake_hands(
    environ: Mapping[str, Any],
    *,
    subprotocols: Sequence[str] = (),
    origins: Origins = "same",
    compression: Compression | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Handshake:
    """Accept the request to become a WebSocket.

    The subprotocol is the first of `subprotocols` that the client offers, so the order is ours; if it offers none of
    them there is none, and the client decides whether it goes on (§4.2.2). `headers` are added to the response.

    Raises HandshakeError if the request must be refused, AppError for headers that can't be sent, ValueError for
    invalid subprotocols.
    """
    check_request(environ)
    accept = _accept_of(environ)
    check_origin(environ, origins)
    subprotocol = _choose(environ, subprotocols)
    # Malformed offers are refused even where none would be taken (§9.1).
    offers = parse_offers(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""))
    agreed = compression.choose(offers) if compression is not None else None
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if agreed is not None:
        lines.append(f"Sec-WebSocket-Extensions: {agreed[1]}")
    lines += _fields(headers)
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return Handshake(subprotocol, agreed[0] if agreed is not None else None, head)


def check_request(environ: Mapping[str, Any]) -> None:
    """Raise HandshakeError for a request that asks for no WebSocket, or not as §4.2.1 demands."""
    if environ["REQUEST_METHOD"] != "GET":
        raise HandshakeError(405, "a WebSocket begins with GET (RFC 6455 §4.1)", ("Allow", "GET"))
    if environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        raise HandshakeError(400, "a WebSocket begins with HTTP/1.1 (RFC 6455 §4.1)")
    if not is_upgrade(environ):
        raise HandshakeError(
            426,
            "only WebSockets here: Upgrade: websocket, Connection: Upgrade (RFC 6455 §4.2.1)",
            *_NEEDED,
        )
    if environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        # Its bytes would be read as frames, or the first frames as a body.
        raise HandshakeError(400, "a WebSocket's request has no body (RFC 6455 §4.1)")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != _VERSION:
        raise HandshakeError(426, "Sec-WebSocket-Version must be 13 (RFC 6455 §4.4)", *_NEEDED)


def check_answer(subprotocols: Sequence[str], headers: Sequence[tuple[str, str]]) -> None:
    """Raise ValueError or AppError for what shake_hands() could not put into its response."""
    _check_tokens(subprotocols)
    _fields(headers)


def _accept_of(environ: Mapping[str, Any]) -> str:
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    if not _KEY.fullmatch(key):
        raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64 (RFC 6455 §4.2.1)")
    return b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()  # §4.2.2


def _choose(environ: Mapping[str, Any], subprotocols: Sequence[str]) -> str | None:
    _check_tokens(subprotocols)
    field = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")
    if field is None:
        return None
    offered = parse_tokens(field)
    if not offered or len(set(offered)) < len(offered):
        raise HandshakeError(400, "Sec-WebSocket-Protocol is not a list of different tokens (RFC 6455 §4.1)")
    return next((one for one in subprotocols if one in offered), None)


def _check_tokens(subprotocols: Sequence[str]) -> None:
    if isinstance(subprotocols, str) or not all(map(is_token, subprotocols)):
        raise ValueError(f"subprotocols={subprotocols!r}: give a list of tokens (RFC 6455 §4.1)")


def _fields(headers: Sequence[tuple[str, str]]) -> list[str]:
    if isinstance(headers, str | Mapping) or not all(len(pair) == 2 for pair in headers):
        raise ValueError("headers of a WebSocket's answer: give a list of pairs (name, value)")
    return [_field(name, value) for name, value in headers]


def _field(name: str, value: str) -> str:
    if not (isinstance(name, str) and isinstance(value, str)):
        raise AppError("headers of a WebSocket's answer must be (str, str)")
    if not is_token(name):
        raise AppError(f"header name {name!r:.100} is not a token (RFC 9110 §5.1)")
    if name.lower() in _OURS:
        raise AppError(f"header {name} of a WebSocket's answer is the server's to send (RFC 6455 §4.2.2)")
    if found := _BAD_VALUE.search(value):
        # Its place and not the value, which may be a secret.
        raise AppError(
            f"header {name} has {found[0]!a} at character {found.start()} of its value; allowed are printable "
            "latin-1, space and tab (RFC 9110 §5.5)"
        )
    return f"{name}: {value}"


def _lists(environ: Mapping[str, Any], key: str, token: str) -> bool:
    return token in [element.strip(" \t").lower() for element in environ.get(key, "").split(",")]
