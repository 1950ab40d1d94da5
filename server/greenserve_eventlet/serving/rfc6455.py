"""RFC6455WebSocket: a WebSocket on any socket that waits green: a client's, or one that another server has accepted.

Reads frame by frame from the socket; masks, compression and close codes are those of greenserve.websocket. Invariants:
no more of a message is kept than max_frame_length, over all its frames and inflated; behind a close nothing is read.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final

from greenserve.websocket.framing.close_codes import read_close
from greenserve.websocket.framing.deflate import Deflate, ReadLimits
from greenserve.websocket.framing.events import BAD_DATA, PROTOCOL_ERROR, TOO_BIG, Broken, Failure
from greenserve.websocket.framing.frames import LONGEST_CONTROL
from greenserve.websocket.framing.masking import unmask
from greenserve_eventlet.serving.hixie import WebSocket

__all__ = ["DEFAULT_MAX_FRAME_LENGTH", "ConnectionClosedError", "ProtocolError", "RFC6455WebSocket"]

DEFAULT_MAX_FRAME_LENGTH: Final = 8 << 20
_READ: Final = 1 << 16
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_KNOWN: Final = (0, _TEXT, _BINARY, _CLOSE, _PING, _PONG)
_CONTROL: Final = 8  # the bit of opcodes that says so
_RSV1: Final = 0x40
_short: Final = Struct("!H")
_long: Final = Struct("!Q")


class ConnectionClosedError(Exception):
    """The connection has ended; wait() returns None then."""


class ProtocolError(ValueError):
    """What is to be sent is no frame of the protocol."""


class _Frame:
    """One frame, as it has come, without its mask."""

    __slots__ = ("data", "decompressor", "final", "is_compressed", "opcode")

    def __init__(self, first: int, data: bytes, decompressor: Deflate | None) -> None:
        self.opcode = first & 0x0F
        self.final = bool(first & 0x80)
        self.is_compressed = bool(first & _RSV1)
        self.decompressor = decompressor
        self.data = data

    def getvalue(self) -> bytes:
        """Return what is in it, inflated unless `decompressor` is None."""
        if self.decompressor is None or not self.is_compressed:
            return self.data
        return self.decompressor.inflate(self.data, ended=self.final)


class RFC6455WebSocket(WebSocket):
    """A WebSocket: `wait` returns str or bytes, and None at the end; `send` takes either; pings are answered."""

    def __init__(
        self,
        sock: Any,
        environ: dict[str, Any],
        version: int = 13,
        protocol: str | None = None,
        client: bool = False,
        extensions: dict[str, dict[str, Any]] | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    ) -> None:
        """The handshake is done. `client`: this end masks. `extensions`: {"permessage-deflate": its parameters}.

        `max_frame_length`: bytes that a message may have, inflated.
        """
        super().__init__(sock, environ, version)
        self.client = client
        self.protocol = protocol
        self.extensions = extensions or {}
        self.max_frame_length = max_frame_length
        self._remote_close_data: bytes | None = None
        self._deflate: Deflate | None = None
        self._is_over = False  # nothing more is read
        self.iterator = iter(self.wait, None)

    # Receiving -------------------------------------------------------------------------------------------

    def wait(self) -> Any:
        """Return the next message; None when the WebSocket is closed, by either side. Switches: when there is none."""
        if self._is_over:
            return None
        try:
            return self._next_message()
        except Broken as broken:
            self._fail(broken.failure)
        except ConnectionClosedError:
            self._is_over = True
        except Exception:
            self._fail(Failure(1011, "internal error"))
            raise
        return None

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the messages."""
        return self.iterator

    def _fail(self, failure: Failure) -> None:
        self._is_over = True
        self.close((failure.code, failure.reason))

    def _next_message(self) -> str | bytes:
        opcode = 0
        pieces: list[bytes] = []
        deflate: Deflate | None = None
        while True:
            frame = self._recv_frame(bool(opcode), sum(map(len, pieces)))
            if frame.opcode & _CONTROL:
                self._take_control(frame)
                continue
            if frame.opcode:
                opcode = frame.opcode
                deflate = frame.decompressor if frame.is_compressed else None
            elif frame.is_compressed:
                raise Broken(PROTOCOL_ERROR, "RSV1 in a continuation frame (RFC 7692 §6)")
            pieces.append(frame.data if deflate is None else deflate.inflate(frame.data, ended=frame.final))
            if sum(map(len, pieces)) > self.max_frame_length:
                raise Broken(
                    TOO_BIG, f"message of more than {self.max_frame_length} bytes (max_frame_length)"
                )
            if frame.final:
                break
        message = b"".join(pieces)
        if opcode == _BINARY:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise Broken(BAD_DATA, "not UTF-8: a text message (RFC 6455 §8.1)") from None

    def _recv_frame(self, is_under_way: Any = None, have: int = 0) -> _Frame:
        """Return the next frame; `is_under_way`: of a message that has begun, of which there are `have` bytes."""
        first, second = self._get_bytes(2)
        opcode, length = first & 0x0F, second & 0x7F
        if opcode not in _KNOWN:
            raise Broken(PROTOCOL_ERROR, f"unknown opcode {opcode:#x} (RFC 6455 §5.2)")
        deflate = self._deflater()
        if first & (0x30 if deflate is not None and not opcode & _CONTROL else 0x70):
            raise Broken(PROTOCOL_ERROR, "a reserved bit that no extension uses (RFC 6455 §5.2)")
        if not second & 0x80 and not self.client:
            raise Broken(PROTOCOL_ERROR, "a client's frame without a mask (RFC 6455 §5.1)")
        if opcode & _CONTROL:
            if not first & 0x80 or length > LONGEST_CONTROL:
                raise Broken(
                    PROTOCOL_ERROR, "a control frame in parts or of more than 125 bytes (RFC 6455 §5.5)"
                )
        elif bool(opcode) == bool(is_under_way):
            raise Broken(PROTOCOL_ERROR, "a message within another, or a part of none (RFC 6455 §5.4)")
        if length == 126:
            (length,) = _short.unpack(self._get_bytes(2))
        elif length == 127:
            (length,) = _long.unpack(self._get_bytes(8))
        if length + have > self.max_frame_length and not opcode & _CONTROL:
            raise Broken(TOO_BIG, f"frame of {length} bytes: max_frame_length is {self.max_frame_length}")
        key = self._get_bytes(4) if second & 0x80 else b""
        data = self._get_bytes(length)
        return _Frame(first, unmask(data, key) if key else data, deflate)

    def _get_bytes(self, count: int) -> bytes:
        while len(self._buf) < count:
            received = self.socket.recv(_READ)
            if not received:
                raise ConnectionClosedError
            self._buf += received
        taken, self._buf = self._buf[:count], self._buf[count:]
        return taken

    def _take_control(self, frame: _Frame) -> None:
        if frame.opcode == _PING:
            self.send(frame.data, control_code=_PONG)
        elif frame.opcode == _CLOSE:
            self._remote_close_data = frame.data
            close = read_close(frame.data)
            self.close((close.code if frame.data else 1000, ""))
            raise ConnectionClosedError

    def _deflater(self) -> Deflate | None:
        options = self.extensions.get("permessage-deflate")
        if options is None:
            return None
        if self._deflate is None:
            # What this class calls the server's is what this end sends.
            mine, theirs = ("client", "server") if self.client else ("server", "client")
            self._deflate = Deflate(
                client_no_context_takeover=bool(options.get(f"{theirs}_no_context_takeover")),
                client_max_window_bits=options.get(f"{theirs}_max_window_bits") or 15,
                server_no_context_takeover=bool(options.get(f"{mine}_no_context_takeover")),
                server_max_window_bits=options.get(f"{mine}_max_window_bits") or 15,
            )
        self._deflate.limits = ReadLimits(self.max_frame_length, 0, 0)
        return self._deflate

    # Sending ---------------------------------------------------------------------------------------------

    def send(
        self,
        message: Any,
        masked: bool | None = None,
        continuation: bool = False,
        final: bool = True,
        control_code: int | None = None,
    ) -> None:
        """Send a message, str or bytes, or a part of one. Switches: when the peer reads slowly.

        `continuation`: not its first part; `final`: its last one. `control_code`: 9 a ping, 10 a pong, 8 a close.
        Raises ProtocolError for a control frame that may not be, OSError.
        """
        is_masked = self.client if masked is None else masked
        self._send(self._pack_message(message, is_masked, continuation, final, control_code))

    def _send(self, frame: bytes) -> None:
        self._send_bytes(frame)

    def _pack_message(
        self,
        message: Any,
        masked: bool = False,
        continuation: bool = False,
        final: bool = True,
        control_code: int | None = None,
    ) -> bytes:
        payload = message.encode() if isinstance(message, str) else bytes(message)
        opcode = 0 if continuation else _TEXT if isinstance(message, str) else _BINARY
        if control_code is not None:
            _check_control(control_code, payload, continuation or not final)
            opcode = control_code
        elif payload and final and not continuation and (deflate := self._deflater()) is not None:
            payload = deflate.compress(payload)
            opcode |= _RSV1
        length = len(payload)
        mask = 0x80 if masked else 0
        if length <= LONGEST_CONTROL:
            size = bytes((mask | length,))
        elif length < 1 << 16:
            size = bytes((mask | 126,)) + _short.pack(length)
        else:
            size = bytes((mask | 127,)) + _long.pack(length)
        head = bytes((opcode | (0x80 if final else 0),)) + size
        if not mask:
            return head + payload
        key = os.urandom(4)
        return head + key + unmask(payload, key)

    # The end ---------------------------------------------------------------------------------------------

    def _send_closing_frame(
        self, ignore_send_errors: bool = False, close_data: tuple[int, Any] | None = None
    ) -> None:
        if self.version not in (8, 13) or self.websocket_closed:
            return
        self.websocket_closed = True
        data = b""
        if close_data is not None:
            status, reason = close_data
            data = _short.pack(status) + (reason.encode() if isinstance(reason, str) else reason)
        try:
            self.send(data[:LONGEST_CONTROL], control_code=_CLOSE)
        except OSError:
            if not ignore_send_errors:
                raise

    def close(self, close_data: tuple[int, Any] | None = None) -> None:
        """Close it now, with (code, reason); to return from the handler does the same. Switches: as send()."""
        self._is_over = True
        self._send_closing_frame(True, close_data)
        self._close_socket(socket.SHUT_WR)


def _check_control(opcode: int, payload: bytes, is_part: bool) -> None:
    if opcode not in (_CLOSE, _PING, _PONG):
        raise ProtocolError(
            f"{opcode} is no control frame: 8 is a close, 9 a ping, 10 a pong (RFC 6455 §5.5)"
        )
    if is_part or len(payload) > LONGEST_CONTROL:
        raise ProtocolError("a control frame has one part and up to 125 bytes (RFC 6455 §5.5)")
