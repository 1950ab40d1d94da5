"""formats: the one function of a format makes, of any request, the line that its atoms make one by one."""

import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from greenserve.logs.atoms import escape, escape_bare
from greenserve.logs.formats import compile_format
from greenserve.logs.record import Record
from greenserve.logs.times import local_time, rfc3339


class Odd:
    """What an app may put into environ."""

    def __str__(self) -> str:
        return 'o"d d\n'


_TEXTS = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    st.sampled_from(["-", "", '"', "\\", "a b", "GET", "/x?y=1", "é", "\x7f", "\udc80", "\u2028"]),
)
_VALUES = st.one_of(_TEXTS, st.none(), st.integers(), st.booleans(), st.builds(Odd))
_KEYS = [
    "REMOTE_USER",
    "HTTP_REFERER",
    "HTTP_USER_AGENT",
    "HTTP_HOST",
    "SERVER_PORT",
    "greenserve.request_id",
    "greenserve.trace_id",
]
_RECORDS = st.builds(
    Record,
    peer=_TEXTS,
    peer_port=st.one_of(_TEXTS, st.integers(0, 65535)),
    method=_TEXTS,
    target=_TEXTS,
    version=_TEXTS,
    status=st.sampled_from([101, 200, 404]),
    bytes_sent=st.integers(0, 10**12),
    bytes_received=st.integers(0, 10**12),
    began=st.floats(0, 2.0**32),
    seconds=st.one_of(st.floats(0, 0.002), st.floats(0, 1e5)),
    messages=st.one_of(st.none(), st.tuples(st.integers(0, 99), st.integers(0, 99))),
    environ=st.one_of(
        st.none(),
        st.dictionaries(st.sampled_from(_KEYS), _TEXTS),
        st.dictionaries(st.sampled_from(_KEYS), _VALUES),
    ),
)


def _shown(x: Record, key: str) -> str:
    value = (x.environ or {}).get(key)
    return "-" if value is None else escape(str(value))


def _combined(x: Record) -> str:
    user = (x.environ or {}).get("REMOTE_USER")
    line = escape(f"{x.method} {x.target} {x.version}") if x.method else "-"
    return (
        f"{escape_bare(x.peer) or '-'} - {escape_bare(str(user)) if user else '-'} {local_time(x.began).apache} "
        f'"{line}" {x.status} {x.bytes_sent or "-"} "{_shown(x, "HTTP_REFERER")}" "{_shown(x, "HTTP_USER_AGENT")}"'
    )


def _counts(x: Record) -> str:
    received, sent = (f"{count}/" for count in x.messages) if x.messages else ("", "")
    return f" received={received}{x.bytes_received}B sent={sent}{x.bytes_sent}B"


@given(_RECORDS)
def test_combined(x: Record) -> None:
    end = f" {x.seconds:.3f}s{_counts(x)}" if x.status == 101 else ""
    assert compile_format("combined")(x) == _combined(x) + end


@given(_RECORDS)
def test_timed(x: Record) -> None:
    known = (x.environ or {}).get("greenserve.request_id")
    end = f" {x.seconds:.3f}s" + (_counts(x) if x.status == 101 else "")
    assert compile_format("timed")(x) == _combined(x) + end + (
        "" if known is None else f" {escape(str(known))}"
    )


@given(_RECORDS)
def test_json(x: Record) -> None:
    environ: dict[str, Any] = x.environ or {}
    user = environ.get("REMOTE_USER")
    entry = {
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
    }
    if x.messages is not None:
        entry |= {"messages_received": x.messages[0], "messages_sent": x.messages[1]}
    entry |= {
        "host": environ.get("HTTP_HOST"),
        "referer": environ.get("HTTP_REFERER"),
        "user_agent": environ.get("HTTP_USER_AGENT"),
        "pid": os.getpid(),
    }
    for name in ("request_id", "trace_id"):
        if f"greenserve.{name}" in environ:
            entry[name] = environ[f"greenserve.{name}"]
    assert compile_format("json")(x) == json.dumps(entry, separators=(",", ":"), default=str)


@given(_RECORDS)
def test_atoms_and_text_of_all_kinds(x: Record) -> None:
    method, path, query, version = map(escape_bare, (x.method, *x.target.partition("?")[::2], x.version))
    line = compile_format('é\'{%m}\t%U%(q)s \\%(U)s "%H" %B %T %{ms}T %D %(L)s %(p)s %{Host}i %p %%')
    assert line(x) == (
        f'é\'{{{method or "-"}}}\t{path or "-"}{query} \\{path or "-"} "{version or "-"}" {x.bytes_sent} '
        f"{int(x.seconds)} {int(x.seconds * 1e3)} {int(x.seconds * 1e6)} {x.seconds:.6f} <{os.getpid()}> "
        f"{_shown(x, 'HTTP_HOST')} {_shown(x, 'SERVER_PORT')} %"
    )


@given(st.integers(0, 3000), st.sampled_from([0.0, 0.0005, 0.000499999999, 0.0004, 0.000501]))
def test_seconds_are_rounded_as_printf_does(milliseconds: int, more: float) -> None:
    seconds = milliseconds / 1000 + more
    line = compile_format("timed")(
        Record("::1", "5", "GET", "/", "HTTP/1.1", 200, 1, 0, 0.0, seconds, None, {})
    )
    assert line.endswith(f' "-" "-" {seconds:.3f}s')
