"""Frames that wait for a client which reads slowly, in their order, and who waits until they are out.

Made by a WebSocket when the kernel does not take all of a frame, and let go when the last byte is out: the socket of a
client that keeps up has none. The invariants: a frame whose beginning is out goes out to its end before any other; no
more than one pong waits, the latest (RFC 6455 §5.5.3), so that a client that pings and does not read costs nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from greenserve.net.paces import Pace
from greenserve.net.stream import SEND_STEP, Stream
from greenserve_hub.parking import Waiter

_TOGETHER: Final = 32 * 1024  # bytes up to which small frames are joined for one send


class Outbox:
    """What one WebSocket has to send."""

    __slots__ = ("_frames", "_pace", "_stream", "bytes", "pong")

    def __init__(self, stream: Stream, pace: Pace) -> None:
        """Empty; `pace` says how slow the client may be."""
        self._stream = stream
        self._pace = pace
        self._frames: deque[tuple[bytes | memoryview, Waiter | None]] = deque()
        self.bytes = 0
        self.pong: bytes | None = None  # the frame; it follows what waits already

    def put(self, frame: bytes | memoryview, waiter: Waiter | None = None) -> None:
        """Have it sent after those before it. `waiter` is woken with True when the kernel has all of it."""
        self._frames.append((frame, waiter))
        self.bytes += len(frame)

    def wait(self, now: float) -> None:
        """The client has to take something before more can go out; it has `left` seconds."""
        self._pace.begin(now, self._stream.untaken())

    @property
    def left(self) -> float:
        """How many seconds the client may still take."""
        return self._pace.left

    def waited(self, now: float) -> bool:
        """Some time has passed, or there is room: whether the client has not been too slow."""
        self._pace.end(now, self._stream.untaken())
        return not self._pace.is_over

    def flush(self) -> bool:
        """Send what the kernel takes; whether that was all. Switches: never. Raises PeerGone."""
        self._pace.earn(SEND_STEP)
        frames = self._frames
        while frames:
            data = self._joined()
            sent = self._stream.send_now(data)
            self.bytes -= sent
            whole = sent == len(data)
            self._take_away(sent)
            if not whole:
                return False
        if self.pong is not None:
            pong, self.pong = self.pong, None
            self.put(pong)
            return self.flush()
        return True

    def _joined(self) -> bytes | memoryview:
        """The first frame, with those behind it if they are small."""
        frames = self._frames
        first = frames[0][0]
        if len(frames) == 1 or len(first) >= _TOGETHER:
            return first
        pieces: list[bytes | memoryview] = []
        size = 0
        for frame, _ in frames:
            size += len(frame)
            if pieces and size > _TOGETHER:
                break
            pieces.append(frame)
        return b"".join(pieces)

    def _take_away(self, sent: int) -> None:
        frames = self._frames
        while frames:
            frame, waiter = frames[0]
            if sent < len(frame):
                if sent:
                    frames[0] = memoryview(frame)[sent:], waiter
                return
            sent -= len(frame)
            frames.popleft()
            if waiter is not None:
                waiter.wake(True)

    def drop(self) -> None:
        """Nothing of it can be sent any more: wake who waits, with False. Switches: never."""
        frames = self._frames
        while frames:
            waiter = frames.popleft()[1]
            if waiter is not None:
                waiter.wake(False)
        self.bytes = 0
