"""The atoms of the access log: one function for each letter of a format.

Most of Apache's and gunicorn's letters agree; each spelling keeps its own meaning of those that don't (`a`, `f`, `p`,
`q`). Called by formats.py, which builds a line of them. Nothing here writes.

Invariant: an atom made of a client's data holds no control character, no bare quote and nothing outside ASCII, so a
client can't forge a line or a field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from operator import attrgetter

from greenserve.logs.record import REQUEST_ID, TRACE_ID, Record
from greenserve.logs.times import local_time

__all__ = ["APACHE", "GUNICORN", "NAMED", "Atom", "dash", "escape", "escape_bare"]


Atom = Callable[[Record], object]

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_BARE = re.compile(r"[^!#-\[\]-~]")  # the space too: outside quotes it ends a field


def escape(text: str) -> str:
    """Escape the characters that could break a line or a quoted field, as \\", \\\\, \\xHH or \\uHHHH."""
    # Four looks in C are cheaper than one search with the pattern.
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return _UNSAFE.sub(_escaped, text)


def escape_bare(text: str) -> str:
    """The same for a field without quotes, in which a space would end it."""
    return _UNSAFE_BARE.sub(_escaped, text) if _UNSAFE_BARE.search(text) else text


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return "\\" + char
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _time(x: Record) -> str:
    return local_time(x.began).apache


def _peer(x: Record) -> str:
    return escape_bare(x.peer) or "-"


def _user(x: Record) -> str:
    environ = x.environ
    user = environ.get("REMOTE_USER") if environ else None
    return escape_bare(str(user)) if user else "-"


def _request_line(x: Record) -> str:
    return escape(f"{x.method} {x.target} {x.version}") if x.method else "-"


def _method(x: Record) -> str:
    return escape_bare(x.method) or "-"


def _version(x: Record) -> str:
    return escape_bare(x.version) or "-"


def _path(x: Record) -> str:
    return escape_bare(x.target.partition("?")[0]) or "-"


def _query(x: Record) -> str:
    return escape_bare(x.target.partition("?")[2])


def _query_marked(x: Record) -> str:
    query = _query(x)
    return "?" + query if query else ""


def _bytes_or_dash(x: Record) -> object:
    return x.bytes_sent or "-"


def _seconds(x: Record) -> int:
    return int(x.seconds)


def _milliseconds(x: Record) -> int:
    return int(x.seconds * 1e3)


def _microseconds(x: Record) -> int:
    return int(x.seconds * 1e6)


def _seconds_decimal(x: Record) -> str:
    return f"{x.seconds:.6f}"


def dash(_: Record) -> str:
    """Return "-", for the client's name by RFC 1413, which nothing asks for. A format holds it as text."""
    return "-"


def _pid(_: Record) -> int:
    return os.getpid()  # not cached: a log opened before a fork serves the child too


def _pid_marked(_: Record) -> str:
    return f"<{os.getpid()}>"


def _variable(name: str) -> Atom:
    def read(x: Record) -> str:
        environ = x.environ
        value = environ.get(name) if environ else None
        return "-" if value is None else escape(value if isinstance(value, str) else str(value))

    return read


def _field(name: str) -> Atom:
    key = name.upper().replace("-", "_")
    return _variable(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")


def _note(name: str) -> Atom | None:
    key = {"request_id": REQUEST_ID, "trace_id": TRACE_ID}.get(name)
    return None if key is None else _variable(key)


def _unit(name: str) -> Atom | None:
    return {"s": _seconds, "ms": _milliseconds, "us": _microseconds}.get(name)


_SHARED: Mapping[str, Atom] = {
    "h": _peer,
    "l": dash,
    "u": _user,
    "t": _time,
    "r": _request_line,
    "s": attrgetter("status"),
    "b": _bytes_or_dash,
    "B": attrgetter("bytes_sent"),
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
NAMED: Mapping[str, Callable[[str], Atom | None]] = {"i": _field, "e": _variable, "n": _note, "T": _unit}
