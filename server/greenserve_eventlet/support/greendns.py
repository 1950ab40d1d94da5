"""eventlet.support.greendns: the lookups, by the system's resolver in OS threads.

eventlet speaks DNS itself, with dnspython, because its lookups would block. greenserve's do not: they answer as every
program on the machine does (/etc/hosts, nsswitch, mDNS). So what is left here are the functions that programs call.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address

from greenserve_hub import dns
from greenserve_hub.patching.originals import green_modules

# The functions of eventlet.green.socket themselves: programs compare them.
_green = green_modules()["socket"]
getaddrinfo = _green.getaddrinfo
gethostbyname = _green.gethostbyname
gethostbyname_ex = _green.gethostbyname_ex
getnameinfo = _green.getnameinfo


def is_ipv4_addr(host: object) -> bool:
    """Return True for the text of an IPv4 address. Switches: never."""
    return _version_of(host) == 4


def is_ipv6_addr(host: object) -> bool:
    """Return True for the text of an IPv6 address, with or without a zone. Switches: never."""
    return _version_of(host) == 6


def is_ip_addr(host: object) -> bool:
    """Return True for the text of an IP address. Switches: never."""
    return _version_of(host) != 0


def _version_of(host: object) -> int:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(text, str):
        return 0
    try:
        return ip_address(text).version
    except ValueError:
        return 0


def resolve(name: str, family: int = socket.AF_INET, raises: bool = True) -> list[str]:
    """Return the addresses of a name. Switches: unless they are known. OSError if there are none, unless not `raises`.

    eventlet's returns dnspython's answer; the addresses are what its callers read there.
    """
    try:
        found = dns.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except OSError:
        if raises:
            raise
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def getaliases(hostname: str) -> list[str]:
    """Return the other names of a host. Switches: unless they are known."""
    return list(dns.gethostbyname_ex(hostname)[1])


__all__ = [
    "getaddrinfo",
    "getaliases",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "is_ip_addr",
    "is_ipv4_addr",
    "is_ipv6_addr",
    "resolve",
]
