"""Boundary: whether the bytes sent so far end inside a frame or between two (RFC 6455 §5.2).

For a server whose app frames its messages itself: it may add a control frame only between frames. Reads the head of the
101 response, then the beginnings of frames; payloads are counted and not looked at. The invariant: a stream that is no
WebSocket is never said to be between frames.
"""

from __future__ import annotations

from typing import Final

_STATUS: Final = b"HTTP/1.1 101 "
_LONGEST_HEAD: Final = 64 * 1024  # bytes; what is longer is no head
_CLOSE: Final = 8


class Boundary:
    """Follows one direction of one connection."""

    __slots__ = ("_head", "_left", "_partial", "closes")

    def __init__(self) -> None:
        """Nothing was sent."""
        self.closes = False  # a Close was begun: nothing may follow it
        self._head: bytes | None = b""  # as far as it is out; None behind its end
        self._partial = b""  # the beginning of a frame's beginning
        self._left = 0  # of a payload; -1: this is no WebSocket

    @property
    def is_between_frames(self) -> bool:
        """Return True if a control frame may follow."""
        return self._head is None and not self._left and not self._partial

    def feed(self, data: bytes) -> None:
        """Follow `data`, which was sent."""
        if self._left < 0:
            return
        if self._head is not None:
            self._head += data
            rest = self._behind_head(self._head)
            if rest is None:
                return
            data = rest
            self._head = None
        if self._left >= len(data):
            self._left -= len(data)
            return
        self._read_frames(self._partial + data[self._left :])

    def _behind_head(self, head: bytes) -> bytes | None:
        end = head.find(b"\r\n\r\n")
        if head[: len(_STATUS)] != _STATUS[: len(head)] or (end < 0 and len(head) > _LONGEST_HEAD):
            self._left = -1
            self._head = b""
            return None
        return None if end < 0 else head[end + 4 :]

    def _read_frames(self, data: bytes) -> None:
        at = 0
        size = len(data)
        while size - at >= 2:
            length = data[at + 1] & 0x7F
            extended = {126: 2, 127: 8}.get(length, 0)
            start = at + 2 + extended + (4 if data[at + 1] & 0x80 else 0)
            if start > size:
                break
            if extended:
                length = int.from_bytes(data[at + 2 : at + 2 + extended])
            if data[at] & 0x0F == _CLOSE:
                self.closes = True
            at = start + length
        self._left = max(0, at - size)
        self._partial = data[at:]
