"""The TLVs (type, length, value) of a PROXY header of version 2, behind the addresses (PROXY protocol §2.2).

Bytes in, Details out. Called by proxy_protocol.py, which limits the bytes. Unknown types are skipped, as the
specification allows. A TLV that is cut off, or repeated though it may come only once, is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from greenserve.errors import ProtocolError

_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x03, 0x05, 0x20
_ONCE: Final = frozenset({_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL})
_SSL_VERSION, _SSL_CN, _SSL_CIPHER = 0x21, 0x22, 0x23
_SSL_ONCE: Final = frozenset({_SSL_VERSION, _SSL_CN, _SSL_CIPHER})
_LONGEST_ID: Final = 128  # bytes (§2.2.5)
_CLIENT_SSL, _CERT_CONN, _CERT_SESS = 0x01, 0x02, 0x04


@dataclass(frozen=True, slots=True)
class ProxiedTLS:
    """The TLS connection that the proxy has terminated (§2.2.6)."""

    used: bool  # the client used TLS
    verified: bool  # it showed a certificate, and the proxy has verified it
    version: str  # such as "TLSv1.3"; "" if it is not told, as the next two
    common_name: str  # of the certificate; a proof only if `verified` is set
    cipher: str


@dataclass(frozen=True, slots=True)
class Details:
    """The content of all known TLVs; empty values for those that are missing."""

    alpn: bytes = b""
    authority: str = ""
    unique_id: bytes = b""
    tls: ProxiedTLS | None = None
    checksum_at: int = -1  # the position of the CRC32C in the TLVs, -1 if there is none


def parse_tlvs(data: bytes) -> Details:
    """Read the TLVs behind the addresses. Raises ProtocolError."""
    values: dict[int, bytes] = {}
    checksum_at = -1
    for kind, at, value in _each(data, _ONCE):
        values[kind] = value
        if kind == _CRC32C:
            checksum_at = at
            if len(value) != 4:
                raise _error("a CRC32C has 4 bytes (§2.2.3)")
    if len(values.get(_UNIQUE_ID, b"")) > _LONGEST_ID:
        raise _error(f"a unique ID has at most {_LONGEST_ID} bytes (§2.2.5)")
    return Details(
        values.get(_ALPN, b""),
        _text(values.get(_AUTHORITY, b""), "the authority"),
        values.get(_UNIQUE_ID, b""),
        _parse_tls(values[_SSL]) if _SSL in values else None,
        checksum_at,
    )


def _parse_tls(data: bytes) -> ProxiedTLS:
    if len(data) < 5:
        raise _error("cut off inside PP2_TYPE_SSL (§2.2.6)")
    flags, verify = data[0], int.from_bytes(data[1:5], "big")
    values = {kind: value for kind, _, value in _each(data[5:], _SSL_ONCE)}
    return ProxiedTLS(
        bool(flags & _CLIENT_SSL),
        bool(flags & (_CERT_CONN | _CERT_SESS)) and verify == 0,
        _text(values.get(_SSL_VERSION, b""), "the TLS version"),
        _text(values.get(_SSL_CN, b""), "the common name"),
        _text(values.get(_SSL_CIPHER, b""), "the cipher"),
    )


def _each(data: bytes, once: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
    """(type, position of the value, value) of each TLV."""
    seen: set[int] = set()
    at = 0
    while at < len(data):
        value_at = at + 3
        kind, end = data[at], value_at + int.from_bytes(data[at + 1 : value_at], "big")
        if value_at > len(data) or end > len(data):
            raise _error("a TLV is longer than the header (§2.2)")
        if kind in seen and kind in once:
            raise _error(f"TLV {kind:#04x} is repeated")
        seen.add(kind)
        yield kind, value_at, data[value_at:end]
        at = end


def _text(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _error(f"{what} is not UTF-8") from None
    if not text.isprintable():
        raise _error(f"{what} holds a control character")
    return text


def _error(reason: str) -> ProtocolError:
    return ProtocolError(400, f"PROXY header: {reason}")
