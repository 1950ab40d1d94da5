"""The formats of the access log: `combined`, `json` and Apache's atoms, each compiled once.

`compile_format` turns a format into one function from a finished exchange to a line. Both spellings
of atoms are read: Apache's (`%h`, `%{Referer}i`) and gunicorn's (`%(h)s`, `%({referer}i)s`). Called
by the registry, to judge a setting, and by logs/access_log.py. It opens and writes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from greenserve.logs.atoms import APACHE, GUNICORN, NAMED, Atom, Entry
from greenserve.logs.times import local_time

__all__ = ["Format", "compile_format"]

Format = Callable[[Entry], str]

_COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'


def compile_format(text: str) -> Format:
    """Give the function that writes one line (without its newline); ValueError where it can't be."""
    if text == "json":
        return _json
    if text == "combined":
        text = _COMBINED
    elif "%" not in text:
        raise ValueError("it has no atom")
    template: list[str] = []
    atoms: list[Atom] = []
    end = 0
    for match in _TOKEN.finditer(text):
        template.append(_literal(text[end : match.start()]))
        end = match.end()
        if match[0] == "%%":
            template.append("%%")
        else:
            template.append("%s")
            atoms.append(_atom(match))
    template.append(_literal(text[end:]))
    line = "".join(template)

    def write(x: Entry) -> str:
        return line % tuple([atom(x) for atom in atoms])

    return _with_counts(write) if text == _COMBINED else write


def _with_counts(write: Format) -> Format:
    """`combined` has no atom for what an upgraded connection has done: it stands at the end of the line of one."""

    def write_all(x: Entry) -> str:
        line = write(x)
        exchange = x.exchange
        if exchange.status == 101:
            messages = exchange.messages
            received, sent = ("", "") if messages is None else (f"{count}/" for count in messages)
            line += f" {x.seconds:.3f}s received={received}{exchange.bytes_received}B"
            line += f" sent={sent}{exchange.bytes_sent}B"
        return line

    return write_all


_TOKEN = re.compile(
    r"""%%
    | % \( (?: \{ (?P<g_name>[^{}()]+) \} )? (?P<g>[A-Za-z]) \) s      # gunicorn: %(h)s  %({referer}i)s
    | % [<>]? (?: \{ (?P<a_name>[^{}()]+) \} )? (?P<a>[A-Za-z])          # Apache: %h  %>s  %{Referer}i
    """,
    re.VERBOSE,
)


def _literal(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{text[text.index('%') :][:20]!r} is no atom; a plain % is written %%")
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
            f"{match[0]} is not known: the letters are {letters}, and {{Field}}i, {{VARIABLE}}e, {{s|ms|us}}T"
        )
    return atom


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def _json(x: Entry) -> str:
    exchange = x.exchange
    environ = exchange.environ or {}
    clock = local_time(x.began)
    milliseconds = int(x.began % 1 * 1000)
    zone = f"{clock.zone[:3]}:{clock.zone[3:]}"  # RFC 3339 wants the colon
    user = environ.get("REMOTE_USER")
    return _encode(
        {
            "time": f"{clock.date}T{clock.time}.{milliseconds:03d}{zone}",
            "peer": exchange.peer,
            "peer_port": exchange.peer_port,
            "user": None if user is None else str(user),
            "method": exchange.method,
            "target": exchange.target,
            "version": exchange.version,
            "status": exchange.status,
            "bytes_sent": exchange.bytes_sent,
            "bytes_received": exchange.bytes_received,
            "seconds": round(x.seconds, 6),
            **(
                {}
                if exchange.messages is None
                else {"messages_received": exchange.messages[0], "messages_sent": exchange.messages[1]}
            ),
            "host": environ.get("HTTP_HOST"),
            "referer": environ.get("HTTP_REFERER"),
            "user_agent": environ.get("HTTP_USER_AGENT"),
            "pid": os.getpid(),
        }
    )
