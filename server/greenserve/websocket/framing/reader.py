"""Reads what a WebSocket's client sends: bytes in, whole messages and control frames out (RFC 6455 §5, §8).

Two ways lead through it. Frames that are whole messages, whole control frames, and messages of one frame that need not
be looked at before they are whole are read here, in about a microsecond; of the first the uncompressed ones by the
compiled core, where it is there. Everything else, fragments, text whose end has not come and frames that break a rule,
goes to a wsproto Connection, which is made for it and dropped at the next boundary between messages. The way that a
message takes shows in nothing but the time: tests compare them over any streams and splits, and name where they differ.

The invariant: nothing is kept, inflated or given to wsproto before the length that its frame announces has been checked
against the limits; and nothing beyond the event that was asked for is parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from greenserve.core import core
from greenserve.websocket.framing.close_codes import read_close
from greenserve.websocket.framing.deflate import Deflate, ReadLimits
from greenserve.websocket.framing.events import (
    FRAGMENT,
    POLICY,
    TOO_BIG,
    Broken,
    Event,
    Failure,
    Message,
    Ping,
    Pong,
    not_utf8,
)
from greenserve.websocket.framing.masking import SHORT, unmask

if TYPE_CHECKING:
    from greenserve.websocket.framing.fragmented import FragmentedMessage

_TEXT: Final = 0x81  # first bytes of frames: FIN and the opcode
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A
_FIN: Final = 0x80
_RSV1: Final = 0x40
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08  # the bit of opcodes that says so (§5.5)
_MASKED: Final = 0x80
# First bytes that no rule forbids as such; RSV1 is for a message's first frame (RFC 7692 §6).
_PLAIN: Final = frozenset({0x00, 0x01, 0x02, 0x80, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_WITH_DEFLATE: Final = _PLAIN | {0x41, 0x42, 0xC1, 0xC2}
_FOR_EVER: Final = 1 << 64  # bytes: more than any frame announces
_OVER: Final = -1  # in their place: nothing more is read
_number: Final = int.from_bytes
# Of the compiled core; take_message is None without it.
take_message: Callable[[bytes, int, int], str | bytes | None] | None = None
if core is not None:
    take_message, end_of_message = core.take_message, core.end_of_message


class MessageReader:
    """What one WebSocket receives. Between messages it holds nothing but the bytes that were not asked for yet."""

    __slots__ = (
        "_at",
        "_deflate",
        "_fragmented",
        "_gathered",
        "_left",
        "_limits",
        "_most",
        "unread",
    )

    def __init__(self, limits: ReadLimits, deflate: Deflate | None = None) -> None:
        """Take what a message may cost, and what was negotiated."""
        self._limits = limits
        self._most = limits.size or _FOR_EVER
        self._deflate = deflate
        if deflate is not None:
            deflate.limits = limits
        self.unread = b""  # where it is empty next() would return None; changed here alone
        self._at = 0  # where in it the next frame begins, or the rest of this one
        self._left = 0  # bytes of the frame that is under way: for _gathered, else for _fragmented
        self._gathered: bytearray | None = None  # a frame that is a whole message, behind its key
        self._fragmented: FragmentedMessage | None = None

    def feed(self, data: bytes) -> Event | None:
        """Take more bytes. Return the next event of all that is there, None if nothing is whole yet."""
        rest = self.unread
        if rest:
            data = rest[self._at :] + data
            self._at = 0
        self.unread = data
        return self.next()

    def next(self) -> Event | None:
        """Return the next event of what is there; None if nothing is whole, and always behind a Close or a Failure."""
        data = self.unread
        if len(data) < 2 or self._left or self._fragmented is not None:
            return self._next_slowly() if data else None
        at = self._at
        if take_message is not None:
            message = take_message(data, at, self._most)
            if message is None:
                return self._next_slowly()
            self._go_to(end_of_message(data, at))
            return message
        try:
            first = data[at]
            length = data[at + 1] - _MASKED
            start = at + 6
            if length > 125:
                start = at + 8
                length = (data[at + 2] << 8) | data[at + 3] if length == 126 else 0
                if length < 126:
                    return self._next_slowly()
        except IndexError:
            return self._next_slowly()
        end = start + length
        if _TEXT <= first <= _BINARY and 0 <= length <= self._most and end <= len(data):
            key = data[start - 4 : start]
            payload = data[start:end]
            if length < SHORT:
                # As in unmask(), whose call would cost a tenth more.
                payload = (
                    _number(payload, "big") ^ _number((key * (length // 4 + 1))[:length], "big")
                ).to_bytes(length, "big")
            else:
                payload = unmask(payload, key)
            if end == len(data):
                self.unread = b""
                self._at = 0
            else:
                self._at = end
            if first == _BINARY:
                return payload
            try:
                return payload.decode()
            except UnicodeDecodeError:
                return self._fail(not_utf8("a text message (RFC 6455 §8.1)"))
        return self._next_slowly()

    # The other way: whatever is not a whole message in one uncompressed frame

    def _next_slowly(self) -> Event | None:
        if self._left == _OVER:
            self.unread = b""
            return None
        try:
            if not self._left:
                event = self._take_frame()
                if event is not None:
                    return event
                if not self._left:
                    # Keep what is there of it, and not all that came before it in the same piece.
                    self.unread = self.unread[self._at :]
                    self._at = 0
                    return None
            event = self._take_rest()
        except Broken as broken:
            return self._fail(broken)
        return FRAGMENT if event is None and not self._left else event

    def _take_frame(self) -> Event | None:
        """Return a whole frame's event. None and bytes _left: it goes on; None and no bytes _left: its header does."""
        header = self._header()
        if header is None:
            return None
        first, start, end = header
        data = self.unread
        is_whole = end <= len(data)
        if first & _CONTROL:
            return self._control(first, start, end) if is_whole else None
        if len(data) < start:
            return None
        size = end - start
        fragmented = self._fragmented
        if fragmented is not None:
            fragmented.frames += 1
            fragmented.received += size
            self._check(fragmented.received, fragmented.frames)
        else:
            self._check(size, 1)
        if fragmented is None and first & _FIN and first & _OPCODE:
            key = data[start - 4 : start]
            if is_whole:
                self._go_to(end)
                return self._message(first, unmask(data[start:end], key))
            if first == _BINARY:  # of which nothing can be said before it is whole
                self._gathered = bytearray(key)
                self._left = size
                self._go_to(start)
                return None
        if fragmented is None:
            self._fragmented = self._new_fragmented(size)
        self._left = end - self._at
        return None

    def _header(self) -> tuple[int, int, int] | None:
        """Return the next frame's first byte, and where its payload begins and ends (§5.2); None: not all is there.

        The key may be missing yet. A frame that breaks a rule is left to wsproto, which says which rule.
        """
        data = self.unread
        at = self._at
        if len(data) < at + 2:
            return None
        first = data[at]
        second = data[at + 1]
        known = _PLAIN if self._deflate is None else _WITH_DEFLATE
        is_good = first in known and second >= _MASKED and (second <= _MASKED + 125 or not first & _CONTROL)
        length = second - _MASKED
        start = at + 6
        if is_good and length > 125:
            size = 2 if length == 126 else 8
            start += size
            if len(data) < start - 4:
                return None
            length = _number(data[at + 2 : at + 2 + size], "big")
            is_good = length >= (126 if size == 2 else 1 << 16) and not length >> 63
        if not is_good:
            self._left = _FOR_EVER
            return None
        return first, start, start + length

    def _check(self, received: int, frames: int) -> None:
        """Check what the frames of a message announce against the limits."""
        limits = self._limits
        if received > self._most:
            raise Broken(TOO_BIG, f"message of more than {limits.size} bytes (ws_max_size)")
        if frames > limits.frames > 0:
            raise Broken(POLICY, f"message of more than {limits.frames} frames (ws_max_frames)")

    def _take_rest(self) -> Event | None:
        """Take more of the frame that is under way. Return the message that ends with it."""
        data = self.unread
        at = self._at
        end = min(at + self._left, len(data))
        self._left -= end - at
        piece = data[at:end]
        self._go_to(end)
        gathered = self._gathered
        if gathered is None:
            return self._through_wsproto(piece)
        gathered += piece
        if self._left:
            return None
        self._gathered = None
        key = bytes(gathered[:4])
        del gathered[:4]
        return self._message(_BINARY, unmask(gathered, key))

    def _through_wsproto(self, data: bytes) -> Message | None:
        fragmented = self._fragmented
        if fragmented is None:  # a frame that breaks a rule
            fragmented = self._fragmented = self._new_fragmented(0)
        message = fragmented.feed(data)
        if message is not None:
            self._fragmented = None
        return message

    def _new_fragmented(self, size: int) -> FragmentedMessage:
        from greenserve.websocket.framing.fragmented import FragmentedMessage  # its docstring says why here

        return FragmentedMessage(self._deflate, size)

    def _message(self, first: int, payload: bytes) -> str | bytes:
        """Return a message that came in one frame."""
        if first & _RSV1:
            assert self._deflate is not None, "the first byte would not be known"
            payload = self._deflate.inflate(payload, ended=True)
        if first & _OPCODE == _BINARY & _OPCODE:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise not_utf8("a text message (RFC 6455 §8.1)") from None

    def _control(self, first: int, start: int, end: int) -> Event:
        payload = unmask(self.unread[start:end], self.unread[start - 4 : start])
        self._go_to(end)
        if first == _PING:
            return Ping(payload)
        if first == _PONG:
            return Pong(payload)
        self._end()
        return read_close(payload)

    def _go_to(self, at: int) -> None:
        if at == len(self.unread):
            self.unread = b""
            at = 0
        self._at = at

    def _fail(self, broken: Broken) -> Failure:
        self._end()
        return broken.failure

    def _end(self) -> None:
        """Read no more, and keep nothing."""
        self._left = _OVER
        self.unread = b""
        self._at = 0
        self._fragmented = self._gathered = None
