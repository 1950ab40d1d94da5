"""The grammar of `Sec-WebSocket-Extensions` and of the other lists in a handshake (RFC 6455 §9.1, RFC 9110 §5.6).

Text in, lists out; knows nothing of what an extension means. A field that breaks the grammar fails the handshake
(§9.1): nobody can tell what the rest of it offers.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from greenserve.grammar import QUOTED_TEXT, TOKEN, is_token, unescape
from greenserve.websocket.handshake.refusals import HandshakeError

# An extension's name, and its parameters in their order, None for one without a value. Repeated ones are kept.
Offer: TypeAlias = tuple[str, list[tuple[str, str | None]]]

_BLANKS: Final = r"[ \t]*+"
_PART: Final = re.compile(
    rf'{_BLANKS}(?:({TOKEN})(?:{_BLANKS}={_BLANKS}(?:({TOKEN})|"({QUOTED_TEXT})"))?+)?+{_BLANKS}([;,]|\Z)'
)


def parse_offers(field: str) -> list[Offer]:
    """Return the extensions that a client offers, in its order. Empty elements are skipped (RFC 9110 §5.6.1).

    Raises HandshakeError.
    """
    offers: list[Offer] = []
    parameters: list[tuple[str, str | None]] | None = None  # None: a name comes next
    at = 0
    while True:
        match = _PART.match(field, at)
        if match is None:
            raise _malformed()
        name, token, quoted, end = match.groups()
        value = _unquoted(quoted) if quoted is not None else token
        at = match.end()
        if parameters is None:
            if name is not None and value is None:
                parameters = []
                offers.append((name.lower(), parameters))
            elif name is not None or end == ";":
                raise _malformed()
        elif name is None:
            raise _malformed()
        else:
            parameters.append((name.lower(), value))
        if end != ";":
            parameters = None
            if not end:
                return offers


def parse_tokens(field: str) -> list[str] | None:
    """Return the elements of a list of tokens, None if one of them is not a token. Empty ones are skipped."""
    elements = [element.strip(" \t") for element in field.split(",")]
    tokens = [element for element in elements if element]
    return tokens if all(map(is_token, tokens)) else None


def _unquoted(text: str) -> str:
    text = unescape(text)
    if not is_token(text):
        raise _malformed()  # a quoted value is a token too, once it is unquoted (RFC 6455 §9.1)
    return text


def _malformed() -> HandshakeError:
    return HandshakeError(400, "malformed Sec-WebSocket-Extensions (RFC 6455 §9.1)")
