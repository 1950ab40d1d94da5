"""Data that waits for a client which reads slowly, in its order, and the green threads that wait until it is sent.

Frames of a WebSocket, or the two pieces of a whole HTTP response. Made when the kernel does not take all of one, and
let go when the last byte is out: the connection of a client that keeps up has none. It is what the server's SendBudget
counts, and resets when all hold too much together.

Invariants: a frame whose beginning is out goes out to its end before any other. What the stream was offered and has not
taken is offered again as it was, longer at most, for TLS may have encrypted it already. No more than one pong waits,
the latest (RFC 6455 §5.5.3), so that a client that pings and does not read costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.send_budget import PIECE, SendBudget
from greenserve.net.sockets.stream import SEND_STEP, Stream
from greenserve_hub.loop.parking import Waiter

_TOGETHER: Final = 32 * 1024  # bytes up to which small frames are joined for one send

Frame = bytes | memoryview


class Outbox:
    """The data that one connection has to send."""

    __slots__ = ("_frames", "_offered", "_pace", "_stream", "_unsent", "behind", "bytes", "pong", "reset")

    def __init__(self, stream: Stream, pace: Pace, unsent: SendBudget, reset: Callable[[], None]) -> None:
        """For the rest of a frame, which is put next; `pace` says how slow the client may be, `reset` resets it."""
        self._stream = stream
        self._pace = pace
        self._unsent = unsent
        # A frame that a green thread waits for is in a pair with its Waiter. The others cost 8 bytes besides what they
        # share: a Room may put a great many into each of a thousand.
        self._frames: deque[Frame | tuple[Frame, Waiter]] = deque()
        self._offered = 1  # how many frames the stream was offered last and has not taken whole
        self.bytes = 0
        # Of these, what nobody waits for, besides the first frame, with what each costs: a client is not slow for the
        # length of a single message.
        self.behind = 0
        self.pong: bytes | None = None  # the frame; it goes out as soon as one of the others is out
        self.reset = reset  # see Waiting
        unsent.moved(self)

    def put(self, frame: Frame, waiter: Waiter | None = None) -> None:
        """Have it sent after those before it. `waiter` is woken with True when the kernel has all of it.

        May reset connections, this one too (limit_unsent): the waiter is woken with False then. Switches: never.
        """
        frames = self._frames
        size = len(frame)
        self.bytes += size
        if waiter is not None:
            frames.append((frame, waiter))
        else:
            if frames:
                self.behind += size + PIECE
            frames.append(frame)
        self._unsent.hold(frame)

    def start_clock(self, now: float) -> None:
        """Start the clock: the client has `left` seconds to take something."""
        self._pace.begin(now, self._stream.untaken())

    @property
    def left(self) -> float:
        """The seconds that the client may still take."""
        return self._pace.left

    def check_clock(self, now: float) -> bool:
        """Stop the clock. Return True if the client has not been too slow."""
        self._pace.end(now, self._stream.untaken())
        return not self._pace.is_over

    def flush(self) -> bool:
        """Send what the kernel takes. Return True if that was all. Switches: never. Raises PeerGone."""
        self._pace.earn(SEND_STEP)
        self._unsent.moved(self)
        frames = self._frames
        while True:
            if self.pong is not None and not self._offered:
                self._put_first(self.pong)
                self.pong = None
            if not frames:
                self._unsent.remove(self)
                return True
            data = self._joined()
            sent = self._stream.send_now(data)
            self._take_away(sent)
            if sent != len(data):
                return False

    def _joined(self) -> Frame:
        """The first frame, with those behind it if they are small."""
        frames = self._frames
        first = frames[0]
        if isinstance(first, tuple):
            first = first[0]
        self._offered = 1
        if len(frames) == 1 or len(first) >= _TOGETHER:
            return first
        pieces: list[Frame] = []
        size = 0
        for frame in frames:
            if isinstance(frame, tuple):
                frame = frame[0]
            size += len(frame)
            if pieces and size > _TOGETHER:
                break
            pieces.append(frame)
        self._offered = len(pieces)
        return b"".join(pieces)

    def _put_first(self, frame: bytes) -> None:
        frames = self._frames
        if frames and not isinstance(frames[0], tuple):
            self.behind += len(frames[0]) + PIECE
        frames.appendleft(frame)
        self.bytes += len(frame)
        self._unsent.hold(frame)

    def _take_away(self, sent: int) -> None:
        frames = self._frames
        self.bytes -= sent
        while sent:
            first = frames[0]
            frame, waiter = first if isinstance(first, tuple) else (first, None)
            size = len(frame)
            if sent < size:
                rest = memoryview(frame)[sent:]
                frames[0] = rest if waiter is None else (rest, waiter)
                return
            sent -= size
            frames.popleft()
            self._offered -= 1
            self._unsent.let_go(frame)
            if waiter is not None:
                waiter.wake(True)
            if frames and not isinstance(frames[0], tuple):
                self.behind -= len(frames[0]) + PIECE

    def drop(self) -> int:
        """Drop all of it: the waiters are woken with False. Return how many bytes that were. Switches: never."""
        frames, self._frames = self._frames, deque()
        dropped, self.bytes, self.behind = self.bytes, 0, 0
        self.pong = None
        self._unsent.remove(self)
        for frame in frames:
            if isinstance(frame, tuple):
                frame, waiter = frame
                waiter.wake(False)
            self._unsent.let_go(frame)
        return dropped
