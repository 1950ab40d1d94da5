"""What a proxy sends first: PROXY headers, written as the specification shows them, not by the server's own code."""

from __future__ import annotations

import socket
import struct

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
LOCAL, PROXY = 0, 1
UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX_STREAM, UNIX_DGRAM = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32


def v1(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def v2(family: int, block: bytes, *tlvs: bytes, command: int = PROXY) -> bytes:
    rest = block + b"".join(tlvs)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest


def block(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    packed = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    return packed + struct.pack("!HH", source_port, destination_port)


def v2_tcp(
    source: str, destination: str, source_port: int, destination_port: int, *tlvs: bytes, crc: bool = False
) -> bytes:
    family = TCP6 if ":" in source else TCP4
    addresses = block(source, destination, source_port, destination_port)
    if not crc:
        return v2(family, addresses, *tlvs)
    raw = v2(family, addresses, *tlvs, tlv(0x03, bytes(4)))
    return raw[:-4] + castagnoli(raw).to_bytes(4, "big")


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def tls(client: int, verify: int, *tlvs: bytes) -> bytes:
    return tlv(0x20, struct.pack("!BI", client, verify) + b"".join(tlvs))


def castagnoli(data: bytes) -> int:
    """CRC-32C bit by bit, straight from its definition."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value ^ 0xFFFFFFFF
