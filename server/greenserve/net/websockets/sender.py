"""The sending half of a WebSocket: whole frames, in their order, whoever sends them and however slowly they are taken.

Messages, between FramePosting, which brings frames to the client, and WebSocket, which has the reading half and the
life. The invariants: the fragments of a streamed message have no other message between them (RFC 6455 §5.4); what waits
for a slow client is bounded, whatever `when_slow` says and however many send; once it begins to close, none is sent.

What goes before what: messages of one green thread in the order in which it sends them, and a direct one behind those
that were sent to a Room of this socket before it. Who has to wait until there is room stands in line, first come, first
served; what is never waited with (a Room's message, or any where `when_slow` is drop or close) passes these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from greenlet import getcurrent, greenlet

from greenserve.net.http.activity import Carrier
from greenserve.net.http.states import Phase
from greenserve.net.sockets.outbox import Frame
from greenserve.net.sockets.send_budget import PIECE
from greenserve.net.websockets.frame_writer import FramePosting
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.websocket import (
    BINARY,
    CONTINUATION,
    TEXT,
    Deflate,
    encode_fragment,
    encode_message,
    encode_ping,
)
from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN
from greenserve_hub.loop.parking import Waiter

if TYPE_CHECKING:
    from greenserve.net.websockets.broadcasts import Broadcasts
    from greenserve.net.websockets.rooms import Room

_OPEN: Final = Phase.OPEN  # an enum's member is looked up by Python code


class _Floor:
    """Somebody streams a message: who, and what goes out after it."""

    __slots__ = ("bytes", "frames", "messages", "streamer")

    def __init__(self) -> None:
        self.streamer: greenlet | None = getcurrent()
        self.frames: list[bytes] = []
        self.bytes = 0  # that these cost
        self.messages = 0  # in these

    def put(self, frame: bytes, messages: int = 1) -> None:
        self.frames.append(frame)
        self.bytes += len(frame) + PIECE
        self.messages += messages


class FrameSending(FramePosting):
    """A WebSocket that sends. From any green thread of its hub, several at once."""

    __slots__ = ("_deflate", "_floor", "_line", "_moved_at", "_options", "dropped", "messages_sent")

    rooms: tuple[Room, ...]

    def __init__(self, connection: Carrier, deflate: Deflate | None, options: WebSocketOptions) -> None:
        """For WebSocket."""
        super().__init__(connection)
        self._deflate = deflate
        self._options = options
        self._floor: _Floor | None = None  # of a message that is streamed
        self._line: dict[Waiter, None] | None = None  # of those who wait until they may send
        self._moved_at = self._hub.now  # when the last message came or went
        self.messages_sent = 0
        self.dropped = 0  # messages that were not sent to a slow client

    # For apps --------------------------------------------------------------------------------------------

    def send(self, message: str | bytes) -> bool:
        """Send a message: text for str, binary for bytes. False when it was dropped (`when_slow`).

        Raises WebSocketClosed, TypeError, and RuntimeError in another OS thread. A Timeout that ends the wait leaves
        open whether it is sent: whole, or not at all. A callback of the hub can't wait: HubError there, with nothing
        sent, when the client has not taken what was sent before. Switches: where `when_slow` is wait, when the client
        reads slowly or another message is being streamed; and to let others have their turn.
        """
        self.must_be_here()
        if self.rooms:
            self._catch_up()
        if (
            self._outbox is not None or self._phase is not _OPEN or self._floor is not None or self._line
        ) and (not self._may_send()):
            return False
        frame = encode_message(message, self._deflate)
        self.messages_sent += 1
        if self._floor is None:
            self._send_frame(frame, self._options.when_slow == "wait")
        else:
            self._floor.put(frame)
        return True

    def send_stream(self, pieces: Iterable[str] | Iterable[bytes]) -> None:
        """Send one message piece by piece, each as soon as it is there; text if the first is str, else binary.

        Other messages wait until it is over; pings go on. Where the pieces end with an error the connection is closed
        with 1011, for the client can't be told otherwise that the message has no end. Not compressed. Waits for a slow
        client, whatever `when_slow` says. Raises WebSocketClosed, TypeError, and ValueError for no piece at all.
        Switches: when the client reads slowly, or another message is being streamed; and to let others have their turn.
        """
        self.must_be_here()
        if isinstance(pieces, str | bytes | bytearray | memoryview):
            raise TypeError("send_stream() takes an iterable of pieces, and send() a whole message")
        if getcurrent() is self._hub.greenlet:
            raise HubError("send_stream() waits for its client, and a callback of the hub can't: spawn it")
        if self.rooms:
            self._catch_up()
        self._wait_for_turn()
        self._floor = floor = _Floor()
        kind: type[str] | type[bytes] | None = None
        opcode = CONTINUATION
        is_begun = is_whole = False
        try:
            for piece in pieces:
                if kind is None:
                    kind = str if isinstance(piece, str) else bytes
                    opcode = TEXT if kind is str else BINARY
                if not isinstance(piece, kind):
                    raise TypeError(f"a piece of {type(piece).__name__} in a message of {kind.__name__}")
                data = piece.encode() if isinstance(piece, str) else piece
                if data:
                    is_begun = True
                    self._send_fragment(data, opcode)
                    opcode = CONTINUATION
            if kind is None:
                raise ValueError("a message of no pieces: whether it would be text can't be known")
            is_begun = True
            self._send_fragment(b"", opcode, is_last=True)
            self.messages_sent += 1
            is_whole = True
        finally:
            self._floor = None
            if is_begun and not is_whole:
                self.close(1011, "the message can't be sent to its end")
            self._follow(floor)

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping of up to 125 bytes. Not to a client that does not take what is sent already. Switches: never.

        Raises WebSocketClosed, ValueError.
        """
        self.must_be_here()
        frame = encode_ping(data)
        if self._phase is not _OPEN:
            raise self._closed_error()
        if self._outbox is None:
            self._post(frame)

    # For Room ----------------------------------------------------------------------------------------------

    def send_shared(self, frame: bytes, messages: int = 1) -> bool:
        """Send what encode_shared has made for `window_bits`, so many messages, without waiting. Switches: never.

        False when it was not sent: the socket is closed, or its client is too slow.
        """
        if self._phase is not _OPEN:
            return False
        try:
            floor = self._floor
            if (self._outbox is not None or floor is not None) and self._is_too_slow(messages):
                return False
            if self._deflate is not None and (frame[0] & 0x40 or messages > 1):
                self._deflate.forget()  # its window holds this message now, which our compressor has not seen
            self.messages_sent += messages
            self._moved_at = self._hub.now
            if floor is None:
                self._post(frame)
            else:
                floor.put(frame, messages)
        except Exception:
            self._connection.broke()
        return self._phase is _OPEN

    @property
    def window_bits(self) -> int | None:
        """How far a compressed message to this client may look back, as a power of two; None: it takes none."""
        return None if self._deflate is None else self._deflate.server_max_window_bits

    @property
    def broadcasts(self) -> Broadcasts:
        """Its server's."""
        broadcasts: Broadcasts = self._connection.services.broadcasts
        return broadcasts

    def _catch_up(self) -> None:
        """Send what its rooms have for it first."""
        for room in self.rooms:
            room.catch_up(self)  # type: ignore[arg-type]  # there is no other kind than WebSocket

    # Frames ----------------------------------------------------------------------------------------------

    def _send_fragment(self, payload: bytes, opcode: int, *, is_last: bool = False) -> None:
        if self._phase is not _OPEN:
            raise self._closed_error()  # while the piece was made
        self._send_frame(encode_fragment(payload, opcode, is_last), True)

    def _send_frame(self, frame: bytes, waits: bool) -> None:
        """Of a message; wait until it is out. Switches: if `waits`, when the client reads slowly; to take turns."""
        hub = self._hub
        self._moved_at = hub.now
        if self._outbox is None:
            sent = self._send_now(frame)
            if sent == len(frame):
                if hub.clock() - hub.now > MAX_TURN:
                    sleep(0)
                return
            left: Frame = memoryview(frame)[sent:]
        else:
            self.bytes_sent += len(frame)
            left = frame
        if waits and getcurrent() is not hub.greenlet:
            waiter = Waiter(hub, "send to", self)
            self._put(left, waiter)
            if not waiter.park():
                raise self._closed_error()
        else:
            self._put(left)

    def _follow(self, floor: _Floor) -> None:
        """A streamed message is over, or there will be no more of it: send what waited for that."""
        if self._phase is _OPEN:
            for frame in floor.frames:
                self._post(frame)
        else:
            self.messages_sent -= floor.messages
        if self._line:
            self._hub.call_soon(self._let_send)

    # Who may send ------------------------------------------------------------------------------------------

    def _may_send(self) -> bool:
        """Whether the next message is for this client; as `when_slow` says. Switches: if that is wait."""
        if self._phase is not _OPEN:
            raise self._closed_error()
        if self._options.when_slow == "wait":
            if getcurrent() is self._hub.greenlet:
                raise HubError(
                    "send() would have to wait for the client, and a callback of the hub can't: "
                    "spawn it, or have when_slow drop or close"
                )
            self._wait_for_turn()
        elif self._is_too_slow():
            if self._phase is not _OPEN:
                raise self._closed_error()
            return False
        return True

    @property
    def _is_taken(self) -> bool:
        """Whether a message is streamed, or as much waits for the client as may."""
        outbox = self._outbox
        return self._floor is not None or (outbox is not None and outbox.bytes > self._options.max_unsent)

    def _wait_for_turn(self) -> None:
        """Until what is sent now may go out next, or wait in the outbox. Switches: when others have to be first."""
        floor = self._floor
        if floor is not None and floor.streamer is getcurrent():
            raise RuntimeError(
                "a message can't be sent from within the pieces of send_stream(): it would wait for itself"
            )
        line = self._line
        if line or self._is_taken:
            if line is None:
                line = self._line = {}
            waiter = Waiter(self._hub, "send to", self)
            line[waiter] = None
            try:
                waiter.park()
            except BaseException:
                line.pop(waiter, None)
                raise
        if self._phase is not _OPEN:
            raise self._closed_error()

    def _let_send(self) -> None:
        """Those first in line go on, one by one, as long as they may. From the hub. Switches: into them."""
        line = self._line
        while line and not self._is_taken:
            waiter = next(iter(line))
            del line[waiter]
            waiter.wake_now()
        if not line:
            self._line = None

    def _is_too_slow(self, messages: int = 1) -> bool:
        """Whether these are not for this client, who has too much to take; closes it where `when_slow` says so."""
        floor, outbox = self._floor, self._outbox
        waiting = (floor.bytes if floor is not None else 0) + (outbox.behind if outbox is not None else 0)
        if waiting <= self._options.max_unsent:
            return False
        if self._options.when_slow == "drop":
            self.dropped += messages
        else:
            self._cut(1008, "the client reads too slowly (ws_max_unsent)")
        return True

    def _stop_sending(self) -> None:
        """No message follows: it leaves its rooms, and who stands in line hears it. The outbox goes out still."""
        for room in self.rooms:
            room.leave(self)  # type: ignore[arg-type]
        line, self._line = self._line, None
        for waiter in line or ():
            waiter.wake()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close. WebSocket's."""
        raise NotImplementedError
