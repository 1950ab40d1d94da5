"""Encodes what a server sends: whole frames, never masked (RFC 6455 §5.1, §5.2).

net/ sends them as they are. The invariant: every client must accept what these functions return; what may not be sent
is a ValueError before a byte of it is made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from struct import Struct
from typing import Final

from greenserve.core import core
from greenserve.websocket.framing.close_codes import may_be_in_a_frame
from greenserve.websocket.framing.deflate import SMALLEST, Deflate, compress_alone
from greenserve.websocket.framing.events import NO_STATUS, Message

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FIN: Final = 0x80
RSV1: Final = 0x40
LONGEST_CONTROL: Final = 125  # bytes of a control frame's payload (§5.5)

_LONGEST_SHORT: Final = 0xFFFF
_pack_tiny: Final = Struct("!BB").pack
_pack_short: Final = Struct("!BBH").pack
_pack_long: Final = Struct("!BBQ").pack
_pack_code: Final = Struct("!H").pack
# Bytes of a payload that is not compressed, by whether others are.
_ALL: Final = sys.maxsize
_SMALL: Final = SMALLEST - 1
# Of the compiled core; None: without it.
make_frame: Callable[[Message, int], bytes | None] | None = None if core is None else core.make_frame


def encode_message(message: Message, deflate: Deflate | None = None) -> bytes:
    """Encode a message as one frame, compressed if `deflate` is given and the message is not small.

    Raises TypeError for anything but str and bytes, UnicodeEncodeError for a str with lone surrogates (§5.6).
    """
    if make_frame is not None:
        frame = make_frame(message, _ALL if deflate is None else _SMALL)
        if frame is not None:
            return frame
    if type(message) is str:
        payload = message.encode()
        first = FIN | TEXT
    elif type(message) is bytes:
        payload = message
        first = FIN | BINARY
    else:
        first, payload = _first_and_payload(message)
    if deflate is not None and len(payload) >= SMALLEST:
        payload = deflate.compress(payload)
        first |= RSV1
    length = len(payload)
    if length <= LONGEST_CONTROL:
        return _pack_tiny(first, length) + payload
    if length <= _LONGEST_SHORT:
        return _pack_short(first, 126, length) + payload
    return _pack_long(first, 127, length) + payload


def encode_shared(message: Message, window_bits: int | None) -> bytes:
    """Encode a message as one frame for many receivers: compressed for a window of `window_bits`, or not if None.

    A receiver whose Deflate has context takeover must `forget()` afterwards. Raises TypeError as encode_message.
    """
    first, payload = _first_and_payload(message)
    if window_bits is not None and len(payload) >= SMALLEST:
        return _frame(first | RSV1, compress_alone(payload, window_bits))
    return _frame(first, payload)


def encode_fragment(payload: bytes, opcode: int, fin: bool) -> bytes:
    """Encode a frame of a message in several (§5.4): TEXT or BINARY first, CONTINUATION after it, `fin` in the last."""
    if opcode not in (CONTINUATION, TEXT, BINARY):
        raise ValueError(f"opcode {opcode:#x} is not one of a data frame: 0, 1 or 2 (RFC 6455 §5.6)")
    return _frame((FIN if fin else 0) | opcode, payload)


def encode_ping(payload: bytes = b"") -> bytes:
    """Encode a ping with up to 125 bytes (§5.5.2). Raises ValueError."""
    return _control(PING, payload)


def encode_pong(payload: bytes = b"") -> bytes:
    """Encode a pong with up to 125 bytes, those of the ping that it answers (§5.5.3). Raises ValueError."""
    return _control(PONG, payload)


def encode_close(code: int, reason: str = "") -> bytes:
    """Encode a close frame (§5.5.1). 1005 without a reason gives one without a code: 1005 stands for that (§7.4.1).

    Raises ValueError for a code that no frame may carry (§7.4), and for a reason above 123 bytes of UTF-8 (§5.5).
    """
    if code == NO_STATUS and not reason:
        return _control(CLOSE, b"")
    if not may_be_in_a_frame(code):
        raise ValueError(
            f"close code {code} may not be sent: use 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 §7.4)"
        )
    text = reason.encode()
    if len(text) > LONGEST_CONTROL - 2:
        raise ValueError(f"a reason of {len(text)} bytes: a close frame has room for 123 (RFC 6455 §5.5)")
    return _control(CLOSE, _pack_code(code) + text)


def _control(opcode: int, payload: bytes) -> bytes:
    if len(payload) > LONGEST_CONTROL:
        raise ValueError(f"a control frame of {len(payload)} bytes: it has room for 125 (RFC 6455 §5.5)")
    return _pack_tiny(FIN | opcode, len(payload)) + payload


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length <= LONGEST_CONTROL:
        return _pack_tiny(first, length) + payload
    if length <= _LONGEST_SHORT:
        return _pack_short(first, 126, length) + payload
    return _pack_long(first, 127, length) + payload


def _first_and_payload(message: Message) -> tuple[int, bytes]:
    """Return the frame's first byte and its payload. Subclasses of str and bytes count as str and bytes."""
    if isinstance(message, str):
        return FIN | TEXT, str.encode(message)
    if isinstance(message, bytes):
        return FIN | BINARY, bytes(message)
    raise TypeError(f"a WebSocket message is str or bytes, not {type(message).__name__}")
