"""Frames as a client sends them, well formed or not, and wsproto alone as the second opinion on them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from operator import xor
from typing import Any, TypeVar

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.events import Ping as WsprotoPing
from wsproto.events import Pong as WsprotoPong
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from greenserve.websocket import (
    Close,
    Deflate,
    Event,
    Failure,
    Fragment,
    MessageReader,
    Ping,
    Pong,
    ReadLimits,
)

NO_LIMITS = ReadLimits(0, 0, 0)
LIMITS = ReadLimits(1 << 24, 16384, 200)
KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TAIL = b"\x00\x00\xff\xff"


def masked(payload: bytes, key: bytes = KEY) -> bytes:
    """RFC 6455 §5.3: byte i is xor-ed with byte i mod 4 of the key."""
    keys = key * (len(payload) // 4 + 1)
    return bytes(map(xor, payload, keys))


def header(first: int, length: int, *, mask: bool = True, form: int | None = None) -> bytes:
    """Without the key. `form` 125, 126 or 127 has the length written in that way, be it the shortest or not."""
    form = form or (125 if length < 126 else 126 if length < 1 << 16 else 127)
    second = 0x80 if mask else 0
    if form == 125:
        return bytes([first, second | length])
    return bytes([first, second | form]) + length.to_bytes(2 if form == 126 else 8, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    form: int | None = None,
) -> bytes:
    """One frame; without a key it is not masked. `rsv` is 4 for RSV1, 2 for RSV2, 1 for RSV3."""
    head = header((fin << 7) | (rsv << 4) | opcode, len(payload), mask=key is not None, form=form)
    return head + (payload if key is None else key + masked(payload, key))


def fragments(opcode: int, *payloads: bytes, rsv: int = 0) -> list[bytes]:
    """One message in so many frames."""
    last = len(payloads) - 1
    return [
        frame(CONTINUATION if number else opcode, payload, fin=number == last, rsv=0 if number else rsv)
        for number, payload in enumerate(payloads)
    ]


def deflated(data: bytes, window_bits: int = 15) -> bytes:
    """One message, compressed alone (RFC 7692 §7.2.1)."""
    compressor = zlib.compressobj(wbits=-window_bits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def read(
    *pieces: bytes, limits: ReadLimits = LIMITS, deflate: Deflate | None = None, eager: bool = True
) -> list[Event]:
    """All events of a stream but fragments; where not `eager`, one is taken after each piece, the rest at the end."""
    reader = MessageReader(limits, deflate)
    events = []
    for piece in pieces:
        event = reader.feed(piece)
        while event is not None:
            events.append(event)
            event = reader.next() if eager else None
    while (event := reader.next()) is not None:
        events.append(event)
    return [event for event in events if type(event) is not Fragment]


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


class Wsproto:
    """wsproto's own reading of a stream, with its messages joined: events like ours; a failure has its code only."""

    def __init__(self, deflate: PerMessageDeflate | None = None) -> None:
        self._connection = Connection(ConnectionType.SERVER, [deflate] if deflate else [])
        self._message: list[Any] = []
        self.events: list[Any] = []

    def feed(self, data: bytes) -> None:
        if self._connection.state is not ConnectionState.OPEN or "failure" in self.events[-2:]:
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            self._take(event)

    def _take(self, event: Any) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            data = event.data if isinstance(event, TextMessage) else bytes(event.data)
            self._message.append(data)
            if event.message_finished:
                self.events.append(data[:0].join(self._message))
                self._message = []
        elif isinstance(event, CloseConnection):
            if self._connection.state is ConnectionState.OPEN:
                self.events += ["failure", int(event.code)]
            else:
                self.events.append(Close(int(event.code), event.reason or ""))
        elif isinstance(event, WsprotoPing | WsprotoPong):
            kind = Ping if isinstance(event, WsprotoPing) else Pong
            self.events.append(kind(bytes(event.payload)))


def by_wsproto(
    pieces: Iterable[bytes], deflate: PerMessageDeflate | None = None, events: list[Any] | None = None
) -> list[Any]:
    """What wsproto reads; into `events`, for those who want what was there before an extension raised."""
    wsproto = Wsproto(deflate)
    wsproto.events = wsproto.events if events is None else events
    for piece in pieces:
        wsproto.feed(piece)
    return wsproto.events


def comparable(events: Iterable[Event]) -> list[Any]:
    """Our events in the form of by_wsproto's."""
    found: list[Any] = []
    for event in events:
        found += ["failure", event.code] if isinstance(event, Failure) else [event]
    return found


class MendedDeflate(PerMessageDeflate):
    """wsproto's own, without its differences about frames; `differs` says that another of them has been met.

    All of them are named in test_second_opinion.py.
    """

    differs = False
    _under_way = False
    _refused = False
    _empty = False  # so far

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        before = self._inbound_compressed
        answer = super().frame_inbound_header(proto, opcode, rsv, payload_length)
        if opcode.iscontrol():
            self._inbound_compressed = before
        elif opcode is not Opcode.CONTINUATION:
            self._refused, self._under_way = self._under_way, True
            self._empty = True
        return answer

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        if self._refused:
            return data
        self._empty = self._empty and not data
        return super().frame_inbound_payload_data(proto, data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if not self._inbound_is_compressible or self._refused:
            return None
        inflater = self._decompressor if self._inbound_compressed else None
        answer = super().frame_inbound_complete(proto, fin)
        if inflater is not None:
            self.differs = self.differs or inflater.eof or (fin and self._empty)
        if fin:
            self._under_way = False
        return answer


_Kind = TypeVar("_Kind", bound=PerMessageDeflate)


def wsproto_deflate(kind: type[_Kind], window_bits: int = 15, takeover: bool = True) -> _Kind:
    """As if it had been negotiated."""
    deflate = kind()
    flags = "" if takeover else "; client_no_context_takeover"
    deflate.finalize(f"permessage-deflate; client_max_window_bits={window_bits}{flags}")
    return deflate
