"""formats and atoms: every atom in both spellings, json, and no forging."""

import json
import os
import re
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.logs.atoms import APACHE, GUNICORN, escape
from greenserve.logs.formats import compile_format
from greenserve.logs.record import Record
from greenserve.logs.times import local_time

GUNICORN_DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


SEEN = Record(
    peer="203.0.113.9",
    peer_port=50000,
    method="GET",
    target="/a/b?x=1&y=2",
    version="HTTP/1.1",
    status=200,
    bytes_sent=1234,
    bytes_received=56,
    began=1783220645.678,
    seconds=1.234567,
    messages=None,
    environ={
        "HTTP_REFERER": "http://example.com/",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11)",
        "HTTP_HOST": "example.com",
        "HTTP_X_FORWARDED_FOR": "10.0.0.1",
        "CONTENT_TYPE": "text/plain",
        "REMOTE_USER": "ada",
        "SERVER_PORT": "8000",
        "SERVER_NAME": "localhost",
        "my.key": 7,
    },
)
T = local_time(SEEN.began).apache


def test_combined() -> None:
    line = compile_format("combined")(SEEN)
    assert line == (
        f'203.0.113.9 - ada {T} "GET /a/b?x=1&y=2 HTTP/1.1" 200 1234 '
        '"http://example.com/" "Mozilla/5.0 (X11)"'
    )


def test_combined_of_a_websocket_tells_what_it_has_done() -> None:
    line = compile_format("combined")(SEEN._replace(status=101, messages=(3, 4)))
    assert line.endswith('"Mozilla/5.0 (X11)" 1.235s received=3/56B sent=4/1234B')


def test_timed_is_combined_and_the_seconds() -> None:
    combined, timed = compile_format("combined"), compile_format("timed")
    assert timed(SEEN) == f"{combined(SEEN)} 1.235s"
    upgraded = SEEN._replace(status=101, messages=(3, 4))
    assert timed(upgraded) == combined(upgraded)
    assert timed(SEEN._replace(environ=None)).endswith(' "-" "-" 1.235s')


def test_an_id_of_the_request_and_of_its_trace() -> None:
    seen = SEEN._replace(environ={"greenserve.request_id": "a1", "greenserve.trace_id": "b2"})
    assert compile_format("timed")(seen).endswith(' "-" "-" 1.235s a1')
    assert compile_format("%{request_id}n %({trace_id}n)s")(seen) == "a1 b2"
    assert compile_format("%{request_id}n")(SEEN) == "-"
    line = json.loads(compile_format("json")(seen))
    assert (line["request_id"], line["trace_id"]) == ("a1", "b2")
    assert "request_id" not in json.loads(compile_format("json")(SEEN))


def test_gunicorns_default_is_the_combined_line() -> None:
    assert compile_format(GUNICORN_DEFAULT)(SEEN) == compile_format("combined")(SEEN)


def test_combined_of_a_request_that_could_not_be_read() -> None:
    bare = SEEN._replace(peer="", method="", target="", version="", status=400, bytes_sent=0, environ=None)
    assert compile_format("combined")(bare) == f'- - - {T} "-" 400 - "-" "-"'
    assert compile_format("%m %U%q %H %(q)s.")(bare) == "- - - ."


@pytest.mark.parametrize(
    ("apache", "gunicorn", "value"),
    [
        ("%h", "%(h)s", "203.0.113.9"),
        ("%l", "%(l)s", "-"),
        ("%u", "%(u)s", "ada"),
        ("%t", "%(t)s", T),
        ("%r", "%(r)s", "GET /a/b?x=1&y=2 HTTP/1.1"),
        ("%s", "%(s)s", "200"),
        ("%>s", "%(s)s", "200"),
        ("%b", "%(b)s", "1234"),
        ("%B", "%(B)s", "1234"),
        ("%m", "%(m)s", "GET"),
        ("%U", "%(U)s", "/a/b"),
        ("%H", "%(H)s", "HTTP/1.1"),
        ("%T", "%(T)s", "1"),
        ("%{s}T", "%({s}T)s", "1"),
        ("%{ms}T", "%(M)s", "1234"),
        ("%{us}T", "%(D)s", "1234567"),
        ("%D", "%(D)s", "1234567"),
        ("%{Referer}i", "%(f)s", "http://example.com/"),
        ("%{user-agent}i", "%(a)s", "Mozilla/5.0 (X11)"),
        ("%{X-Forwarded-For}i", "%({x-forwarded-for}i)s", "10.0.0.1"),
        ("%{Content-Type}i", "%({content-type}i)s", "text/plain"),
        ("%{No-Such}i", "%({no-such}i)s", "-"),
        ("%{SERVER_NAME}e", "%({SERVER_NAME}e)s", "localhost"),
        ("%{my.key}e", "%({my.key}e)s", "7"),
    ],
)
def test_an_atom_in_both_spellings(apache: str, gunicorn: str, value: str) -> None:
    assert compile_format(apache)(SEEN) == value
    assert compile_format(gunicorn)(SEEN) == value


@pytest.mark.parametrize(
    ("atom", "value"),
    [
        ("%a", "203.0.113.9"),
        ("%q", "?x=1&y=2"),
        ("%(q)s", "x=1&y=2"),
        ("%p", "8000"),
        pytest.param("%(p)s", f"<{os.getpid()}>", id="%(p)s"),
        pytest.param("%P", str(os.getpid()), id="%P"),
        ("%v", "localhost"),
        ("%(L)s", "1.234567"),
    ],
)
def test_where_the_spellings_differ_each_keeps_its_own(atom: str, value: str) -> None:
    assert compile_format(atom)(SEEN) == value


def test_text_between_atoms_stays() -> None:
    assert compile_format("é 100%% [%s]\t{%%h} %%(h)s")(SEEN) == "é 100% [200]\t{%h} %(h)s"


def test_an_empty_answer() -> None:
    assert compile_format("%b %B %(b)s %(B)s")(SEEN._replace(bytes_sent=0)) == "- 0 - 0"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("combind", "no atom"),
        ("", "no atom"),
        ("%h %Z", "%Z is not known: the letters are"),
        ("%h %Z", re.escape(", {s|ms|us}T, {request_id|trace_id}n")),
        ("%(Z)s", re.escape("%(Z)s is not known")),
        ("%f", "%f is not known"),
        ("%{Set-Cookie}o", "is not known"),
        ("%({set-cookie}o)s", "is not known"),
        ("%{X}h", "is not known"),
        ("%{min}T", "is not known"),
        ("%(hh)s", re.escape("'%(hh)s' is not an atom")),
        ("%h 100%", "'%' is not an atom; a plain % is written %%"),
        ("%5s", "is not an atom"),
        ("%(h)d", "is not an atom"),
        ("%h\n", "control characters"),
    ],
)
def test_what_is_no_format(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_format(text)


def test_the_error_lists_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="not known") as caught:
        compile_format("%Z")
    for letter in APACHE:
        assert letter in str(caught.value)
    assert set(GUNICORN) >= set("hlutrsbBmUqHfaTMDLp")


@given(st.text())
def test_whatever_is_escaped_is_printable_ascii_without_a_bare_quote(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii()
    assert escaped.isprintable()
    assert '"' not in escaped.replace("\\\\", "").replace('\\"', "")
    assert len(escape("a b/~!")) == 6


def test_a_client_cannot_forge_a_line_or_a_field() -> None:
    evil = 'x" 200 5 "\r\n1.1.1.1 - admin [now] "GET /\\\x00\x1b[2J é €'
    environ = {"HTTP_REFERER": evil, "HTTP_USER_AGENT": evil, "REMOTE_USER": evil}
    seen = SEEN._replace(peer=evil, method=evil, target=evil, version=evil, environ=environ)
    line = compile_format("combined")(seen)
    assert line.isascii()
    assert line.isprintable()
    apache = re.compile(
        r'(\S+) - (\S+) \[[^]]+\] "((?:[^"\\]|\\.)*)" (\d+) (\S+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
    )
    match = apache.fullmatch(line)
    assert match is not None
    assert match[4] == "200"
    assert "\\r" not in match[3]
    assert "\\x0d\\x0a" in match[3]
    assert "\\xe9" in match[7]
    assert "\\u20ac" in match[7]
    assert " " not in compile_format("%m%U%q%H%h%u")(seen)


def test_json() -> None:
    line = compile_format("json")(SEEN)
    entry = json.loads(line)
    began = datetime.fromisoformat(entry.pop("time"))
    assert began.timestamp() == pytest.approx(1783220645.678, abs=0.001)
    assert began.utcoffset() == datetime.fromtimestamp(SEEN.began).astimezone().utcoffset()
    assert entry == {
        "peer": "203.0.113.9",
        "peer_port": 50000,
        "user": "ada",
        "method": "GET",
        "target": "/a/b?x=1&y=2",
        "version": "HTTP/1.1",
        "status": 200,
        "bytes_sent": 1234,
        "bytes_received": 56,
        "seconds": 1.234567,
        "host": "example.com",
        "referer": "http://example.com/",
        "user_agent": "Mozilla/5.0 (X11)",
        "pid": os.getpid(),
    }


def test_json_of_a_websocket_counts_its_messages() -> None:
    entry = json.loads(compile_format("json")(SEEN._replace(status=101, messages=(3, 4))))
    assert (entry["messages_received"], entry["messages_sent"]) == (3, 4)


def test_json_of_anything_is_one_ascii_line_that_reads_back() -> None:
    evil = 'a"\n\\\x00é€\udc80'
    line = compile_format("json")(
        SEEN._replace(target=evil, environ={"HTTP_USER_AGENT": evil, "REMOTE_USER": object()})
    )
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["target"] == evil
    assert json.loads(compile_format("json")(SEEN._replace(environ=None)))["user_agent"] is None


@pytest.mark.parametrize("name", ["combined", "json"])
def test_a_line_costs_microseconds(name: str) -> None:
    write, seen = compile_format(name), SEEN
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(1000):
            write(seen)
        best = min(best, time.process_time() - began)
    assert best / 1000 < 100e-6  # 2 and 5 µs where it was written; the bound is for a slow machine
