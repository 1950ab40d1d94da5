"""The sending half of a WebSocket: whole frames, in their order, whoever sends them and however slowly they are taken.

Under WebSocket, which has the reading half and the life. The invariants: frames never interleave, and the fragments of
a streamed message have no other message between them (RFC 6455 §5.4); what waits for a slow client is bounded, by who
waits for it or by `max_unsent`; nothing follows a Close.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from greenserve.errors import PeerGone, WebSocketClosed
from greenserve.net.outbox import Outbox
from greenserve.net.states import Phase
from greenserve.net.stream import Stream
from greenserve.net.websocket_options import WebSocketOptions
from greenserve.websocket import (
    BINARY,
    CONTINUATION,
    TEXT,
    Deflate,
    encode_fragment,
    encode_message,
    encode_ping,
    encode_pong,
)
from greenserve_hub.greenthreads import sleep
from greenserve_hub.loop import Hub
from greenserve_hub.parking import Waiter, WaitQueue

if TYPE_CHECKING:
    from greenserve.net.connection import Connection

_OPEN: Final = Phase.OPEN  # an enum's member is looked up by Python code
_TURN: Final = 0.01  # seconds that may be sent without giving way to the others


class _Floor:
    """Somebody streams a message: who waits for its end, and what goes out after it."""

    __slots__ = ("bytes", "frames", "waiting")

    def __init__(self) -> None:
        self.waiting = WaitQueue()
        self.frames: list[bytes] = []
        self.bytes = 0


class FrameSending:
    """A WebSocket that sends. From any green thread of its hub, several at once."""

    __slots__ = (
        "_connection",
        "_deflate",
        "_floor",
        "_hub",
        "_moved_at",
        "_options",
        "_outbox",
        "_phase",
        "_stream",
        "bytes_sent",
        "dropped",
        "messages_sent",
    )

    close_code: int | None
    close_reason: str | None

    def __init__(self, connection: Connection, deflate: Deflate | None, options: WebSocketOptions) -> None:
        """For WebSocket."""
        self._connection = connection
        self._hub: Hub = connection.server.hub
        self._stream: Stream = connection.stream
        self._deflate = deflate
        self._options = options
        self._phase = _OPEN
        self._outbox: Outbox | None = None  # of a client that does not keep up
        self._floor: _Floor | None = None  # of a message that is streamed
        self._moved_at = self._hub.now  # when the last message came or went
        self.bytes_sent = 0  # on the wire
        self.messages_sent = 0
        self.dropped = 0  # messages that were not sent to a slow client

    # For apps --------------------------------------------------------------------------------------------

    def send(self, message: str | bytes) -> bool:
        """Send a message: text for str, binary for bytes. False when it was dropped (`when_slow`).

        Raises WebSocketClosed, TypeError. A Timeout that ends the wait leaves the message on its way. Switches: when
        the client reads slowly, or another message is being streamed.
        """
        while self._floor is not None:
            self._wait_for_floor(self._floor)
        if self._phase is not _OPEN:
            raise self._closed_error()
        if self._outbox is not None and self._is_too_slow():
            return False
        frame = encode_message(message, self._deflate)
        self.messages_sent += 1
        self._send_frame(frame)
        return True

    def send_stream(self, pieces: Iterable[str] | Iterable[bytes]) -> None:
        """Send one message piece by piece, each as soon as it is there; text if the first is str, else binary.

        Other messages wait until it is over; pings go on. Where the pieces end with an error the connection is closed
        with 1011, for the client can't be told otherwise that the message has no end. Waits for a slow client, whatever
        `when_slow` says. Raises WebSocketClosed, TypeError. Switches: as send.
        """
        while self._floor is not None:
            self._wait_for_floor(self._floor)
        if self._phase is not _OPEN:
            raise self._closed_error()
        self._floor = floor = _Floor()
        opcode = None
        is_whole = False
        try:
            kind: type[str] | type[bytes] = bytes
            for piece in pieces:
                if opcode is None:
                    kind = str if isinstance(piece, str) else bytes
                if not isinstance(piece, kind):
                    raise TypeError(f"a piece of {type(piece).__name__} in a message of {kind.__name__}")
                data = piece.encode() if isinstance(piece, str) else piece
                first = TEXT if kind is str else BINARY
                self._send_frame(encode_fragment(data, first if opcode is None else CONTINUATION, False))
                opcode = first
            if opcode is None:
                raise ValueError("a message of no pieces: whether it would be text can't be known")
            self._send_frame(encode_fragment(b"", CONTINUATION, True))
            self.messages_sent += 1
            is_whole = True
        finally:
            self._floor = None
            if not is_whole and opcode is not None:
                self.close(1011, "the message can't be sent to its end")
            for frame in floor.frames:
                self._post(frame)
            floor.waiting.wake_all()

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping of up to 125 bytes. Not to a client that does not take what is sent already. Switches: never.

        Raises WebSocketClosed, ValueError.
        """
        frame = encode_ping(data)
        if self._phase is not _OPEN:
            raise self._closed_error()
        if self._outbox is None:
            self._post(frame)

    def send_shared(self, frame: bytes) -> bool:
        """Send a frame that encode_shared has made for `window_bits`, without waiting: for Room. Switches: never.

        False when it was not sent: the socket is closed, or its client is too slow.
        """
        if self._phase is not _OPEN or (self._waits_too_much and self._is_too_slow(waits=False)):
            return False
        if frame[0] & 0x40 and self._deflate is not None:
            self._deflate.forget()  # its window holds this message now, which our compressor has not seen
        self.messages_sent += 1
        floor = self._floor
        if floor is None:
            self._post(frame)
        else:
            floor.frames.append(frame)
            floor.bytes += len(frame)
        return self._phase is _OPEN

    @property
    def window_bits(self) -> int | None:
        """How far a compressed message to this client may look back, as a power of two; None: it takes none."""
        return None if self._deflate is None else self._deflate.server_max_window_bits

    # Frames ----------------------------------------------------------------------------------------------

    def _send_frame(self, frame: bytes) -> None:
        """Of a message; wait until it is out where `when_slow` says so. Switches: when the client reads slowly."""
        hub = self._hub
        outbox = self._outbox
        left: bytes | memoryview = frame
        self._moved_at = hub.now
        self.bytes_sent += len(frame)
        if outbox is None:
            sent = self._send_now(frame)
            if sent == len(frame):
                if hub.clock() - hub.now > _TURN:
                    sleep(0)
                return
            left = memoryview(frame)[sent:]
            outbox = self._begin_outbox()
        if self._options.when_slow != "wait" and self._floor is None:
            outbox.put(left)
            return
        waiter = Waiter(hub, "send to", self)
        outbox.put(left, waiter)
        if not waiter.park():
            raise self._closed_error()

    def _post(self, frame: bytes) -> None:
        """Send a frame without waiting: what the kernel does not take goes to the outbox. Switches: never."""
        self.bytes_sent += len(frame)
        if self._outbox is not None:
            self._outbox.put(frame)
            return
        try:
            sent = self._send_now(frame)
        except WebSocketClosed:
            return
        if sent != len(frame):
            self._begin_outbox().put(memoryview(frame)[sent:])

    def _send_now(self, frame: bytes) -> int:
        try:
            return self._stream.send_now(frame)
        except PeerGone as error:
            self._broke(str(error))
            raise self._closed_error() from None

    def _pong(self, payload: bytes) -> None:
        frame = encode_pong(payload)
        if self._outbox is None:
            self._post(frame)
        else:
            self._outbox.pong = frame

    # A slow client ---------------------------------------------------------------------------------------

    @property
    def _waits_too_much(self) -> bool:
        floor, outbox = self._floor, self._outbox
        waiting = (floor.bytes if floor is not None else 0) + (outbox.bytes if outbox is not None else 0)
        return waiting > self._options.max_unsent

    def _is_too_slow(self, *, waits: bool = True) -> bool:
        """Whether the next message is not for this client; closes the connection where `when_slow` says so."""
        policy = self._options.when_slow
        if (waits and policy == "wait") or not self._waits_too_much:
            return False
        if policy == "drop":
            self.dropped += 1
            return True
        self._cut(1008, "the client reads too slowly (ws_max_unsent)")
        if waits:
            raise self._closed_error()
        return True

    def _begin_outbox(self) -> Outbox:
        connection = self._connection
        self._outbox = outbox = Outbox(self._stream, connection.server.timeouts.send_pace())
        outbox.wait(self._hub.now)
        self._stream.when_writable(self._on_writable)
        self._set_deadline()
        return outbox

    def _on_writable(self) -> None:
        """There is room again."""
        outbox = self._outbox
        if outbox is None or self._phase is Phase.CLOSED:
            return
        try:
            outbox.waited(self._hub.now)
            if outbox.flush():
                self._outbox = None
                self._all_sent()
            else:
                outbox.wait(self._hub.now)
                self._stream.when_writable(self._on_writable)
            self._set_deadline()
        except PeerGone as error:
            self._broke(str(error))
        except Exception:
            self._connection.broke()

    def _wait_for_floor(self, floor: _Floor) -> None:
        floor.waiting.park("send after a streamed message to", self)

    # The other half ----------------------------------------------------------------------------------------

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close. WebSocket's."""
        raise NotImplementedError

    def _closed_error(self) -> WebSocketClosed:
        return WebSocketClosed(self.close_code or 1006, self.close_reason or "")

    def _broke(self, reason: str) -> None:
        """The connection can't be used any more."""
        raise NotImplementedError

    def _cut(self, code: int, reason: str) -> None:
        """End it without agreeing with the client."""
        raise NotImplementedError

    def _set_deadline(self) -> None:
        """Arm the deadline for what is due next."""
        raise NotImplementedError

    def _all_sent(self) -> None:
        """The outbox is empty."""
        raise NotImplementedError
