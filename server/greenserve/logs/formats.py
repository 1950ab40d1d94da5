"""The formats of the access log: `timed`, `combined`, `json` and Apache's atoms, each compiled once.

`compile_format` turns a format into one function from a finished exchange to a line. It reads both spellings of atoms:
Apache's (`%h`, `%{Referer}i`) and gunicorn's (`%(h)s`, `%({referer}i)s`). Called by the configuration, to check the
setting, and by access_log.py. It opens and writes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from greenserve.logs.atoms import APACHE, GUNICORN, NAMED, PLAIN, Atom, Plain, Variable, dash, escape
from greenserve.logs.record import REQUEST_ID, TRACE_ID, Record
from greenserve.logs.times import local_time, rfc3339

__all__ = ["Format", "Line", "compile_format", "compile_line"]

Line = Callable[..., str]  # makes a line, without its newline, of the fields of a Record
Format = Callable[[Record], str]

_COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'


def compile_format(text: str) -> Format:
    """Return the function that makes a line of a Record, without its newline. Raises ValueError for a bad format."""
    line = compile_line(text)
    return lambda x: line(*x)


def compile_line(text: str) -> Line:
    """The same for the fields of a Record, as Finished.tell() gives them."""
    if text == "json":
        return _json
    parts = _parts(_COMBINED if text in ("timed", "combined") else text)
    if text == "timed":
        parts.append(_end_of_timed)
    elif text == "combined":
        parts.append(_end_of_combined)
    return _compile(parts)


def _parts(text: str) -> list[str | Atom]:
    """Take a format apart into its text and its atoms."""
    if "%" not in text:
        raise ValueError("no atom in it")
    parts: list[str | Atom] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(_literal(text[end : match.start()]))
        end = match.end()
        if match[0] == "%%":
            parts.append("%")
        elif (atom := _atom(match)) is dash:
            parts.append("-")
        else:
            parts.append(atom)
    parts.append(_literal(text[end:]))
    return parts


def _compile(parts: list[str | Atom]) -> Line:
    """Write one function for a line, whose fields it makes together.

    Facts: a call for each field costs more than the field, and nearly no line has anything to escape. Decision: all
    that clients have sent is looked at in one go, and if it can stand as it is, one f-string has it. Any other line, or
    one with a value that is no str, is made atom by atom.
    """

    def by_atoms(*fields: Any) -> str:
        x = Record(*fields)
        return "".join([part if isinstance(part, str) else str(part(x)) for part in parts])

    latest: list[Any] = [None, ""]  # a moment, and its stamp: most lines of a turn share it

    def stamp_of(moment: float) -> str:
        latest[:] = moment, local_time(moment).apache
        return cast(str, latest[1])

    names: dict[str, Any] = {
        "by_atoms": by_atoms,
        "stamp_of": stamp_of,
        "latest": latest,
        "join": "".join,
        "Record": Record,
        "os": os,
        "MILLI": _MILLI,
        "SAFE": _SAFE,
        "NOTHING": {},
    }
    line: list[str] = []
    plains: list[Plain] = []
    for number, part in enumerate(parts):
        if isinstance(part, str):
            line.append(repr(part))
            continue
        if isinstance(part, Variable):
            name = f"value{number}"
            plain = Plain(f"{{{name}}}", (name,), reads=f"{name} = get({part.key!r}, '-')")
        else:
            names[f"atom{number}"] = part
            plain = _PLAIN.get(part) or Plain(f"{{atom{number}(x)}}", reads=f"x = Record({_FIELDS})")
        line.append(f"f'{plain.text}'")
        plains.append(plain)
    bare = dict.fromkeys(name for plain in plains for name in plain.bare)
    sent = dict.fromkeys([*(name for plain in plains for name in plain.quoted), *bare])
    conditions = dict.fromkeys(
        ["True", *(plain.only_if for plain in plains), *(f"' ' not in {name}" for name in bare)]
    )
    source = _SOURCE.format(
        fields=_FIELDS,
        reads="; ".join(dict.fromkeys(plain.reads for plain in plains)),
        sent="".join(f"{name}, " for name in sent),
        only_if=" and ".join(conditions),
        line=" ".join(line),
    )
    exec(source, names)  # of the texts above, and of literals and keys as repr() has them
    return cast(Line, names["write"])


# Maps each byte that escape() leaves alone to itself, and no other: such a look costs a third of isprintable().
_SAFE = bytes(byte if chr(byte) == escape(chr(byte)) else 0 if byte else 1 for byte in range(256))
_MILLI = [f"{number / 1000:.3f}" for number in range(1000)]
_FIELDS = ", ".join(Record._fields)
_SOURCE = """
def write({fields}):
    get = (environ or NOTHING).get
    {reads}
    try:
        sent = join(({sent}))
        if sent.isascii() and (data := sent.encode()).translate(SAFE) == data and {only_if}:
            return {line}
    except TypeError:
        pass
    return by_atoms({fields})
"""


def _end_of_combined(x: Record) -> str:
    """Return what follows the fields of `combined`: messages and bytes of an upgraded connection have no atoms."""
    return f" {x.seconds:.3f}s{_counts(x)}" if x.status == 101 else ""


def _end_of_timed(x: Record) -> str:
    """Return what `timed` has more than _COMBINED: the seconds and the request's id."""
    known = x.environ.get(REQUEST_ID) if x.environ else None
    return (
        f" {x.seconds:.3f}s"
        + (_counts(x) if x.status == 101 else "")
        + ("" if known is None else f" {escape(str(known))}")
    )


def _counts(x: Record) -> str:
    received, sent = ("", "") if x.messages is None else (f"{count}/" for count in x.messages)
    return f" received={received}{x.bytes_received}B sent={sent}{x.bytes_sent}B"


_PLAIN: Mapping[Atom, Plain] = {
    **PLAIN,
    _end_of_combined: Plain("", only_if="status != 101"),
    _end_of_timed: Plain(
        ' {took}s{" " + known if known else ""}',
        ("known",),
        only_if=f"status != 101 and (known or {REQUEST_ID!r} not in environ)",
        # A text from the table costs a third of "%.3f"; that knows how a time between two thousandths is rounded.
        reads=(
            f"known = get({REQUEST_ID!r}, ''); took = seconds * 1000 + 0.5; "
            "took = MILLI[int(took)] if took < 1000 and 0.001 < took % 1 < 0.999 else '%.3f' % seconds"
        ),
    ),
}


_TOKEN = re.compile(
    r"""%%
    | % \( (?: \{ (?P<g_name>[^{}()]+) \} )? (?P<g>[A-Za-z]) \) s      # gunicorn: %(h)s  %({referer}i)s
    | % [<>]? (?: \{ (?P<a_name>[^{}()]+) \} )? (?P<a>[A-Za-z])          # Apache: %h  %>s  %{Referer}i
    """,
    re.VERBOSE,
)


def _literal(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{text[text.index('%') :][:20]!r} is not an atom; a plain % is written %%")
    if not text.isprintable() and any(c != "\t" and not c.isprintable() for c in text):
        raise ValueError("a line can't hold control characters")
    return text


def _atom(match: re.Match[str]) -> Atom:
    gunicorn = match["g"] is not None
    letter, name = (match["g"], match["g_name"]) if gunicorn else (match["a"], match["a_name"])
    if name is not None:
        make = NAMED.get(letter)
        atom = make(name) if make else None
    else:
        atom = (GUNICORN if gunicorn else APACHE).get(letter)
    if atom is None:
        letters = "".join(sorted(GUNICORN if gunicorn else APACHE))
        raise ValueError(
            f"{match[0]} is not known: the letters are {letters}, and {{Field}}i, {{VARIABLE}}e, {{s|ms|us}}T, "
            "{request_id|trace_id}n"
        )
    return atom


_IDS = (("request_id", REQUEST_ID), ("trace_id", TRACE_ID))
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


_quote = json.encoder.encode_basestring_ascii  # of the encoder; in C


def _json(*fields: Any) -> str:
    """Return a line of `json`: of strings, which nearly all are, in a third of the encoder's time."""
    peer, port, method, target, version, status, sent, received, began, seconds, messages, environ = fields
    if messages is not None or not environ:
        return _encode(_facts(Record(*fields)))
    get = environ.get
    user, host = get("REMOTE_USER"), get("HTTP_HOST")
    referer, agent = get("HTTP_REFERER"), get("HTTP_USER_AGENT")
    try:
        line = (
            f'{{"time":"{rfc3339(began)}","peer":{_quote(peer)},"peer_port":{_quote(port)},"user":'
            f'{"null" if user is None else _quote(user)},"method":{_quote(method)},"target":{_quote(target)},"version":'
            f'{_quote(version)},"status":{status},"bytes_sent":{sent},"bytes_received":{received},"seconds":'
            f'{round(seconds, 6)!r},"host":{"null" if host is None else _quote(host)},"referer":'
            f'{"null" if referer is None else _quote(referer)},"user_agent":'
            f'{"null" if agent is None else _quote(agent)},"pid":{os.getpid()}'
        )
        for name, key in _IDS:
            if key in environ:
                line += f',"{name}":{_quote(environ[key])}'
    except TypeError:  # a value is no str
        return _encode(_facts(Record(*fields)))
    return line + "}"


def _facts(x: Record) -> dict[str, Any]:
    environ = x.environ or {}
    user = environ.get("REMOTE_USER")
    messages = x.messages
    return {
        "time": rfc3339(x.began),
        "peer": x.peer,
        "peer_port": x.peer_port,
        "user": None if user is None else str(user),
        "method": x.method,
        "target": x.target,
        "version": x.version,
        "status": x.status,
        "bytes_sent": x.bytes_sent,
        "bytes_received": x.bytes_received,
        "seconds": round(x.seconds, 6),
        **({} if messages is None else {"messages_received": messages[0], "messages_sent": messages[1]}),
        "host": environ.get("HTTP_HOST"),
        "referer": environ.get("HTTP_REFERER"),
        "user_agent": environ.get("HTTP_USER_AGENT"),
        "pid": os.getpid(),
        **{name: environ[key] for name, key in _IDS if key in environ},
    }
