"""ordinary_heads.c: what it takes is what Python takes, under every setting; all else it leaves alone."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.both_ways import PORT, BothWays, Setting, all_settings
from tests.support.protocols.heads import LIMITS, raw

from greenserve.core import core
from greenserve.http1 import read_whole_head
from greenserve.wsgi import find_ordinary
from greenserve.wsgi.environ.forwarding import DIRECT

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(core is None, reason="without the compiled core"),
]

_SETTINGS = all_settings() if core is not None else []
_NAMES = st.sampled_from(
    [
        *("Host", "host", "Accept", "accept", "Connection", "Content-Length", "Content-Type", "Cookie", "X-A"),
        *("Transfer-Encoding", "Expect", "X_Y", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"),
        *("Forwarded", "X-Request-Id", "X-Request-Start", "Proxy", "Traceparent", "X-Custom", "Upgrade", "X-Real-IP"),
        *("User-Agent", "Authorization", "bad name", "", "é", "Content_Length", "n" * 64, "n" * 65),
    ]
)  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from(
        [
            *("x", "example.com:80", "3", "0", "007", "keep-alive", "Keep-Alive", "close", "CLOSE", "upgrade"),
            "chunked",
            *("100-continue", "", " x ", "\tx\t", "a\tb", "é", "a\x7f", "a\0", "a\rb", "a\nb", "x\r\n y",),
            *("1" * 18, "9" * 19),
            *("203.0.113.9", "https", "for=203.0.113.9", "[::1]:8000", "x:99999", "v" * 40, "-1", "+1", "1_0", "1,1"),
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=40),
)  # fmt: skip
_TARGETS = st.one_of(
    st.sampled_from(
        [
            *("/", "/a/b?c=d", "/%41%2f%e9", "/%00", "/%zz", "/%4", "/a?%", "/a?b?c", "/?", "*", "http://x/a", "//a"),
            *("/a#b", "/[^|]", '/"', "/{}", "/?`{}\\", "/é", "/" + "p" * 50, "/%41" * 300, "/a%", "x", "/ a"),
        ]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7F), max_size=20).map("/".__add__),
)  # fmt: skip
_METHODS = st.sampled_from(
    ["GET", "POST", "HEAD", "OPTIONS", "get", "PATCH", "BREW", "CONNECT", "PRI", "G ET", ""]
)
_VERSIONS = st.sampled_from(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/2.0", "HTTP/1.1 ", "http/1.1"])


@st.composite
def _heads(draw: st.DrawFn) -> bytes:
    lines = [f"{draw(_METHODS)} {draw(_TARGETS)} {draw(_VERSIONS)}"]
    if draw(st.integers(0, 9)):
        lines.append("Host: x")
    space = draw(st.sampled_from([": ", ":", ":  \t", " :"]))
    lines += [
        f"{name}{space}{value}" for name, value in draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
    ]
    end = draw(st.sampled_from(["\r\n"] * 9 + ["\n"]))
    return (end.join(lines) + draw(st.sampled_from(["\r\n\r\n"] * 6 + ["\r\n", "", "\n\n"]))).encode(
        "latin-1"
    )


@given(
    st.sampled_from(_SETTINGS or [None]),
    st.lists(_heads(), min_size=1, max_size=5),
    st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 20]),
)
@examples(1500)
def test_says_what_python_says(setting: Setting, heads: list[bytes], behind: bytes) -> None:
    both = BothWays(setting)
    for head in heads:
        both.read(head + behind)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Accept: */*", "User-Agent: x", "Cookie: a=b; c=d"),
        ("Content-Length: 12", "Content-Type: a/b"),
        ("Connection: close",),
        ("Connection: Keep-Alive",),
        ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"),
        ("Accept-Language: \xe9",),
        ("Upgrade: h2c",),
    ],
    ids=str,
)
@pytest.mark.parametrize("target", ["/", "/a?b=c", "/%C3%A9/x?%", "//"])
def test_takes_these(lines: tuple[str, ...], target: str) -> None:
    wide = [one for one in _SETTINGS if one.limits.line > 200 and "HTTP_ACCEPT" not in one.base]
    for setting in wide:
        if setting.forwarding.key_of("Accept") == "" and "Accept: */*" in lines:
            continue  # there it is the field of an id
        both = BothWays(setting)
        for method in ("GET", "POST"):
            both.read(raw(f"{method} {target} HTTP/1.1", *lines))
        assert both.taken == 3  # all but the first, which taught it


@pytest.mark.parametrize(
    "data",
    [
        raw("GET / HTTP/1.0"),
        raw("BREW / HTTP/1.1"),
        raw("GET http://x/ HTTP/1.1"),
        raw("OPTIONS * HTTP/1.1"),
        raw(host=None),
        raw("GET / HTTP/1.1", "Host: x"),
        raw("GET / HTTP/1.1", "Transfer-Encoding: chunked"),
        raw("GET / HTTP/1.1", "Expect: 100-continue"),
        raw("GET / HTTP/1.1", "Connection: upgrade"),
        raw("GET / HTTP/1.1", "Cookie: a", "cookie: b"),
        raw("GET / HTTP/1.1", "Content-Length: 1", "Content-Length: 1"),
        raw("GET / HTTP/1.1", "Content-Length: +1"),
        raw("GET / HTTP/1.1", "A: b\r\n c"),
        raw("GET /%00 HTTP/1.1"),
        raw("GET /" + "%41" * 2000 + " HTTP/1.1"),
        raw("GET / HTTP/1.1", *(f"A{n}: b" for n in range(100))),
        raw("GET / HTTP/1.1", "X-Request-Start: t=1"),
        raw()[:-1],
        b"\r\n" + raw(),
        b"",
    ],
)
def test_leaves_these_to_python(data: bytes) -> None:
    both = BothWays(Setting(LIMITS, DIRECT, _SETTINGS[0].base, "192.0.2.1"))
    both.read(raw("GET / HTTP/1.1", "Cookie: a", "cookie: b", "A: b"))
    both.read(data)
    assert both.taken == 0


def test_a_head_is_as_long_as_any_limit_allows() -> None:
    setting = next(one for one in _SETTINGS if one.limits.head == 64)
    for length in range(30, 70):
        both = BothWays(setting)
        data = raw("GET /" + "p" * (length - len(raw("GET / HTTP/1.1"))) + " HTTP/1.1")
        both.read(data)
        assert both.taken == (len(data) <= 64)


def test_a_wrong_host_is_not_learned() -> None:
    both = BothWays(_SETTINGS[0])
    both.read(raw(host="good.example"))
    both.read(raw(host="x:99999"))
    both.read(raw(host="bad host"))
    assert both.taken == 1


def test_names_of_clients_fill_no_memory() -> None:
    both = BothWays(Setting(LIMITS, DIRECT, _SETTINGS[0].base, "192.0.2.1"))
    for number in range(3000):
        both.read(raw("GET / HTTP/1.1", f"N{number}: x", host=f"h{number}"))
    assert both.taken > 2900  # a name without a free place is never learned: a few of a table that fills
    both.read(raw())
    taken = both.taken
    both.read(raw())
    assert both.taken == taken + 2


@pytest.mark.parametrize(
    "arguments", [(), (b"", {}, ""), (bytearray(b"x"), {}, "", ""), (b"x", [], "", "")], ids=repr
)
def test_wrong_arguments(arguments: tuple[Any, ...]) -> None:
    ordinary = find_ordinary(LIMITS, DIRECT)
    assert ordinary is not None
    with pytest.raises(TypeError):
        ordinary.take(*arguments)


def test_wrong_tables() -> None:
    assert core is not None
    make = core.OrdinaryHeads
    with pytest.raises(ValueError, match="256"):
        make(b"", (), 1, 1, 1, list)
    with pytest.raises(TypeError):
        make(bytes(256), (b"GET",), 1, 1, 1, list)
    with pytest.raises(ValueError, match="latin-1"):
        make(bytes(256), ("\u20ac",), 1, 1, 1, list)
    heads = make(bytes(256), ("GET",), 1, 1, 1, list)
    with pytest.raises(ValueError, match="kind"):
        heads.learn_field("a", "b", 99)
    with pytest.raises(TypeError):
        heads.learn_host(b"x")
    with pytest.raises(TypeError):
        core.Head()


def test_nothing_is_left_in_memory() -> None:
    """Neither what was taken, nor what was begun and left to Python."""
    base = dict(_SETTINGS[0].base)
    ordinary = find_ordinary(LIMITS, DIRECT)
    assert ordinary is not None
    data = raw("GET /a%41?b HTTP/1.1", "Accept: x", "X-Real-IP: y", "Content-Length: 300")
    twice = raw("GET / HTTP/1.1", "Cookie: a", "cookie: b")
    for one in (data, twice):
        ordinary.take(one, base, "192.0.2.1", PORT)
        whole = read_whole_head(one, LIMITS)
        assert whole is not None
        ordinary.learn(whole[0])

    def rounds(count: int) -> int:
        for _ in range(count):
            whole = ordinary.take(data + b"rest", base, "192.0.2.1", PORT)
            assert whole is not None
            assert whole.rest == b"rest"
            assert len(whole.fields) == 4
            assert ordinary.take(twice, base, "192.0.2.1", PORT) is None
        del whole
        gc.collect()
        return sys.getallocatedblocks()

    rounds(100)
    before = rounds(10)
    assert rounds(5000) <= before + 20


def test_a_head_in_a_circle_is_collected() -> None:
    ordinary = find_ordinary(LIMITS, DIRECT)
    assert ordinary is not None
    both = BothWays(Setting(LIMITS, DIRECT, {}, ""))
    both.read(raw())
    head = both.ordinary.take(raw(), {}, "", "")
    assert head.environ is not None
    gone: list[int] = []

    class Told:
        def __del__(self) -> None:
            gone.append(1)

    head.environ["head"], head.environ["told"] = head, Told()
    del head
    gc.collect()
    assert gone == [1]
