"""The atoms of the access log: what one exchange looks like, and one function for each letter.

Apache's letters and gunicorn's mostly agree; where they don't (`a`, `f`, `p`, `q`), each spelling
keeps its own. Called by logs/formats.py, which builds a line out of them. Nothing here writes.

Invariant: whatever a client sends, an atom holds no control character, no bare quote and nothing
outside ASCII that came from it, so a client can't forge a line or a field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from greenserve.logs.times import local_time

__all__ = ["APACHE", "GUNICORN", "NAMED", "Atom", "Entry", "Exchange", "escape"]


class Exchange(Protocol):
    """What the log reads of a finished request; sizes in bytes of body."""

    @property
    def peer(self) -> str:
        """The client's address, empty on a unix socket."""

    @property
    def peer_port(self) -> int | str:
        """The client's port."""

    @property
    def method(self) -> str:
        """The method, empty where the request line could not be read."""

    @property
    def target(self) -> str:
        """The request target as received."""

    @property
    def version(self) -> str:
        """`HTTP/1.1`."""

    @property
    def status(self) -> int:
        """The status that was answered."""

    @property
    def bytes_sent(self) -> int:
        """Body bytes sent."""

    @property
    def bytes_received(self) -> int:
        """Body bytes received."""

    @property
    def messages(self) -> tuple[int, int] | None:
        """Of a WebSocket: how many came and went; None for a request."""

    @property
    def environ(self) -> dict[str, Any] | None:
        """The WSGI environ, None where there was none."""


class Entry:
    """A finished exchange and its times, which an atom reads."""

    __slots__ = ("began", "exchange", "seconds")

    def __init__(self, exchange: Exchange, began: float, seconds: float) -> None:
        """`began` as time.time(); it took `seconds`."""
        self.exchange = exchange
        self.began = began
        self.seconds = seconds


Atom = Callable[[Entry], object]

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_BARE = re.compile(r"[^!#-\[\]-~]")  # the space too: outside of quotes it ends a field


def escape(text: str) -> str:
    """Write what could break a line or a quoted field as \\", \\\\, \\xHH or \\uHHHH."""
    return _UNSAFE.sub(_escaped, text) if _UNSAFE.search(text) else text


def _escape_bare(text: str) -> str:
    return _UNSAFE_BARE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return "\\" + char
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _time(x: Entry) -> str:
    return local_time(x.began).apache


def _peer(x: Entry) -> str:
    return _escape_bare(x.exchange.peer) or "-"


def _user(x: Entry) -> str:
    user = x.exchange.environ.get("REMOTE_USER") if x.exchange.environ else None
    return _escape_bare(str(user)) if user else "-"


def _request_line(x: Entry) -> str:
    return (
        escape(f"{x.exchange.method} {x.exchange.target} {x.exchange.version}") if x.exchange.method else "-"
    )


def _method(x: Entry) -> str:
    return _escape_bare(x.exchange.method) or "-"


def _version(x: Entry) -> str:
    return _escape_bare(x.exchange.version) or "-"


def _path(x: Entry) -> str:
    return _escape_bare(x.exchange.target.partition("?")[0]) or "-"


def _query(x: Entry) -> str:
    return _escape_bare(x.exchange.target.partition("?")[2])


def _query_marked(x: Entry) -> str:
    query = _query(x)
    return "?" + query if query else ""


def _status(x: Entry) -> int:
    return x.exchange.status


def _bytes(x: Entry) -> int:
    return x.exchange.bytes_sent


def _bytes_or_dash(x: Entry) -> object:
    return x.exchange.bytes_sent or "-"


def _seconds(x: Entry) -> int:
    return int(x.seconds)


def _milliseconds(x: Entry) -> int:
    return int(x.seconds * 1e3)


def _microseconds(x: Entry) -> int:
    return int(x.seconds * 1e6)


def _seconds_decimal(x: Entry) -> str:
    return f"{x.seconds:.6f}"


def _dash(_: Entry) -> str:
    return "-"


def _pid(_: Entry) -> int:
    return os.getpid()  # asked each time: a log opened before a fork serves the child too


def _pid_marked(_: Entry) -> str:
    return f"<{os.getpid()}>"


def _variable(name: str) -> Atom:
    def read(x: Entry) -> str:
        value = x.exchange.environ.get(name) if x.exchange.environ else None
        return "-" if value is None else escape(value if isinstance(value, str) else str(value))

    return read


def _field(name: str) -> Atom:
    key = name.upper().replace("-", "_")
    return _variable(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")


def _unit(name: str) -> Atom | None:
    return {"s": _seconds, "ms": _milliseconds, "us": _microseconds}.get(name)


_SHARED: Mapping[str, Atom] = {
    "h": _peer,
    "l": _dash,
    "u": _user,
    "t": _time,
    "r": _request_line,
    "s": _status,
    "b": _bytes_or_dash,
    "B": _bytes,
    "m": _method,
    "U": _path,
    "H": _version,
    "T": _seconds,
    "D": _microseconds,
}
APACHE: Mapping[str, Atom] = {
    **_SHARED,
    "a": _peer,
    "q": _query_marked,
    "P": _pid,
    "p": _variable("SERVER_PORT"),
    "v": _variable("SERVER_NAME"),
}
GUNICORN: Mapping[str, Atom] = {
    **_SHARED,
    "q": _query,
    "f": _field("Referer"),
    "a": _field("User-Agent"),
    "M": _milliseconds,
    "L": _seconds_decimal,
    "p": _pid_marked,
}
NAMED: Mapping[str, Callable[[str], Atom | None]] = {"i": _field, "e": _variable, "T": _unit}
