"""The sending half of a WebSocket: whole frames in their order, however many send and however slowly the client reads.

Messages, above FrameWriter, which brings frames to the client. Invariants: the fragments of a streamed message have no
other message between them (RFC 6455 §5.4); what waits for a slow client is bounded, whatever `when_slow` says and
however many send; once it begins to close, no message is sent.

Order: messages of one green thread go out in the order in which it sends them. Senders that have to wait for room stand
in a queue, first come, first served; messages that never wait (a Room's, or all where `when_slow` is drop or close)
pass these.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenlet import getcurrent, greenlet

from greenserve.net.sockets.outbox import Frame
from greenserve.net.sockets.send_budget import PIECE
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve.websocket import (
    BINARY,
    CONTINUATION,
    OPEN,
    TEXT,
    Deflate,
    Message,
    encode_fragment,
    encode_message,
    encode_ping,
)
from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN
from greenserve_hub.loop.parking import Waiter


class _Streamed:
    """A message that is being streamed: by which green thread, and what goes out after it."""

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


class Sender:
    """Sends messages for one WebSocket. From any green thread of its hub, several at once."""

    __slots__ = (
        "_queue",
        "_streamed",
        "_writer",
        "deflate",
        "dropped",
        "messages_sent",
        "moved_at",
    )

    def __init__(self, writer: FrameWriter, deflate: Deflate | None) -> None:
        """Nothing is sent yet."""
        self._writer = writer
        self.deflate = deflate
        self._streamed: _Streamed | None = None
        self._queue: dict[Waiter, None] | None = None  # senders that wait until they may send
        self.moved_at = 0.0  # when the last message went
        self.messages_sent = 0
        self.dropped = 0  # messages that were not sent to a slow client

    def send(self, message: Message) -> bool:
        """Send a message; return False if it was dropped: see WebSocket.send. Switches: when it has to wait."""
        writer = self._writer
        if (
            writer.outbox is not None
            or writer.closing is not OPEN
            or self._streamed is not None
            or self._queue
        ) and not self._may_send():
            return False
        frame = encode_message(message, self.deflate)
        self.messages_sent += 1
        if self._streamed is None:
            self._send_frame(frame)
        else:
            self._streamed.put(frame)
        return True

    def stream(self, pieces: Iterable[str] | Iterable[bytes]) -> None:
        """Send one message piece by piece: see WebSocket.send_stream. Switches: when it has to wait."""
        writer = self._writer
        if isinstance(pieces, str | bytes | bytearray | memoryview):
            raise TypeError("send_stream() takes an iterable of pieces, and send() a whole message")
        if getcurrent() is writer.hub.greenlet:
            raise HubError("send_stream() waits for its client, and a callback of the hub can't: spawn it")
        self._wait_for_turn()
        self._streamed = streamed = _Streamed()
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
            self._streamed = None
            if is_begun and not is_whole:
                writer.step(writer.closing.close(1011, "the message can't be sent to its end"))
            self._follow(streamed)

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping, unless the client does not keep up. Raises WebSocketClosed, ValueError. Switches: never."""
        frame = encode_ping(data)
        writer = self._writer
        if writer.closing is not OPEN:
            raise writer.closed_error()
        if writer.outbox is None:
            writer.post(frame)

    def send_shared(self, frame: bytes, messages: int) -> bool:
        """Send what many receivers share: see WebSocket.send_shared. Switches: never."""
        writer = self._writer
        if writer.closing is not OPEN:
            return False
        try:
            streamed = self._streamed
            if (writer.outbox is not None or streamed is not None) and self._is_too_slow(messages):
                return False
            if self.deflate is not None and (frame[0] & 0x40 or messages > 1):
                self.deflate.forget()  # its window holds this message now, which our compressor has not seen
            self.messages_sent += messages
            self.moved_at = writer.hub.now
            if streamed is None:
                writer.post(frame)
            else:
                streamed.put(frame, messages)
        except Exception:
            writer.carrier.broke()
        return writer.closing is OPEN

    def stop(self) -> None:
        """No message follows: wake those that wait to send. The outbox is sent still. Switches: never."""
        queue, self._queue = self._queue, None
        for waiter in queue or ():
            waiter.wake()

    def let_send(self) -> None:
        """Those first in the queue go on, one by one, as long as they may. From the hub. Switches: into them."""
        queue = self._queue
        while queue and not self._is_taken:
            waiter = next(iter(queue))
            del queue[waiter]
            waiter.wake_now()
        if not queue:
            self._queue = None

    # Frames ----------------------------------------------------------------------------------------------

    def _send_fragment(self, payload: bytes, opcode: int, *, is_last: bool = False) -> None:
        if self._writer.closing is not OPEN:
            raise self._writer.closed_error()  # while the piece was made
        self._send_frame(encode_fragment(payload, opcode, is_last), is_part=True)

    def _send_frame(self, frame: bytes, is_part: bool = False) -> None:
        """Send a message's frame, or a part's. Wait until it is out if it is a part, or where `when_slow` is wait.

        Switches: if it waits and the client is slow; at turns.
        """
        writer = self._writer
        hub = writer.hub
        self.moved_at = hub.now
        if writer.outbox is None:
            sent = writer.send_now(frame)
            if sent == len(frame):
                if hub.clock() - hub.now > MAX_TURN:
                    sleep(0)
                return
            left: Frame = memoryview(frame)[sent:]
        else:
            left = frame
        waits = is_part or writer.options.when_slow == "wait"
        if waits and getcurrent() is not hub.greenlet:
            waiter = Waiter(hub, "send to", writer.owner)
            writer.put(left, waiter)
            if not waiter.park():
                raise writer.closed_error()
        else:
            writer.put(left)

    def _follow(self, streamed: _Streamed) -> None:
        """A streamed message is over, or there will be no more of it: send what waited for that."""
        if self._writer.closing is OPEN:
            for frame in streamed.frames:
                self._writer.post(frame)
        else:
            self.messages_sent -= streamed.messages
        if self._queue:
            self._writer.hub.call_soon(self.let_send)

    # Who may send ------------------------------------------------------------------------------------------

    def _may_send(self) -> bool:
        """Wait for the turn of the next message, or return False if `when_slow` drops it. Switches: if that is wait."""
        writer = self._writer
        if writer.closing is not OPEN:
            raise writer.closed_error()
        if writer.options.when_slow == "wait":
            if getcurrent() is writer.hub.greenlet:
                raise HubError(
                    "send() would have to wait for the client, and a callback of the hub can't: "
                    "spawn it, or have when_slow drop or close"
                )
            self._wait_for_turn()
        elif self._is_too_slow():
            if writer.closing is not OPEN:
                raise writer.closed_error()
            return False
        return True

    @property
    def _is_taken(self) -> bool:
        """Return True while a message is streamed, or as much waits for the client as may."""
        writer = self._writer
        outbox = writer.outbox
        return self._streamed is not None or (outbox is not None and outbox.bytes > writer.options.max_unsent)

    def _wait_for_turn(self) -> None:
        """Wait until the next message may go out, or into the outbox. Switches: when others have to be first."""
        writer, streamed = self._writer, self._streamed
        if streamed is not None and streamed.streamer is getcurrent():
            raise RuntimeError(
                "a message can't be sent from within the pieces of send_stream(): it would wait for itself"
            )
        queue = self._queue
        if queue or self._is_taken:
            if queue is None:
                queue = self._queue = {}
            waiter = Waiter(writer.hub, "send to", writer.owner)
            queue[waiter] = None
            try:
                waiter.park()
            except BaseException:
                queue.pop(waiter, None)
                raise
        if writer.closing is not OPEN:
            raise writer.closed_error()

    def _is_too_slow(self, messages: int = 1) -> bool:
        """Return True if the client has too much to take already; closes it where `when_slow` says so."""
        writer, streamed, outbox = self._writer, self._streamed, self._writer.outbox
        waiting = (streamed.bytes if streamed is not None else 0) + (
            outbox.behind if outbox is not None else 0
        )
        if waiting <= writer.options.max_unsent:
            return False
        if writer.options.when_slow == "drop":
            self.dropped += messages
        else:
            writer.cut(1008, "the client reads too slowly (ws_max_unsent)")
        return True
