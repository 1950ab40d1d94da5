"""The body of a message: where it ends, and what of it is content.

Sans-IO. A framing takes what was received and gives back the content in it; what lies behind the end stays in
`rest`. wsgi/ reads through it and net/ discards through it. The invariant: not a byte behind the end is ever
content, and a chunk that is malformed in any way is an error, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, Protocol

from greenserve.errors import LimitExceeded, ProtocolError

_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t -~\x80-\xff]*)?\r\n"
)  # RFC 9112 §7.1; no bare CR, NUL or LF
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n")
_SIZE_LINE_LIMIT: Final = 1024  # extensions are of no use to a WSGI app; hyper allows 16 KiB over all chunks
# Over all chunks of a body, so that a byte of content cannot cost a kilobyte of line.
_EXTENSIONS_LIMIT: Final = 16 * 1024


class ChunkState(Enum):
    """What a chunked body's next byte belongs to."""

    SIZE = "a chunk's size and extensions"
    DATA = "content"
    DATA_END = "the CRLF behind content"
    TRAILERS = "trailers"
    DONE = "the next request"


CHUNK_TRANSITIONS: Final[Mapping[ChunkState, frozenset[ChunkState]]] = {
    ChunkState.SIZE: frozenset({ChunkState.DATA, ChunkState.TRAILERS}),
    ChunkState.DATA: frozenset({ChunkState.DATA_END}),
    ChunkState.DATA_END: frozenset({ChunkState.SIZE}),
    ChunkState.TRAILERS: frozenset({ChunkState.DONE}),
    ChunkState.DONE: frozenset(),
}


class BodyFraming(Protocol):
    """How a body ends."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """Take what was received, give back the content in it. Raises ProtocolError."""

    def wants(self) -> int:
        """At least how many more bytes will come, if that is known; else 0."""


class LengthFraming:
    """A body of `Content-Length` bytes (RFC 9112 §6.2)."""

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int) -> None:
        """`length` in bytes."""
        self._left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """See BodyFraming."""
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self.done = True
        if left == 0:
            self._left = 0
            return data
        content, self.rest = data[: self._left], data[self._left :]
        self._left = 0
        return content

    def wants(self) -> int:
        """See BodyFraming."""
        return self._left


class ChunkedFraming:
    """A body in chunks (RFC 9112 §7.1).

    Extensions are checked and dropped; trailers are kept apart, never merged.
    """

    __slots__ = (
        "_extensions",
        "_left",
        "_limit",
        "_pending",
        "_read",
        "_trailer_limit",
        "done",
        "rest",
        "state",
        "trailers",
    )

    def __init__(self, limit: int = 0, trailer_limit: int = 8190) -> None:
        """`limit`: bytes of content, 0 for none. `trailer_limit`: bytes of all trailers together."""
        self._limit = limit
        self._trailer_limit = trailer_limit
        self._read = 0
        self._left = 0
        self._extensions = 0
        self._pending = b""
        self.state = ChunkState.SIZE
        self.done = False
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    def wants(self) -> int:
        """See BodyFraming."""
        return self._left

    def feed(self, data: bytes) -> bytes:
        """See BodyFraming."""
        pieces: list[bytes] = []
        buffer = self._pending + data if self._pending else data
        position = 0
        while True:
            after = _READERS[self.state](self, buffer, position, pieces)
            if after < 0 or self.done:
                break
            position = after
        if self.done:
            self.rest = buffer[after:]
            self._pending = b""
        else:
            self._pending = buffer[position:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _move(self, state: ChunkState) -> None:
        assert state in CHUNK_TRANSITIONS[self.state], f"{self.state} to {state}"
        self.state = state

    # Each state reads from `buffer` at `at` and returns where it stopped, or -1 when it needs more.

    def _read_size(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        end = buffer.find(b"\n", at)
        if end < 0 and len(buffer) - at <= _SIZE_LINE_LIMIT:
            if buffer[at:] and not _could_be_size(buffer[at:]):
                raise ProtocolError(400, "malformed chunk size (RFC 9112 §7.1)")
            return -1
        if end - at > _SIZE_LINE_LIMIT or end < 0:
            raise LimitExceeded(
                400, f"chunk size line longer than {_SIZE_LINE_LIMIT} bytes (RFC 9112 §7.1.1)"
            )
        match = _SIZE.fullmatch(buffer, at, end + 1)
        if match is None:
            raise ProtocolError(400, "malformed chunk size (RFC 9112 §7.1)")
        if match[2]:
            self._extensions += len(match[2])
            if self._extensions > _EXTENSIONS_LIMIT:
                raise LimitExceeded(
                    400, f"chunk extensions longer than {_EXTENSIONS_LIMIT} bytes (RFC 9112 §7.1.1)"
                )
        self._left = int(match[1], 16)
        self._read += self._left
        if self._limit and self._read > self._limit:
            raise LimitExceeded(413, f"body longer than {self._limit} bytes (limit_request_body)")
        self._move(ChunkState.DATA if self._left else ChunkState.TRAILERS)
        return end + 1

    def _read_data(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        available = len(buffer) - at
        if available == 0:
            return -1
        if available < self._left:
            pieces.append(buffer[at:])
            self._left -= available
            return len(buffer)
        end = at + self._left
        pieces.append(buffer[at:end])
        self._left = 0
        self._move(ChunkState.DATA_END)
        return end

    def _read_data_end(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        end = buffer[at : at + 2]
        if end != b"\r\n"[: len(end)]:
            raise ProtocolError(400, "chunk data not followed by CRLF (RFC 9112 §7.1)")
        if len(end) < 2:
            return -1
        self._move(ChunkState.SIZE)
        return at + 2

    def _read_trailer(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        end = buffer.find(b"\n", at)
        if (len(buffer) if end < 0 else end + 1) - at > self._trailer_limit:
            raise LimitExceeded(431, "trailers too long (limit_request_field_size)")
        if end < 0:
            return -1
        line = buffer[at : end + 1]
        if line == b"\r\n":
            self._move(ChunkState.DONE)
            self.done = True
            return end + 1
        if not _TRAILER.fullmatch(line):
            raise ProtocolError(400, "malformed trailer (RFC 9112 §7.1.2)")
        self._trailer_limit -= len(line)
        name, _, value = line.partition(b":")
        self.trailers.append((name, value.strip(b" \t\r\n")))
        return end + 1


_READERS: Final = {
    ChunkState.SIZE: ChunkedFraming._read_size,
    ChunkState.DATA: ChunkedFraming._read_data,
    ChunkState.DATA_END: ChunkedFraming._read_data_end,
    ChunkState.TRAILERS: ChunkedFraming._read_trailer,
}


def _could_be_size(start: bytes) -> bool:
    return start[:1].isalnum() and b"\0" not in start and (b"\r" not in start or start.endswith(b"\r"))


def chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
