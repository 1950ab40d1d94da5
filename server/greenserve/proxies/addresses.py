"""Addresses as proxies write them: text in, one canonical spelling out.

Knows IP addresses, no fields and no sockets. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2)
becomes the IPv4 address, since a list that names one of them means the other too.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

_LONGEST = 45  # characters: eight groups of IPv6, the last two written as IPv4
_NODE = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:]*))(?::(?P<port>.*))?", re.DOTALL)
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 or IPv6 address; None for any other text, such as one with a zone, a port, brackets or leading zeros."""
    if len(text) > _LONGEST or "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if address.version == 4 else address.ipv4_mapped or address


def is_port(text: str) -> bool:
    """Return True if `text` is a number from 0 to 65535 without leading zeros."""
    return _PORT.fullmatch(text) is not None and int(text) <= 65535


def parse_node(text: str, *, bare_v6: bool) -> tuple[str, str] | None:
    """(address, port) of `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`; the port is "" if there is none.

    None for any other text. `bare_v6`: an IPv6 address may have no brackets, and then no port.
    """
    if bare_v6 and text.count(":") > 1 and text[:1] != "[":
        address = parse_address(text)
        return (str(address), "") if address is not None else None
    match = _NODE.fullmatch(text)
    if match is None:
        return None
    inner = match["v6"]
    address = parse_address(match["v4"] if inner is None else inner)
    if address is None or (inner is None) != (":" not in (inner or "")):
        return None
    port = match["port"]
    if port is not None and not is_port(port):
        # RFC 7239 §6: a port may be obfuscated too; then it is unknown.
        if not re.fullmatch(r"_[A-Za-z0-9._-]+", port, re.ASCII):
            return None
        port = None
    return str(address), port or ""
