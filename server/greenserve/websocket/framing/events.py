"""What a WebSocket's peer has sent, as the reader gives it; and how the parts of the reader say that it can't be read.

A message is a plain `str` or `bytes`; everything else is one of these. Invariants: behind a Close or a Failure there is
nothing more, whatever is received; a Broken leaves this package as a Failure only, so that no caller can forget to
catch it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
BAD_DATA: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009

Message: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping, to be answered with a pong of the same payload (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping, or an unsolicited pong (RFC 6455 §5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer closes (RFC 6455 §5.5.1). `code` is 1005 where its frame had none (§7.1.5)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The peer broke the protocol or a limit: send a close frame with `code` and `reason`, and read no more.

    `reason` fits into that frame: 123 bytes of UTF-8 (§5.5).
    """

    code: int
    reason: str


class Fragment:
    """A part of a message. The reader keeps it: there may be thousands, so callers do other work between them."""

    __slots__ = ()


FRAGMENT: Final = Fragment()  # the only one

Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure | Fragment


class Broken(Exception):
    """The peer's bytes can't be read any more."""

    def __init__(self, code: int, reason: str) -> None:
        """`code`: the close code to send (RFC 6455 §7.4.1). `reason`: the rule or the setting that was broken."""
        super().__init__(code, reason)
        self.failure = Failure(code, reason)


def not_utf8(what: str) -> Broken:
    """Return the error for text that is not UTF-8; `what` says where it was, with the RFC's §."""
    return Broken(BAD_DATA, f"not UTF-8: {what}")
