"""measuring: a body in chunks comes whole, with its length, to apps that read by CONTENT_LENGTH alone."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.support.servers.links import FakeLink, body, exchange, fields

from greenserve.http1 import chunk
from greenserve.wsgi import with_lengths

_CHUNKED = "Transfer-Encoding: chunked"


def _by_length(environ: Any, start_response: Any) -> list[bytes]:
    """As CGI has it."""
    content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [content]


@pytest.mark.parametrize("size", [1, 100, 70_000, 512 * 1024, 512 * 1024 + 1, 3_000_000])
def test_a_body_in_chunks_has_its_length(size: int) -> None:
    content = hashlib.shake_256(b"a").digest(size)
    pieces = [chunk(content[at : at + 50_000]) for at in range(0, size, 50_000)]
    x = exchange(
        with_lengths(_by_length),
        "POST / HTTP/1.1",
        _CHUNKED,
        link=FakeLink(*pieces, b"0\r\nA: b\r\n\r\n"),
        validated=False,
    )
    assert body(x) == content
    assert (x.input.received, x.response.keep_alive) == (size, True)
    assert x.environ["CONTENT_LENGTH"] == str(size)
    assert list(x.environ["greenserve.trailers"]) == [("A", "b")]
    assert x.environ["wsgi.input"].closed


def test_an_empty_one_too() -> None:
    link = FakeLink(b"0\r\n\r\n")
    x = exchange(with_lengths(_by_length), "POST / HTTP/1.1", _CHUNKED, link=link, validated=False)
    assert (body(x), x.environ["CONTENT_LENGTH"]) == (b"", "0")


def test_it_reads_like_a_file() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        file = environ["wsgi.input"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        found = [file.readline(), *file.readlines(2), next(iter(file)), file.read(1), file.read()]
        return [b"|".join(found)]

    link = FakeLink(chunk(b"a\nb\n"), chunk(b"c\ndef"), b"0\r\n\r\n")
    x = exchange(with_lengths(app), "POST / HTTP/1.1", _CHUNKED, link=link, validated=False)
    assert body(x) == b"a\n|b\n|c\n|d|ef"


def test_what_has_a_length_or_no_body_is_left_alone() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [type(environ["wsgi.input"]).__name__.encode(), environ.get("CONTENT_LENGTH", "none").encode()]

    for wrapped in (app, with_lengths(app)):
        x = exchange(wrapped, validated=False)
        assert body(x) == b"_EmptyInputnone"
        link = FakeLink(b"abc")
        x = exchange(wrapped, "POST / HTTP/1.1", "Content-Length: 3", link=link, validated=False)
        assert body(x) == b"RequestInput3"


@pytest.mark.parametrize(
    ("incoming", "status"),
    [((b"zz\r\n",), 400), ((chunk(b"abcdef"), b"0\r\n\r\n"), 413), ((b"2\r\n", TimeoutError()), 408)],
)
def test_a_body_that_fails_is_answered_before_the_app(incoming: Any, status: int) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise AssertionError("never called")

    x = exchange(
        with_lengths(app), "POST / HTTP/1.1", _CHUNKED, link=FakeLink(*incoming), limit=5, validated=False
    )
    assert fields(x)[0].split()[1] == str(status)
    assert not x.response.keep_alive


def test_100_continue_is_sent_before_it_is_waited_for() -> None:
    link = FakeLink(chunk(b"abc"), b"0\r\n\r\n")
    exchange(
        with_lengths(_by_length),
        "POST / HTTP/1.1",
        _CHUNKED,
        "Expect: 100-continue",
        link=link,
        validated=False,
    )
    assert link.sent[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert link.sent[1].endswith(b"\r\n\r\nabc")
