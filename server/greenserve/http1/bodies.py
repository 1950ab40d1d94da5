"""The framing of a message body: where it ends, and which of its bytes are content.

Sans-IO. A framing takes received bytes and returns the content in them; bytes behind the end stay in `rest`. wsgi/
reads a body through it and net/ discards one through it. The invariant: no byte behind the end is ever content, and a
malformed chunk is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, Protocol

from greenserve.errors import LimitExceeded, ProtocolError
from greenserve.grammar import QUOTED_TEXT, TOKEN

_TOKEN: Final = TOKEN.encode()
_QUOTED: Final = b'"%b"' % QUOTED_TEXT.encode()
_SIZE: Final = (
    re.compile(  # RFC 9112 §7.1 and §7.1.1; possessive: there is one way to match, so none is tried twice
        rb"([0-9A-Fa-f]{1,16})((?:[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?+)*+)\r\n"
        % (_TOKEN, _TOKEN, _QUOTED)
    )
)
_PLAIN_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_COULD_BE_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(?:\r|[ \t]*;[\t -~\x80-\xff]*\r?|[ \t]+)?")
_TRAILER: Final = re.compile(rb"(%b):[ \t]*([\t -~\x80-\xff]*)\r\n" % _TOKEN)
_SIZE_LINE_LIMIT: Final = 1024  # bytes; a WSGI app can't use extensions. hyper allows 16 KiB for all chunks
# Bytes for all chunks of a body, so that a byte of content can't cost a kilobyte of size line.
_EXTENSIONS_LIMIT: Final = 16 * 1024
# RFC 9110 §6.5.1: fields about framing, routing, credentials, conditions and content come too late in a trailer. A
# client sends one there only in the hope that it is merged into the head.
_NEVER_TRAILERS: Final = frozenset(
    b"transfer-encoding content-length host connection keep-alive proxy-connection upgrade te trailer http2-settings "
    b"forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-real-ip via "
    b"cache-control expect max-forwards pragma range if-match if-none-match if-modified-since if-unmodified-since "
    b"if-range authorization proxy-authorization cookie origin referer content-encoding content-type content-range "
    b"content-location proxy".split()
)


class ChunkState(Enum):
    """What the next byte of a chunked body belongs to."""

    SIZE = "a chunk's size and extensions"
    DATA = "content"
    DATA_END = "the CRLF behind content"
    TRAILERS = "trailers"
    DONE = "the next request"


_AT_SIZE: Final = ChunkState.SIZE  # looking up an enum's member runs Python code
CHUNK_TRANSITIONS: Final[Mapping[ChunkState, frozenset[ChunkState]]] = {
    ChunkState.SIZE: frozenset({ChunkState.DATA, ChunkState.TRAILERS}),
    ChunkState.DATA: frozenset({ChunkState.DATA_END}),
    ChunkState.DATA_END: frozenset({ChunkState.SIZE}),
    ChunkState.TRAILERS: frozenset({ChunkState.DONE}),
    ChunkState.DONE: frozenset(),
}


class BodyFraming(Protocol):
    """Finds the end of a body."""

    done: bool
    rest: bytes

    @property
    def trailers(self) -> Sequence[tuple[str, str]]:
        """The fields behind the content, as latin-1; complete when `done`."""

    def feed(self, data: bytes) -> bytes:
        """Take received bytes, return the content in them. Raises ProtocolError."""

    def wants(self) -> int:
        """The number of bytes that will come at least, 0 if it is unknown."""


class LengthFraming:
    """A body of `Content-Length` bytes (RFC 9112 §6.2)."""

    __slots__ = ("_left", "done", "rest")

    trailers: Sequence[tuple[str, str]] = ()  # only chunked bodies have them (RFC 9112 §7.1.2)

    def __init__(self, length: int) -> None:
        """`length` in bytes."""
        self._left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the content in `data`."""
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
        """The number of bytes that are still to come."""
        return self._left


class ChunkedFraming:
    """A body in chunks (RFC 9112 §7.1).

    Extensions are checked and dropped. Trailers are kept apart from the head's fields, and those that could do harm
    if an app merged them are refused.
    """

    __slots__ = (
        "_extensions",
        "_left",
        "_limit",
        "_pending",
        "_read",
        "_trailer_bytes",
        "_trailer_count",
        "done",
        "rest",
        "state",
        "trailers",
    )

    def __init__(self, limit: int = 0, trailer_bytes: int = 8190, trailer_count: int = 100) -> None:
        """`limit`: bytes of content, 0 for no limit. The other two are for all trailers together."""
        self._limit = limit
        self._trailer_bytes = trailer_bytes
        self._trailer_count = trailer_count
        self._read = 0
        self._left = 0
        self._extensions = 0
        self._pending = b""
        self.state = ChunkState.SIZE
        self.done = False
        self.rest = b""
        self.trailers: list[tuple[str, str]] = []  # as latin-1; filled when `done`

    def wants(self) -> int:
        """The rest of the current chunk, in bytes; 0 between chunks."""
        return self._left

    def restart(self) -> bytes:
        """Begin another body behind one that is done, and return what has come of it. The limits count on."""
        rest, self.rest = self.rest, b""
        self.state = (
            ChunkState.SIZE
        )  # no transition of one body: a client and its server have agreed on a second one
        self.done = False
        return rest

    def feed(self, data: bytes) -> bytes:
        """Return the content in `data`. Raises ProtocolError."""
        pieces: list[bytes] = []
        buffer = self._pending + data if self._pending else data
        position = 0
        while True:
            if self.state is _AT_SIZE:
                position = self._take_whole_chunks(buffer, position, pieces)
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

    def _take_whole_chunks(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        """Take the chunks that are here whole, without a turn through the states; return where they end.

        A client may send its content byte by byte: this reads four times as many such chunks in a second. A chunk with
        anything special or wrong is left to the states.
        """
        read = self._read
        limit = self._limit
        while (match := _PLAIN_SIZE.match(buffer, at)) is not None:
            size = int(match[1], 16)
            start = match.end()
            end = start + size
            if not size or buffer[end : end + 2] != b"\r\n" or (limit and read + size > limit):
                break
            pieces.append(buffer[start:end])
            read += size
            at = end + 2
        self._read = read
        return at

    # Each state reads from `buffer` at `at` and returns the position behind, or -1 if it needs more.

    def _read_size(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        end = buffer.find(b"\n", at)
        if end < 0 and len(buffer) - at <= _SIZE_LINE_LIMIT:
            if at < len(buffer) and not _COULD_BE_SIZE.fullmatch(buffer, at):
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
        start = buffer[at : at + 2]
        if start == b"\r\n":
            self._move(ChunkState.DONE)
            self.done = True
            return at + 2
        if start == b"\r":
            return -1
        end = buffer.find(b"\n", at)
        if (len(buffer) if end < 0 else end + 1) - at > self._trailer_bytes:
            raise LimitExceeded(431, "trailers too long (limit_request_field_size)")
        if end < 0:
            return -1
        match = _TRAILER.fullmatch(buffer, at, end + 1)
        if match is None:
            raise ProtocolError(400, "malformed trailer (RFC 9112 §7.1.2)")
        if match[1].lower() in _NEVER_TRAILERS:
            raise ProtocolError(400, f"{match[1].decode()} as a trailer (RFC 9110 §6.5.1)")
        if len(self.trailers) == self._trailer_count:
            raise LimitExceeded(431, f"more than {self._trailer_count} trailers (limit_request_fields)")
        self._trailer_bytes -= end + 1 - at
        self.trailers.append((match[1].decode(), match[2].rstrip(b" \t").decode("latin-1")))
        return end + 1


_READERS: Final = {
    ChunkState.SIZE: ChunkedFraming._read_size,
    ChunkState.DATA: ChunkedFraming._read_data,
    ChunkState.DATA_END: ChunkedFraming._read_data_end,
    ChunkState.TRAILERS: ChunkedFraming._read_trailer,
}


def chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
