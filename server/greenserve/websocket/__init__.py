from __future__ import annotations
import base64, hashlib, struct
from dataclasses import dataclass
from typing import Any, NamedTuple
from greenserve.errors import ProtocolError

Message = str | bytes
CONTINUATION, TEXT, BINARY = 0, 1, 2


@dataclass(slots=True, frozen=True)
class Ping:
    payload: bytes


@dataclass(slots=True, frozen=True)
class Pong:
    payload: bytes


@dataclass(slots=True, frozen=True)
class Close:
    code: int
    reason: str


@dataclass(slots=True, frozen=True)
class Failure:
    code: int
    reason: str


Event = str | bytes | Ping | Pong | Close | Failure


class ReadLimits(NamedTuple):
    size: int
    frames: int
    ratio: int


class Deflate:
    server_max_window_bits = 15

    def forget(self): ...


class Compression: ...


class MessageReader:
    __slots__ = ("buf",)

    def __init__(self, limits, deflate=None):
        self.buf = b""

    def feed(self, data):
        self.buf = self.buf + data if self.buf else data
        return self.next()

    def next(self):
        b = self.buf
        if len(b) < 6:
            return None
        n = b[1] & 127
        at = 2
        if n == 126:
            if len(b) < 8:
                return None
            n = b[2] << 8 | b[3]
            at = 4
        elif n == 127:
            if len(b) < 14:
                return None
            n = int.from_bytes(b[2:10])
            at = 10
        if not b[1] & 128:
            return Failure(1002, "unmasked")
        if len(b) < at + 4 + n:
            return None
        k = b[at : at + 4]
        p = b[at + 4 : at + 4 + n]
        self.buf = b[at + 4 + n :]
        if n:
            p = (int.from_bytes(p) ^ int.from_bytes((k * ((n + 3) // 4))[:n])).to_bytes(n)
        op = b[0] & 15
        if op == 1:
            return p.decode()
        if op == 2:
            return p
        if op == 9:
            return Ping(p)
        if op == 10:
            return Pong(p)
        if op == 8:
            return Close(p[0] << 8 | p[1], p[2:].decode()) if p else Close(1005, "")
        return Failure(1002, "?")


def _frame(b0, p):
    n = len(p)
    if n < 126:
        return bytes((b0, n)) + p
    if n < 65536:
        return struct.pack("!BBH", b0, 126, n) + p
    return struct.pack("!BBQ", b0, 127, n) + p


def encode_message(m, deflate=None):
    if type(m) is str:
        return _frame(0x81, m.encode())
    return _frame(0x82, m)


def encode_shared(m, bits):
    return encode_message(m)


def encode_fragment(p, op, fin, rsv1=False):
    return _frame(op | (0x80 if fin else 0), p)


def encode_ping(p):
    return _frame(0x89, p)


def encode_pong(p):
    return _frame(0x8A, p)


def encode_close(code, reason):
    return _frame(0x88, b"" if code is None or code == 1005 else struct.pack("!H", code) + reason.encode())


@dataclass
class Handshake:
    subprotocol: Any
    deflate: Any
    head: bytes


class HandshakeError(ProtocolError):
    def __call__(self, environ, start_response):
        start_response(f"{self.status} No", [("Content-Type", "text/plain"), *self.headers])
        return [self.reason.encode()]


def is_upgrade(environ):
    return environ.get("HTTP_UPGRADE", "").lower() == "websocket"


def shake_hands(environ, *, subprotocols=(), origins="same", compression=None, headers=()):
    key = environ["HTTP_SEC_WEBSOCKET_KEY"]
    acc = base64.b64encode(
        hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    ).decode()
    return Handshake(
        None,
        None,
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {acc}\r\n\r\n".encode(),
    )
