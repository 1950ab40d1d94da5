"""What a WebSocket's peer has sent, as the reader gives it.

A message is a plain `str` or `bytes`; whatever else comes is one of these. The invariant: behind a Close or a Failure
there is nothing more, whatever is received.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

Message: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with a Pong of the same payload (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a Ping, or one that nobody asked for (RFC 6455 §5.5.3)."""

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
    """A part of a message, which the reader keeps: there may be thousands, and time for something else between them."""

    __slots__ = ()


FRAGMENT: Final = Fragment()  # the only one

Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure | Fragment
