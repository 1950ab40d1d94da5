"""The name that a TLS client asks for, read from its greeting before any TLS begins (RFC 6066 §3, RFC 8446 §4.1.2).

Sans-IO: bytes in, a name out. It judges nothing else: OpenSSL reads the same bytes afterwards and says what is wrong.
The invariant: what comes out is a name of letters, digits, dots, hyphens and underscores, or "".

Facts: OpenSSL's own way is a callback, for which the ssl module decodes the name, and a name that is no ASCII goes to
stderr with a traceback, as often as a client likes. And a session of OpenSSL's costs ten times a connection.
Consequence: the name is read here, and the session made when the whole greeting is there; a silent client has none.
"""

from __future__ import annotations

import re
from typing import Final

_HANDSHAKE: Final = 22  # the content type of a record (RFC 8446 §5.1)
_CLIENT_HELLO: Final = 1  # the type of a handshake message (RFC 8446 §4)
_SERVER_NAME: Final = 0  # the type of an extension (RFC 8446 §4.2), and there of a DNS name
_NAME: Final = re.compile(rb"[A-Za-z0-9._-]{1,255}")
_LONGEST: Final = 16 * 1024  # bytes of a greeting; OpenSSL takes no longer one either
_RECORDS: Final = 64  # that a greeting is looked for in; most come in one, some are split to evade censors


def server_name_of(data: bytes) -> str | None:
    """The name in the greeting that `data` begins with, "" where it has none or is none; None when more has to come."""
    message = b""
    at = 0
    for _ in range(_RECORDS):
        if at + 5 > len(data):
            return None
        if data[at] != _HANDSHAKE:
            return ""
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : end]
        if len(message) >= 4:
            length = 4 + int.from_bytes(message[1:4], "big")
            if message[0] != _CLIENT_HELLO or length > _LONGEST:
                return ""
            if len(message) >= length:
                return _name_in(_Reader(message[4:length]))
        if end > len(data):
            return None
        at = end
    return ""


class _Reader:
    """Takes a message apart; reading past its end gives what is there, and then b"" or 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Reader:
        """A part with its length, of `size` bytes, in front (RFC 8446 §3.4)."""
        return _Reader(self.take(self.number(size)))

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


def _name_in(hello: _Reader) -> str:
    hello.take(2 + 32)  # version and random
    for size in (1, 2, 1):  # session, ciphers, compressions
        hello.vector(size)
    extensions = hello.vector(2)
    while extensions.more:
        kind = extensions.number(2)
        extension = extensions.vector(2)
        if kind == _SERVER_NAME:
            names = extension.vector(2)
            kind = names.number(1)
            name = names.vector(2).data
            return name.decode("ascii") if kind == _SERVER_NAME and _NAME.fullmatch(name) else ""
    return ""
