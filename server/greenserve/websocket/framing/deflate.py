"""Compression of whole messages: permessage-deflate (RFC 7692), with a bound on what a message may become.

One Deflate serves one WebSocket, in reader.py and in fragmented.py. The invariant: what has been inflated of a message
never exceeds what the limits allow by more than one byte, as zlib is told where to stop; a bomb is not looked at
afterwards.

zlib keeps a window and tables for each direction. They are made at a message that needs them: a socket that only
talks one way, or in small messages, never has them.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from greenserve.websocket.framing.events import BAD_DATA, POLICY, TOO_BIG, Broken

SMALLEST: Final = 256  # bytes; a shorter message is not compressed, as that saves only a part of one packet
MEMORY_LEVEL: Final = (
    5  # with a window of 12 bits a compressor takes 32 KiB; zlib's own 8 and 15 bits take 256
)
_TAIL: Final = b"\x00\x00\xff\xff"  # what a sync flush ends with, and the wire leaves out (§7.2.1)
_RATIO_FROM: Final = 4 << 20  # bytes: a blank picture is no bomb, and a thousand of them at once still fit
_BOUNDLESS: Final = 1 << 62
_MOST_STREAMS: Final = (
    16  # that one message may consist of; each costs a fresh decompressor, and takes two bytes
)


class ReadLimits(NamedTuple):
    """What a message may cost (settings `ws_max_size`, `ws_max_frames`, `ws_max_ratio`); 0 is no limit."""

    size: int  # bytes, of all its fragments, after inflation
    frames: int
    ratio: int  # inflated : received, looked at from 4 MiB inflated on


NO_LIMITS: Final = ReadLimits(0, 0, 0)


class Deflate:
    """The compression that one WebSocket has negotiated: its parameters, its compressor and decompressor.

    Public: `server_max_window_bits`, `client_max_window_bits`, `server_no_context_takeover`,
    `client_no_context_takeover` (§7.1); `limits`, which the reader sets.
    """

    __slots__ = (
        "_in",
        "_inflated",
        "_memory_level",
        "_out",
        "_received",
        "_streams",
        "client_max_window_bits",
        "client_no_context_takeover",
        "limits",
        "server_max_window_bits",
        "server_no_context_takeover",
    )

    def __init__(
        self,
        client_no_context_takeover: bool = False,
        client_max_window_bits: int = 15,
        server_no_context_takeover: bool = False,
        server_max_window_bits: int = 15,
        memory_level: int = MEMORY_LEVEL,
    ) -> None:
        """Take the negotiated parameters, and zlib's memLevel for the compressor. ValueError: a window zlib lacks."""
        if not 9 <= client_max_window_bits <= 15 or not 9 <= server_max_window_bits <= 15:
            raise ValueError("a window has between 9 and 15 bits")
        self.client_no_context_takeover = client_no_context_takeover
        self.client_max_window_bits = client_max_window_bits
        self.server_no_context_takeover = server_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.limits = NO_LIMITS
        self._memory_level = memory_level
        self._out: zlib._Compress | None = None
        self._in: zlib._Decompress | None = None
        # Of the message that is under way:
        self._received = 0
        self._inflated = 0
        self._streams = 0

    # Out

    def compress(self, data: bytes) -> bytes:
        """Compress a whole message, as it goes on the wire (§7.2.1)."""
        out = self._out
        if out is None:
            out = _compressor(self.server_max_window_bits, self._memory_level)
            if not self.server_no_context_takeover:
                self._out = out
        return (out.compress(data) + out.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def forget(self) -> None:
        """Compress the next message without the ones before it.

        Needed after a frame that others got too: the client's window holds that message, and ours does not.
        """
        self._out = None

    # In

    def inflate(self, data: bytes, ended: bool) -> bytes:
        """Inflate a part of a message; `ended` says that it is the last one (§7.2.2).

        Raises Broken: 1007 for what is not deflate data, 1009 for more than the limits allow.
        """
        self._received += len(data)
        try:
            inflated = self._inflate(data) if data else b""
            # What the wire leaves out. Nothing is left out behind a block with BFINAL, and of a message of no bytes:
            # no sender should have one (§7.2.3.6), but a zlib that is flushed twice gives it for an empty message.
            if ended and self._received and self._in is not None:
                inflated += self._inflate(_TAIL, is_tail=True)
        except zlib.error as error:
            raise Broken(BAD_DATA, "not deflate data (RFC 7692 §7.2.2)") from error
        if ended:
            self._received = self._inflated = self._streams = 0
            if self.client_no_context_takeover:
                self._in = None
        return inflated

    def _inflate(self, data: bytes, is_tail: bool = False) -> bytes:
        pieces: list[bytes] = []
        most = self._most()
        while True:
            inflater = self._in
            if inflater is None:
                inflater = self._in = zlib.decompressobj(-self.client_max_window_bits)
            room = most - self._inflated
            piece = inflater.decompress(data, room + 1)
            if len(piece) > room:
                raise self._too_much()
            self._inflated += len(piece)
            if not inflater.eof:
                return b"".join((*pieces, piece)) if pieces else piece
            # A block with BFINAL ends zlib's stream but not the message (§7.2.3.4): what follows is another stream,
            # which begins with an empty window. Browsers do the same, as no zlib can go on behind such a block.
            self._in = None
            pieces.append(piece)
            data = inflater.unused_data
            self._streams += 1
            if self._streams > _MOST_STREAMS:
                raise Broken(
                    POLICY, f"more than {_MOST_STREAMS} final blocks in a message (RFC 7692 §7.2.3.4)"
                )
            if not data or is_tail:
                return b"".join(pieces)

    def _most(self) -> int:
        """Return how many bytes the message may have become by now."""
        size, _, ratio = self.limits
        most = max(_RATIO_FROM, ratio * self._received) if ratio else _BOUNDLESS
        return min(most, size) if size else most

    def _too_much(self) -> Broken:
        size, _, ratio = self.limits
        if size and self._most() == size:
            return Broken(TOO_BIG, f"message inflates to more than {size} bytes (ws_max_size)")
        return Broken(TOO_BIG, f"message inflates to more than {ratio} times its size (ws_max_ratio)")


def compress_alone(data: bytes, window_bits: int) -> bytes:
    """Compress a message without those before it: every receiver with such a window can read it."""
    out = _compressor(window_bits, MEMORY_LEVEL)
    return (out.compress(data) + out.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _compressor(window_bits: int, memory_level: int) -> zlib._Compress:
    return zlib.compressobj(wbits=-window_bits, memLevel=memory_level)
