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
from typing import NamedTuple

from greenserve.logs.record import REQUEST_ID, TRACE_ID, Record
from greenserve.logs.times import local_time

__all__ = [
    "APACHE",
    "GUNICORN",
    "NAMED",
    "PLAIN",
    "Atom",
    "Plain",
    "Variable",
    "dash",
    "escape",
    "escape_bare",
]


Atom = Callable[[Record], object]


class Plain(NamedTuple):
    """An atom as a line has it when nothing has to be escaped: Python, in the names of Record's fields."""

    text: str  # for an f-string in single quotes
    quoted: tuple[str, ...] = ()  # what of it a client has sent
    bare: tuple[str, ...] = ()  # the same, if a space would end the field
    only_if: str = "True"
    reads: str = "pass"  # a statement; `get` is that of environ


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


_status: Atom = attrgetter("status")
_bytes: Atom = attrgetter("bytes_sent")


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


class Variable:
    """The atom of one variable of environ."""

    def __init__(self, key: str) -> None:
        """`key` is its name in environ."""
        self.key = key

    def __call__(self, x: Record) -> str:
        """Return its value, escaped."""
        environ = x.environ
        value = environ.get(self.key) if environ else None
        return "-" if value is None else escape(value if isinstance(value, str) else str(value))


def _field(name: str) -> Atom:
    key = name.upper().replace("-", "_")
    return Variable(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")


def _note(name: str) -> Atom | None:
    key = {"request_id": REQUEST_ID, "trace_id": TRACE_ID}.get(name)
    return None if key is None else Variable(key)


def _unit(name: str) -> Atom | None:
    return {"s": _seconds, "ms": _milliseconds, "us": _microseconds}.get(name)


_SHARED: Mapping[str, Atom] = {
    "h": _peer,
    "l": dash,
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
    "p": Variable("SERVER_PORT"),
    "v": Variable("SERVER_NAME"),
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
NAMED: Mapping[str, Callable[[str], Atom | None]] = {"i": _field, "e": Variable, "n": _note, "T": _unit}
# Atoms that formats.py writes into one function with the line's text; all others are called.
PLAIN: Mapping[Atom, Plain] = {
    _peer: Plain('{peer or "-"}', bare=("peer",)),
    _user: Plain("{user}", bare=("user",), reads="user = get('REMOTE_USER') or '-'"),
    _time: Plain("{stamp}", reads="stamp = latest[1] if latest[0] == began else stamp_of(began)"),
    _request_line: Plain("{method} {target} {version}", ("method", "target", "version"), only_if="method"),
    _method: Plain('{method or "-"}', bare=("method",)),
    _version: Plain('{version or "-"}', bare=("version",)),
    _path: Plain('{target.partition("?")[0] or "-"}', bare=("target",)),
    _query: Plain('{target.partition("?")[2]}', bare=("target",)),
    _pid: Plain("{os.getpid()}"),
    _pid_marked: Plain("<{os.getpid()}>"),
    _status: Plain("{status}"),
    _bytes: Plain("{bytes_sent}"),
    _bytes_or_dash: Plain('{bytes_sent or "-"}'),
    _seconds: Plain("{int(seconds)}"),
    _milliseconds: Plain("{int(seconds * 1e3)}"),
    _microseconds: Plain("{int(seconds * 1e6)}"),
    _seconds_decimal: Plain("{seconds:.6f}"),
}
