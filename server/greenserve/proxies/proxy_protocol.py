"""The PROXY protocol, versions 1 and 2: the header in which a TCP proxy names its client, before all other bytes.

Sans-IO. § is that of https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. net/ feeds it the first bytes of a
connection; the bytes behind the header are returned unchanged: they are TLS or HTTP.

Invariant: the caller says that there must be a header, and of which version. It is never guessed from the bytes (§5):
any client could write one. At most 107 bytes (v1) or 4 KiB (v2) are kept for one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from greenserve.errors import ProtocolError
from greenserve.proxies.addresses import is_port, parse_address
from greenserve.proxies.crc32c import crc32c
from greenserve.proxies.tlvs import Details, ProxiedTLS, parse_tlvs

V1: Final = "v1"
V2: Final = "v2"
_BEGIN_1: Final = b"PROXY "
_BEGIN_2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LONGEST_1: Final = 107  # bytes with CRLF (§2.1)
# Bytes behind the first 16. The specification asks for less than a TCP segment. Some load balancers send a client's
# certificate in TLVs, which needs more. No header needs the 64 KiB that the length field allows.
_LONGEST_2: Final = 4096
_FIXED: Final = 16  # bytes that every header of version 2 has
_LOCAL, _PROXY = 0x20, 0x21
_IPV4, _IPV6, _UNIX = 1, 2, 3
_ADDRESS_SIZE: Final = {_IPV4: 4, _IPV6: 16, _UNIX: 108}
_NO_DETAILS: Final = Details()


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """The content of a header. `source` and `destination` are (address, port), None if the proxy does not tell them."""

    version: int
    local: bool = False  # the proxy's own connection, such as a health check (§2.2)
    source: tuple[str, str] | None = None
    destination: tuple[str, str] | None = None
    details: Details = _NO_DETAILS

    @property
    def tls(self) -> ProxiedTLS | None:
        """The client's TLS, as the proxy reports it."""
        return self.details.tls


class ProxyReader:
    """Reads one header, which may arrive in pieces."""

    __slots__ = ("_begins", "_raw", "header")

    def __init__(self, versions: str) -> None:
        """`versions`: v1, v2, or auto for both."""
        self._begins = [
            begin for version, begin in ((V1, _BEGIN_1), (V2, _BEGIN_2)) if versions in (version, "auto")
        ]
        self._raw = b""
        self.header: ProxyHeader | None = None

    @property
    def begun(self) -> bool:
        """Return True if any byte has come."""
        return bool(self._raw)

    def feed(self, data: bytes) -> bytes | None:
        """Take received bytes. Return the bytes behind the header, with `header` set, or None if more are needed.

        Raises ProtocolError; the connection can't be used any more then.
        """
        raw = self._raw + data
        begin = next((one for one in self._begins if raw[: len(one)] == one[: len(raw)]), None)
        if begin is None:
            raise _unlike(raw, self._begins)
        end = _end_1(raw) if begin is _BEGIN_1 else _end_2(raw)
        if not end:
            self._raw = raw
            return None
        self.header = _parse_1(raw[: end - 2]) if begin is _BEGIN_1 else _parse_2(raw[:end])
        self._raw = raw[:end]
        return raw[end:]


def _unlike(raw: bytes, begins: list[bytes]) -> ProtocolError:
    if raw[:2] == b"\x16\x03":
        what = "a TLS handshake"
    elif any(raw.startswith(begin[: len(raw)]) for begin in (_BEGIN_1, _BEGIN_2)):
        what = "a PROXY header of the version that --proxy-protocol leaves out"
    elif raw[:16].isascii() and raw[:16].split(b" ")[0].isalpha():
        what = "plain HTTP"
    else:
        what = "something else"
    wanted = " or ".join(V1 if begin is _BEGIN_1 else V2 for begin in begins)
    return _error(f"{what} where a PROXY header ({wanted}) must be (§2)")


# Version 1 (§2.1) -----------------------------------------------------------------------------------------


def _end_1(raw: bytes) -> int:
    """The position behind the line, 0 if it has not ended yet."""
    line = raw[:_LONGEST_1]
    end = line.find(b"\r\n") + 2
    stop = end - 2 if end > 1 else len(line)
    # A CR may be the last byte so far: its LF is on the way.
    if b"\n" in line[:stop] or b"\r" in line[: min(stop, len(line) - 1)]:
        raise _error("the line must end in CRLF (§2.1)")
    if end > 1:
        return end
    if len(raw) >= _LONGEST_1:
        raise _error(f"no CRLF in the first {_LONGEST_1} bytes (§2.1)")
    return 0


def _parse_1(raw: bytes) -> ProxyHeader:
    words = raw.decode("latin-1").split(" ")[1:]
    family = words[0]
    if family == "UNKNOWN":
        return ProxyHeader(1)  # the rest of the line means nothing
    if family not in ("TCP4", "TCP6"):
        raise _error("the family must be TCP4, TCP6 or UNKNOWN (§2.1)")
    if len(words) != 5:
        raise _error(f"{family} needs two addresses and two ports, with one space between (§2.1)")
    _, source, destination, source_port, destination_port = words
    if not (is_port(source_port) and is_port(destination_port)):
        raise _error("a port is a number from 0 to 65535 without leading zeros (§2.1)")
    return ProxyHeader(
        1,
        source=(_address_1(source, family), source_port),
        destination=(_address_1(destination, family), destination_port),
    )


def _address_1(text: str, family: str) -> str:
    address = parse_address(text) if (":" in text) == (family == "TCP6") else None
    if address is None:
        raise _error(f"not an address of {family} (§2.1)")
    return str(address)


# Version 2 (§2.2) -----------------------------------------------------------------------------------------


def _end_2(raw: bytes) -> int:
    """The position behind the header, 0 if it has not ended yet. Its first bytes are checked as they come."""
    if len(raw) > 12 and raw[12] not in (_LOCAL, _PROXY):
        version, command = raw[12] >> 4, raw[12] & 15
        raise _error(f"version {version}, command {command} are not of version 2 (§2.2)")
    if len(raw) > 13 and raw[12] == _PROXY and (raw[13] >> 4 > 3 or raw[13] & 15 > 2):
        raise _error(f"family and protocol {raw[13]:#04x} are unknown (§2.2)")
    if len(raw) < _FIXED:
        return 0
    length = int.from_bytes(raw[14:16], "big")
    if length > _LONGEST_2:
        raise _error(f"longer than {_LONGEST_2} bytes")
    end = _FIXED + length
    return end if len(raw) >= end else 0


def _parse_2(raw: bytes) -> ProxyHeader:
    if raw[12] == _LOCAL:
        return ProxyHeader(2, local=True)  # the block is to be discarded (§2.2)
    family, protocol = raw[13] >> 4, raw[13] & 15
    if not family or not protocol:
        return ProxyHeader(2)  # addresses mean nothing here, and their length is unknown
    size = _ADDRESS_SIZE[family]
    tlvs_at = _FIXED + 2 * size + (4 if family != _UNIX else 0)
    if len(raw) < tlvs_at:
        raise _error("shorter than its addresses (§2.2)")
    details = parse_tlvs(raw[tlvs_at:])
    if details.checksum_at >= 0:
        _check_sum(raw, tlvs_at + details.checksum_at)
    if family == _UNIX:
        return ProxyHeader(2, details=details)  # a path on another machine is not an address here
    middle = _FIXED + size
    ports = tlvs_at - 4
    return ProxyHeader(
        2,
        False,
        (_address_2(raw[_FIXED:middle]), str(int.from_bytes(raw[ports : ports + 2], "big"))),
        (_address_2(raw[middle:ports]), str(int.from_bytes(raw[ports + 2 : ports + 4], "big"))),
        details,
    )


def _address_2(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    return str(address if address.version == 4 else address.ipv4_mapped or address)


def _check_sum(raw: bytes, at: int) -> None:
    if int.from_bytes(raw[at : at + 4], "big") != crc32c(raw[:at] + bytes(4) + raw[at + 4 :]):
        raise _error("its CRC32C is wrong (§2.2.3)")


def _error(reason: str) -> ProtocolError:
    return ProtocolError(400, f"PROXY header: {reason}")
