"""WebSocket bytes made by hand (RFC 6455 §1.3, §5.2), for a client that must cost less than any server.

Frames that are whole, final and uncompressed: nothing else is sent, and nothing else is understood. No extension is
offered, so no server compresses.
"""

import base64
import hashlib

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())


def upgrade(path):
    """The request that asks for a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: bench",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def accepted(data):
    """What follows the 101 answer to `upgrade`, or None while it is not whole; ValueError if it is another answer."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT not in head or b"sec-websocket-ext" in head.lower():
        raise ValueError(f"answered {bytes(head[:60])!r}")
    return rest


def length_field(opcode, length, mask_bit):
    first = bytes([0x80 | opcode])
    if length < 126:
        return first + bytes([mask_bit | length])
    if length < 65536:
        return first + bytes([mask_bit | 126]) + length.to_bytes(2, "big")
    return first + bytes([mask_bit | 127]) + length.to_bytes(8, "big")


def masked(opcode, payload, mask):
    """A client's frame; `mask`: four bytes."""
    count = len(payload)
    repeated = int.from_bytes((mask * (count // 4 + 1))[:count], "big")
    hidden = (int.from_bytes(payload, "big") ^ repeated).to_bytes(count, "big")
    return length_field(opcode, count, 0x80) + mask + hidden


def unmasked(opcode, payload):
    """A server's frame."""
    return length_field(opcode, len(payload), 0) + payload


def first(data):
    """(opcode, payload, length of the frame) of a server's frame, None while it is not whole; ValueError if no such."""
    if len(data) < 2:
        return None
    if not data[0] & 0x80 or data[0] & 0x70 or data[1] & 0x80:
        raise ValueError(f"a frame begins with {bytes(data[:2])!r}")
    begin, length = 2, data[1]
    if length >= 126:
        begin = 4 if length == 126 else 10
        length = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + length:
        return None
    return data[0] & 0x0F, bytes(data[begin : begin + length]), begin + length
