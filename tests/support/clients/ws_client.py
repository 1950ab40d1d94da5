"""A WebSocket client that sends exactly the frames it is told to, and reads frames one by one.

A RawClient behind its handshake. It answers nothing by itself, neither a ping nor a close, and checks what every server
has to keep to: no mask (RFC 6455 §5.1), the shortest length (§5.2), control frames whole and short (§5.5).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.clients.raw import RawClient
from tests.support.servers.running import in_one_hub

from greenserve import Event, Server, WebSocket, WebSocketWSGI
from greenserve_hub.testing import FakeClock

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK: Final = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7


class Open:
    """A handler that keeps the WebSocket open until the test lets it go; the test talks for it."""

    def __init__(self) -> None:
        self.ws: WebSocket
        self.gate = Event()

    def __call__(self, ws: WebSocket) -> None:
        self.ws = ws
        self.gate.wait()


def handshake(path: str = "/", *fields: str) -> bytes:
    """The request that asks for a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """One frame as a client sends it; `rsv`: the three bits, 4 for RSV1; `mask` None: without, which is forbidden."""
    first = fin << 7 | rsv << 4 | opcode
    size = len(payload)
    masked = 0 if mask is None else 128
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def message(data: str | bytes) -> bytes:
    """A whole message in one frame."""
    return frame(TEXT, data.encode()) if isinstance(data, str) else frame(BINARY, data)


def closing(code: int | None = 1000, reason: str = "") -> bytes:
    """A Close; None: without a code."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


@dataclass
class Frame:
    """A frame as it came."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0


class WSClient(RawClient):
    """A WebSocket, open when it is made: `opened` is the 101 answer."""

    def __init__(
        self, address: Any, path: str = "/", *fields: str, ahead: bytes = b"", **connection: Any
    ) -> None:
        """`fields`: more of the request's; `ahead`: frames that go out with it, in one send; else as RawClient."""
        super().__init__(address, **connection)
        try:
            self.send(handshake(path, *fields) + ahead)
            self.opened = self.head()
            assert self.opened.status == 101, self.opened
            assert self.opened["sec-websocket-accept"] == ACCEPT
        except BaseException:
            self.close()
            raise

    def tell(self, *messages: str | bytes) -> None:
        """Send messages, each in a frame, in one send."""
        self.send(b"".join(map(message, messages)))

    def frame(self) -> Frame:
        """The next frame, checked as the RFC has it of servers."""
        first, second = self.take(2)
        assert not second & 128, "a server masks nothing (§5.1)"
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.take(2))
            assert size >= 126, "the shortest form of a length (§5.2)"
        elif size == 127:
            (size,) = struct.unpack("!Q", self.take(8))
            assert size >= 65536, "the shortest form of a length (§5.2)"
        opcode = first & 15
        if opcode >= CLOSE:
            assert first & 128, "control frames are whole (§5.5)"
            assert size < 126, "and short"
        return Frame(opcode, self.take(size), bool(first & 128), first >> 4 & 7)

    def message(self) -> str | bytes:
        """The next message, whose frames follow each other; fails for a control frame."""
        found = self.frame()
        assert found.opcode in (TEXT, BINARY), found
        is_text = found.opcode == TEXT
        pieces = [found.payload]
        while not found.fin:
            found = self.frame()
            assert found.opcode == CONTINUATION, found
            pieces.append(found.payload)
        data = b"".join(pieces)
        return data.decode() if is_text else data

    def close_frame(self) -> tuple[int | None, str]:
        """The next frame, a Close: its code, None without, and reason."""
        found = self.frame()
        assert found.opcode == CLOSE, found
        if not found.payload:
            return None, ""
        return struct.unpack("!H", found.payload[:2])[0], found.payload[2:].decode()

    def agree(self) -> tuple[int | None, str]:
        """Take the server's Close, answer it and see the connection end: its code and reason."""
        code, reason = self.close_frame()
        self.send(closing(code))
        assert self.rest() == b""
        return code, reason

    def leave(self, code: int | None = 1000) -> tuple[int | None, str]:
        """Close as a client does and see it end: the server's answer."""
        self.send(closing(code))
        answer = self.close_frame()
        assert self.rest() == b""
        return answer


@contextmanager
def one_websocket(
    handler: Callable[[Any], object], folder: Path, **settings: Any
) -> Iterator[tuple[Server, FakeClock, WSClient]]:
    """A server whose app is `handler`, and a client in its hub, on a clock that jumps; see in_one_hub()."""
    with (
        in_one_hub(WebSocketWSGI(handler), folder, **settings) as (server, clock),
        WSClient(server.address, green=True) as client,
    ):
        yield server, clock, client
