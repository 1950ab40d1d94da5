"""The formats of the access log: `timed`, `combined`, `json` and Apache's atoms, each compiled once.

`compile_format` turns a format into one function from a finished exchange to a line. It reads both spellings of atoms:
Apache's (`%h`, `%{Referer}i`) and gunicorn's (`%(h)s`, `%({referer}i)s`). Called by the configuration, to check the
setting, and by access_log.py. It opens and writes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from greenserve.logs.atoms import APACHE, GUNICORN, NAMED, Atom, dash, escape, escape_bare
from greenserve.logs.record import REQUEST_ID, TRACE_ID, Record
from greenserve.logs.times import local_time, rfc3339

__all__ = ["Format", "compile_format"]

Format = Callable[[Record], str]

_COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'


def compile_format(text: str) -> Format:
    """Return the function that makes a line, without its newline. Raises ValueError for a bad format."""
    if text == "json":
        return _json
    if text == "timed":
        return _timed
    if text == "combined":
        text = _COMBINED
    elif "%" not in text:
        raise ValueError("no atom in it")
    template: list[str] = []
    atoms: list[Atom] = []
    end = 0
    for match in _TOKEN.finditer(text):
        template.append(_literal(text[end : match.start()]))
        end = match.end()
        if match[0] == "%%":
            template.append("%%")
        elif (atom := _atom(match)) is dash:
            template.append("-")
        else:
            template.append("%s")
            atoms.append(atom)
    template.append(_literal(text[end:]))
    line = "".join(template)

    def write(x: Record) -> str:
        return line % tuple([atom(x) for atom in atoms])

    return _combined if text == _COMBINED else write


def _combined(x: Record) -> str:
    """Return the line of _COMBINED. Most servers write it for each request, so it is made without its atoms."""
    line = _start(x)
    return line if x.status != 101 else f"{line} {x.seconds:.3f}s{_counts(x)}"


def _timed(x: Record) -> str:
    """Return the same, with the seconds and the request's id behind it."""
    line = f"{_start(x)} {x.seconds:.3f}s"
    if x.status == 101:
        line += _counts(x)
    environ = x.environ
    known = environ.get(REQUEST_ID) if environ else None
    return line if known is None else f"{line} {escape(str(known))}"


def _start(x: Record) -> str:
    environ = x.environ
    user = referer = agent = None
    if environ:
        get = environ.get
        user, referer, agent = get("REMOTE_USER"), get("HTTP_REFERER"), get("HTTP_USER_AGENT")
    peer = escape_bare(x.peer) or "-"
    line = escape(f"{x.method} {x.target} {x.version}") if x.method else "-"
    return (
        f'{peer} - {escape_bare(str(user)) if user else "-"} {local_time(x.began).apache} "{line}" {x.status} '
        f'{x.bytes_sent or "-"} "{"-" if referer is None else escape(str(referer))}" '
        f'"{"-" if agent is None else escape(str(agent))}"'
    )


def _counts(x: Record) -> str:
    """Return messages and bytes of an upgraded connection, for which there are no atoms."""
    received, sent = ("", "") if x.messages is None else (f"{count}/" for count in x.messages)
    return f" received={received}{x.bytes_received}B sent={sent}{x.bytes_sent}B"


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


def _json(x: Record) -> str:
    environ = x.environ or {}
    user = environ.get("REMOTE_USER")
    return _encode(
        {
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
            **(
                {}
                if x.messages is None
                else {"messages_received": x.messages[0], "messages_sent": x.messages[1]}
            ),
            "host": environ.get("HTTP_HOST"),
            "referer": environ.get("HTTP_REFERER"),
            "user_agent": environ.get("HTTP_USER_AGENT"),
            "pid": os.getpid(),
            **{name: environ[key] for name, key in _IDS if key in environ},
        }
    )
