"""Messages in fragments, text whose end has not come, and frames that break a rule: read by a wsproto Connection.

It is made for one message and dropped behind it. Imported by reader.py at the first such frame: wsproto takes a tenth
of a start, and most servers never need it.
"""

from __future__ import annotations

from typing import Final

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from greenserve.websocket.framing.deflate import Deflate
from greenserve.websocket.framing.events import BAD_DATA, Broken, Message, not_utf8
from greenserve.websocket.framing.pieces import Pieces

_RSV1: Final = RsvBits(True, False, False)


class FragmentedMessage:
    """A message that goes through wsproto, as far as it has come."""

    __slots__ = ("_pieces", "_wsproto", "frames", "received")

    def __init__(self, deflate: Deflate | None, size: int) -> None:
        """`size`: bytes that its first frame has announced."""
        self._wsproto = Connection(ConnectionType.SERVER, [] if deflate is None else [Inflating(deflate)])
        self._pieces = Pieces()
        self.frames = 1
        self.received = size  # bytes that its frames have announced

    def feed(self, data: bytes) -> Message | None:
        """Take more bytes of its frames. Return the message at its end; raise Broken for what breaks a rule."""
        self._wsproto.receive_data(data)
        for event in self._wsproto.events():
            if isinstance(event, CloseConnection):
                if event.code == BAD_DATA:
                    raise not_utf8("a text message (RFC 6455 §8.1)")
                raise Broken(int(event.code), f"{event.reason} (RFC 6455 §5)")
            assert isinstance(event, TextMessage | BytesMessage), "control frames don't come here"
            self._pieces.add(event.data if isinstance(event, TextMessage) else bytes(event.data))
            if event.message_finished:
                return self._pieces.whole()
        return None


class Inflating(Extension):
    """What wsproto asks of an extension: it hands one message's compressed frames to a Deflate."""

    def __init__(self, deflate: Deflate) -> None:
        """Take the WebSocket's compression, which knows the earlier messages."""
        self._deflate = deflate
        self._is_compressed = False
        self._is_under_way = False
        self._in_control_frame = False

    def enabled(self) -> bool:
        """Tell wsproto that it was negotiated."""
        return True

    def offer(self) -> bool:
        """Offer nothing: the handshake is over."""
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Look at RSV1: the first frame of a compressed message has it, and no other frame may (§6)."""
        if rsv.rsv1 and (opcode.iscontrol() or opcode is Opcode.CONTINUATION):
            return CloseReason.PROTOCOL_ERROR
        self._in_control_frame = opcode.iscontrol()
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            # A message inside of another is refused once wsproto gets to its payload: it is not inflated for that.
            self._is_compressed = rsv.rsv1 and not self._is_under_way
            self._is_under_way = True
        return _RSV1

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes:
        """Inflate payload. Raises Broken, through wsproto, which has no way to say why."""
        is_plain = self._in_control_frame or not self._is_compressed
        return data if is_plain else self._deflate.inflate(data, ended=False)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | None:
        """End a frame, and with `fin` its message."""
        if not fin or self._in_control_frame:
            return None
        was_compressed, self._is_compressed = self._is_compressed, False
        self._is_under_way = False
        return self._deflate.inflate(b"", ended=True) if was_compressed else None
