"""exchange: whatever an app does wrong, the client gets a correct answer or a closed connection, and the log tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from greenlet import GreenletExit
from tests.support.servers.links import body, exchange, fields, sent

from greenserve import sleep
from greenserve.wsgi import RequestTimeout

Start = Callable[..., Any]


def _not_called(environ: Any, start_response: Start) -> Any:
    return [b"x"]


def _not_called_at_all(environ: Any, start_response: Start) -> Any:
    return []


def _none(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])


def _number(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return 7


def _str(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return "text"


def _list_of_str(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return ["text"]


def _later_str(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return [b"a", "text"]


def _bytes(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return b"text"


def _bytearray(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return [bytearray(b"text")]


def _nothing_yielded(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    return iter([None])


def _written_str(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])("text")


def _twice(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"x"]


def _bad_status(environ: Any, start_response: Start) -> Any:
    start_response("OK", [])
    return [b"x"]


def _int_status(environ: Any, start_response: Start) -> Any:
    start_response(200, [])
    return [b"x"]


def _informational(environ: Any, start_response: Start) -> Any:
    start_response("100 Continue", [])
    return [b"x"]


def _split_header(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [("X", "a\r\nSet-Cookie: b")])
    return [b"x"]


def _bytes_header(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [(b"X", b"y")])
    return [b"x"]


def _dict_headers(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", {"X": "yy"})
    return [b"x"]


def _hop_by_hop(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [("Transfer-Encoding", "chunked")])
    return [b"x"]


def _bad_length(environ: Any, start_response: Start) -> Any:
    start_response("200 OK", [("Content-Length", "seven")])
    return [b"x"]


@pytest.mark.parametrize(
    "app",
    [
        _not_called,
        _not_called_at_all,
        _none,
        _number,
        _str,
        _list_of_str,
        _later_str,
        _bytes,
        _bytearray,
        _nothing_yielded,
        _written_str,
        _twice,
        _bad_status,
        _int_status,
        _informational,
        _split_header,
        _bytes_header,
        _dict_headers,
        _hop_by_hop,
        _bad_length,
        "not callable",
        lambda: None,
    ],
)
def test_a_broken_app_is_a_500_that_tells_nothing(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    x = exchange(app, "GET /path HTTP/1.1", validated=False)
    assert (x.response.status, x.response.keep_alive) == (500, False)
    assert fields(x)[0] == "HTTP/1.1 500 Internal Server Error"
    assert "Connection: close" in fields(x)
    assert body(x) == b"500 Internal Server Error\n"
    assert sent(x).count(b"HTTP/1.1") == 1
    (record,) = caplog.records
    assert (record.levelname, "GET /path" in record.getMessage()) == ("ERROR", True)
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        SystemExit("secret"),
        MemoryError("secret"),
        StopIteration("secret"),
    ],
)
class TestRaising:
    """At any point, whatever is raised."""

    def _check(self, x: Any, caplog: pytest.LogCaptureFixture) -> None:
        assert x.response.keep_alive is False
        assert b"secret" not in sent(x)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "secret" in caplog.text

    def test_before_start_response(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            raise error

        x = exchange(app)
        assert (x.response.status, body(x)) == (500, b"500 Internal Server Error\n")
        self._check(x, caplog)

    def test_after_start_response(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [("X-Secret", "1"), ("Content-Type", "x/y")])
            raise error

        x = exchange(app)
        assert x.response.status == 500
        assert "X-Secret: 1" not in fields(x)
        self._check(x, caplog)

    def test_before_the_first_piece(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        class App:
            def __init__(self, environ: Any, start_response: Start) -> None:
                start_response("200 OK", [("Content-Type", "x/y")])

            def __iter__(self) -> Iterator[bytes]:
                raise error

        x = exchange(App, validated=False)
        assert x.response.status == 500
        self._check(x, caplog)

    def test_between_pieces(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        class Pieces:
            left = 2
            closed = 0

            def __iter__(self) -> Any:
                return self

            def __next__(self) -> bytes:
                self.left -= 1
                if not self.left:
                    raise RuntimeError("secret") if isinstance(error, StopIteration) else error
                return b"part"

            def close(self) -> None:
                self.closed += 1

        pieces = Pieces()

        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [("Content-Type", "x/y")])
            return pieces

        x = exchange(app)
        assert (x.response.status, body(x), pieces.closed) == (200, b"4\r\npart\r\n", 1)
        self._check(x, caplog)

    def test_in_close(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        class Pieces(list[bytes]):
            def close(self) -> None:
                raise error

        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [])
            return Pieces([b"whole"])

        x = exchange(app, validated=False)
        assert (x.response.status, body(x)) == (200, b"whole")
        self._check(x, caplog)


class TestContentLength:
    """A wrong one: short closes, long is cut; the log tells of both."""

    def _app(self, length: int, pieces: Any) -> Any:
        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [("Content-Type", "x/y"), ("Content-Length", str(length))])
            return pieces

        return app

    @pytest.mark.parametrize(
        "pieces",
        [[b"hello"], [b"he", b"llo"], iter([b"he", b"llo"]), iter([b"hello"]), iter([b"hel", b"l", b"o"])],
    )
    def test_too_much_is_cut(self, pieces: Any, caplog: pytest.LogCaptureFixture) -> None:
        x = exchange(self._app(3, pieces), "GET /a HTTP/1.1", validated=False)
        assert (body(x), x.response.bytes_sent, x.response.keep_alive) == (b"hel", 3, False)
        (message,) = caplog.messages
        assert "GET /a" in message
        assert "more than its Content-Length of 3" in message

    @pytest.mark.parametrize("pieces", [[b"hello"], [b"he", b"llo"], iter([b"he", b"llo"]), [], iter(())])
    def test_too_little_closes(self, pieces: Any, caplog: pytest.LogCaptureFixture) -> None:
        x = exchange(self._app(9, pieces), "GET /a HTTP/1.1", validated=False)
        assert body(x) in (b"hello", b"")
        assert "Content-Length: 9" in fields(x)
        assert x.response.keep_alive is False
        assert [
            "GET /a" in message and "less than its Content-Length of 9" in message
            for message in caplog.messages
        ] == [True]

    @pytest.mark.parametrize(
        "pieces", [[b"hello"], [b"he", b"llo"], iter([b"he", b"llo"]), iter([b"hello", b""])]
    )
    def test_a_right_one_is_fine(self, pieces: Any, caplog: pytest.LogCaptureFixture) -> None:
        x = exchange(self._app(5, pieces), validated=False)
        assert (body(x), x.response.keep_alive) == (b"hello", True)
        assert not caplog.records

    def test_of_head_does_not_count(self, caplog: pytest.LogCaptureFixture) -> None:
        assert exchange(self._app(5, []), "HEAD / HTTP/1.1").response.keep_alive
        assert not caplog.records


class TestEnded:
    """By the server: after request_timeout, or when it stops."""

    def _app(self, error: BaseException, begin: bool) -> Any:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [])
            if begin:
                yield b"part"
            raise error

        return app

    @pytest.mark.parametrize(("error", "status"), [(RequestTimeout(), 504), (GreenletExit(), 503)])
    def test_before_the_answer(
        self, error: BaseException, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        x = exchange(self._app(error, False), validated=False)
        assert (x.response.status, x.response.keep_alive) == (status, False)
        assert f"HTTP/1.1 {status} " in fields(x)[0] + " "
        assert len(caplog.records) == (1 if status == 504 else 0)

    @pytest.mark.parametrize("error", [RequestTimeout(), GreenletExit()])
    def test_in_the_middle(self, error: BaseException) -> None:
        x = exchange(self._app(error, True), validated=False)
        assert (x.response.status, x.response.keep_alive, body(x)) == (200, False, b"4\r\npart\r\n")

    def test_no_exception_that_an_app_swallows_by_the_way(self) -> None:
        assert not issubclass(RequestTimeout, Exception)


def test_a_secret_in_the_target_cannot_forge_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Start) -> Any:
        raise ValueError("x")

    exchange(app, "GET /a%0d%0aforged HTTP/1.1")
    assert "%0d%0a" in caplog.messages[0]


def test_an_interrupt_is_for_the_program_too() -> None:
    def app(environ: Any, start_response: Start) -> Any:
        raise KeyboardInterrupt

    x = exchange(app)
    assert x.response.status == 500
    with pytest.raises(KeyboardInterrupt):
        sleep(1)
