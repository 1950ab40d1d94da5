"""exchange: environ["wsgi.early_hints"] sends 103 (RFC 8297), before the answer and not after."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from tests.support.servers.links import FakeLink, body, exchange, sent

from greenserve.errors import AppError, PeerGone
from greenserve.http1 import chunk

Start = Callable[..., Any]
_PLAIN = [("Content-Type", "text/plain")]
_LINK = [("Link", "</style.css>; rel=preload; as=style")]
_PAGE = "Sec-Fetch-Mode: navigate"  # as a browser asks for one
_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n"


def _hinting(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    environ["wsgi.early_hints"](_LINK)
    start_response("200 OK", _PLAIN)
    return [b"x"]


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_8297_2_come_before_the_answer(method: str, validated: bool) -> None:
    x = exchange(_hinting, f"{method} / HTTP/1.1", _PAGE, validated=validated)
    assert sent(x).startswith(_HINTS + b"HTTP/1.1 200 OK\r\n")
    assert (x.response.status, x.response.bytes_sent, x.response.keep_alive) == (
        200,
        0 if method == "HEAD" else 1,
        True,
    )


@pytest.mark.parametrize(
    ("fields", "stays"),
    [
        ((_PAGE,), True),
        (("Sec-Fetch-Mode: cors",), False),  # Node's fetch() says so too
        ((), False),
        ((_PAGE, "Via: 1.1 proxy"), False),
        ((_PAGE, "x-forwarded-for: 192.0.2.7"), False),
        ((_PAGE, "Forwarded: for=192.0.2.7"), False),
        ((_PAGE, "X-Real-IP: 192.0.2.7"), False),
        ((_PAGE, "X-Forwarded-Server: proxy"), False),
        ((_PAGE, "CF-Connecting-IP: 192.0.2.7"), False),
        ((_PAGE, "Connection: close"), False),
    ],
)
def test_who_may_take_a_103_for_the_answer_gets_no_second_answer_on_its_connection(
    fields: tuple[str, ...], stays: bool
) -> None:
    for method in ("GET", "HEAD"):
        x = exchange(_hinting, f"{method} / HTTP/1.1", *fields)
        assert sent(x).startswith(_HINTS + b"HTTP/1.1 200 OK\r\n")
        assert (x.response.keep_alive, b"Connection: close" in sent(x)) == (stays, not stays)


def test_nor_does_one_at_a_unix_socket() -> None:
    link = FakeLink()
    link.peer = ""
    assert not exchange(_hinting, "GET / HTTP/1.1", _PAGE, link=link).response.keep_alive


def test_without_a_103_nothing_changes() -> None:
    def late(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", _PLAIN)
        yield b"x"
        environ["wsgi.early_hints"](_LINK)

    x = exchange(late)
    assert b"103" not in sent(x)
    assert x.response.keep_alive


def test_8297_2_go_out_at_once_and_as_often_as_the_app_likes() -> None:
    link = FakeLink()

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        for number in range(3):
            environ["wsgi.early_hints"]([("Link", str(number))])
            assert link.sent[-1] == b"HTTP/1.1 103 Early Hints\r\nLink: %d\r\n\r\n" % number
        start_response("200 OK", _PLAIN)
        environ["wsgi.early_hints"](_LINK)  # the head is made, and not yet out
        assert link.sent[-1] == _HINTS
        return [b"x"]

    assert exchange(app, link=link).response.status == 200
    assert link.out.count(b"103 Early Hints") == 4
    assert link.out.index(b"200 OK") > link.out.rindex(b"103 Early Hints")


def test_9110_15_2_http_1_0_gets_none() -> None:
    x = exchange(_hinting, "GET / HTTP/1.0", "Connection: keep-alive", validated=False)
    assert sent(x).startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"103" not in sent(x)
    assert x.response.keep_alive


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "headers",
    [[("A", "b\r\n\r\nHTTP/1.1 200 OK")], [("Content-Length", "1")], [("Connection", "close")], None],
)
def test_9110_5_are_checked_and_nothing_wrong_goes_out(version: str, headers: Any) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        with pytest.raises(AppError):
            environ["wsgi.early_hints"](headers)
        start_response("200 OK", _PLAIN)
        return [b"x"]

    x = exchange(app, f"GET / HTTP/{version}")
    assert sent(x).startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent(x).count(b"HTTP/1.1") == 1


def test_8297_2_none_once_the_answer_has_begun() -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        write = start_response("200 OK", _PLAIN)
        write(b"a")
        environ["wsgi.early_hints"](_LINK)
        yield b"b"
        environ["wsgi.early_hints"](_LINK)
        yield b"c"

    x = exchange(app, validated=False)
    assert body(x) == chunk(b"a") + chunk(b"b") + chunk(b"c") + b"0\r\n\r\n"


@pytest.mark.parametrize("fails", [False, True])
def test_8297_2_none_when_the_request_is_over(fails: bool, caplog: pytest.LogCaptureFixture) -> None:
    kept: list[Any] = []

    def hook(environ: dict[str, Any]) -> None:
        environ["wsgi.early_hints"](_LINK)
        kept[0](_LINK)

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        kept.append(environ["wsgi.early_hints"])
        environ["greenserve.posthooks"].append((hook, (), {}))
        start_response("200 OK", _PLAIN)
        assert not fails
        return [b"x"]

    x = exchange(app, validated=False)
    kept[0](_LINK)
    assert x.response.status == (500 if fails else 200)
    assert b"103" not in sent(x)
    assert not [record for record in caplog.records if "post-hook" in record.getMessage()]


def test_an_error_after_hints_is_answered() -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["wsgi.early_hints"](_LINK)
        raise ValueError

    x = exchange(app)
    assert sent(x).startswith(_HINTS + b"HTTP/1.1 500 Internal Server Error\r\n")


def test_9110_10_1_1_go_with_100_continue_in_either_order() -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["wsgi.early_hints"](_LINK)
        environ["wsgi.input"].read(1)
        environ["wsgi.early_hints"](_LINK)
        environ["wsgi.input"].read(4)
        start_response("200 OK", _PLAIN)
        return [b"x"]

    lines = ("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue", _PAGE)
    x = exchange(app, *lines, link=FakeLink(b"hello"))
    assert sent(x).startswith(_HINTS + b"HTTP/1.1 100 Continue\r\n\r\n" + _HINTS + b"HTTP/1.1 200 OK\r\n")
    assert x.response.keep_alive


def test_9110_10_1_1_do_not_stand_for_100_continue() -> None:
    # The client was not told to go on: whether the body comes is open.
    x = exchange(_hinting, "POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")
    assert b"100 Continue" not in sent(x)
    assert not x.response.keep_alive


def test_a_client_that_has_gone_is_told_to_the_app() -> None:
    link = FakeLink()
    link.gone = True
    told: list[str] = []

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        try:
            environ["wsgi.early_hints"](_LINK)
        except PeerGone:
            told.append("gone")
            raise
        return []

    assert not exchange(app, link=link).response.keep_alive
    assert told == ["gone"]


def test_nothing_holds_a_request_that_is_over() -> None:
    # A cycle would leave every request, and what its environ holds, to the garbage collector.
    gc.collect()
    gc.disable()
    try:
        x = exchange(_hinting, validated=False)
        seen = weakref.ref(x)
        del x
        assert seen() is None
    finally:
        gc.enable()
