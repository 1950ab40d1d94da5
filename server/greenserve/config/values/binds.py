"""The addresses of `--bind`: `HOST:PORT`, `[::1]:PORT`, `:PORT`, `unix:PATH`, `fd://N`.

Works on text: nothing is resolved or opened here, so `--check-config` can check an address that only another machine
has. Called by kinds.py, settings.py and the listeners.

Invariant: parse_bind(str(address)) == address.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["BindAddress", "parse_bind"]

# sun_path has 108 bytes on Linux, with its NUL, and 104 on macOS and BSD. The lower limit would refuse paths that work
# on Linux; bind() itself refuses longer ones on macOS and BSD.
LONGEST_PATH = 107

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?", re.ASCII)
_DOTTED = re.compile(r"[0-9.]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class BindAddress:
    """One address to listen on; `str()` returns its canonical form."""

    kind: Literal["tcp", "unix", "fd"]
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1

    def __str__(self) -> str:
        """Return the form that `--bind` takes."""
        if self.kind == "unix":
            return f"unix:{self.path}"
        if self.kind == "fd":
            return f"fd://{self.fd}"
        return f"[{self.host}]:{self.port}" if self.ipv6 else f"{self.host}:{self.port}"

    @property
    def ipv6(self) -> bool:
        """True if the host is an IPv6 literal (a name may still resolve to one)."""
        return ":" in self.host

    @property
    def abstract(self) -> bool:
        """True for a unix socket without a file (Linux), written `unix:@NAME`."""
        return self.kind == "unix" and self.path.startswith("@")

    @property
    def is_local(self) -> bool:
        """True if only this machine can connect, by the text alone; a descriptor's socket may differ."""
        if self.kind != "tcp" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name

    @property
    def sockaddr(self) -> tuple[str, int] | str:
        """The argument of `socket.bind`: (host, port), or a path ("\\0name" for an abstract socket)."""
        if self.kind == "unix":
            return "\0" + self.path[1:] if self.abstract else self.path
        return (self.host, self.port)


def parse_bind(text: str) -> BindAddress:
    """Parse one address. Raises ValueError with the reason."""
    text = text.strip()
    if text.startswith("unix:"):
        return _parse_unix(text[5:])
    if text.startswith("fd://"):
        number = text[5:]
        if not re.fullmatch(r"[0-9]{1,7}", number, re.ASCII):
            raise ValueError("fd:// needs the number of an open descriptor")
        return BindAddress("fd", fd=int(number))
    return _parse_tcp(text)


def _parse_unix(path: str) -> BindAddress:
    if path.startswith("///"):  # unix:///run/app.sock, as URLs write it
        path = path[2:]
    if path in ("", "@"):
        raise ValueError("unix: needs a path")
    if "\0" in path:
        raise ValueError("a path can't hold a NUL")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(f"a unix socket's path has at most {LONGEST_PATH} bytes")
    return BindAddress("unix", path=path)


def _parse_tcp(text: str) -> BindAddress:
    if "://" in text:
        raise ValueError("this is a URL, not an address")
    if not text or ":" not in text:
        hint = (
            f"did you mean 127.0.0.1:{text}?" if re.fullmatch(r"[0-9]{1,5}", text) else "the port is missing"
        )
        raise ValueError(hint)
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            host = str(ipaddress.IPv6Address(host))  # one spelling, so that duplicates are found
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv6 address") from None
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets and a port: [::1]:8000")
    elif host in ("", "*"):
        host = "0.0.0.0"  # every IPv4 address, as gunicorn reads `:PORT`
    elif _DOTTED.fullmatch(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv4 address") from None
    elif not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is not a host name")
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError("a port is a number from 0 to 65535")
    return BindAddress("tcp", host=host, port=int(port))
