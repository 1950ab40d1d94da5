"""The WebSocket protocol as a sans-IO core: frames in, messages out, and the other way round (RFC 6455, RFC 7692).

It imports no socket, clock, hub or os; limits are arguments. net/ feeds it and sends what it makes. README.md says
how the pieces fit and what was measured.
"""

from greenserve.websocket.framing.closing import OPEN, Closing, Phase
from greenserve.websocket.framing.deflate import Deflate, ReadLimits, compress_alone
from greenserve.websocket.framing.events import Close, Event, Failure, Fragment, Message, Ping, Pong
from greenserve.websocket.framing.frames import (
    BINARY,
    CONTINUATION,
    TEXT,
    encode_close,
    encode_fragment,
    encode_message,
    encode_ping,
    encode_pong,
    encode_shared,
)
from greenserve.websocket.framing.reader import MessageReader
from greenserve.websocket.handshake.accepting import (
    Handshake,
    check_answer,
    check_request,
    is_upgrade,
    shake_hands,
)
from greenserve.websocket.handshake.compression import Compression
from greenserve.websocket.handshake.origins import Origins
from greenserve.websocket.handshake.refusals import HandshakeError

__all__ = [
    "BINARY",
    "CONTINUATION",
    "OPEN",
    "TEXT",
    "Close",
    "Closing",
    "Compression",
    "Deflate",
    "Event",
    "Failure",
    "Fragment",
    "Handshake",
    "HandshakeError",
    "Message",
    "MessageReader",
    "Origins",
    "Phase",
    "Ping",
    "Pong",
    "ReadLimits",
    "check_answer",
    "check_request",
    "compress_alone",
    "encode_close",
    "encode_fragment",
    "encode_message",
    "encode_ping",
    "encode_pong",
    "encode_shared",
    "is_upgrade",
    "shake_hands",
]
