"""exchange: one request through an app, in the order of PEP 3333; what goes wrong in test_app_errors.py."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from tests.support.servers.links import DATE, FakeLink, body, exchange, fields, sent

from greenserve.errors import AppError
from greenserve.http1 import chunk

_PLAIN = [("Content-Type", "text/plain")]


def _app(pieces: Any, status: str = "200 OK", headers: list[tuple[str, str]] | None = None) -> Any:
    """An app that answers with `pieces`, whatever that is."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, _PLAIN if headers is None else headers)
        return pieces

    return app


class _Pieces:
    """An iterable that knows neither its length nor anything else, and notes when it is closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed += 1


class TestTheAnswer:
    def test_a_list_of_one_goes_out_in_one_send(self) -> None:
        x = exchange(_app([b"hello"]), validated=False)
        assert isinstance(x.link, FakeLink)
        assert x.link.sent == [
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
            + DATE.encode()
            + b"Server: greenserve\r\n\r\nhello"
        ]
        assert (x.response.status, x.response.bytes_sent, x.response.keep_alive) == (200, 5, True)

    @pytest.mark.parametrize("pieces", [[b"a", b"bc", b""], (b"abc",), [b"", b"abc"]])
    def test_lists_and_tuples_have_a_length(self, pieces: Any) -> None:
        x = exchange(_app(pieces), validated=False)
        assert body(x) == b"abc"
        assert "Content-Length: 3" in fields(x)

    def test_any_iterable_of_one_has_a_length(self) -> None:
        x = exchange(_app([b"abc"]))  # the checker wraps it and passes no len() on
        assert body(x) == chunk(b"abc") + b"0\r\n\r\n"
        one = exchange(_app({b"abc": 1}), validated=False)
        assert "Content-Length: 3" in fields(one)

    @pytest.mark.parametrize("validated", [True, False])
    def test_each_piece_goes_out_as_it_comes(self, validated: bool) -> None:
        link = FakeLink()
        sent_before: list[int] = []

        def pieces() -> Iterator[bytes]:
            for piece in (b"one", b"", b"two"):
                sent_before.append(len(link.sent))
                yield piece

        x = exchange(_app(pieces()), link=link, validated=validated)
        assert sent_before == [0, 1, 1]
        assert body(x) == chunk(b"one") + chunk(b"two") + b"0\r\n\r\n"
        assert "Transfer-Encoding: chunked" in fields(x)
        assert (x.response.bytes_sent, x.response.keep_alive) == (6, True)

    def test_an_app_that_is_a_generator(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", "2")])
            yield b"a"
            yield b"b"

        assert body(exchange(app, validated=False)) == b"ab"

    def test_start_response_may_come_after_empty_pieces(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            yield b""
            start_response("200 OK", [])
            yield b"a"

        assert body(exchange(app, validated=False)) == chunk(b"a") + b"0\r\n\r\n"

    @pytest.mark.parametrize("pieces", [[], (), [b""], [b"", b""], iter(()), iter([b""])])
    def test_no_content_has_the_length_0(self, pieces: Any) -> None:
        x = exchange(_app(pieces), validated=False)
        assert (body(x), x.response.bytes_sent) == (b"", 0)
        assert "Content-Length: 0" in fields(x)

    def test_http_1_0_gets_no_chunks_and_the_connection_ends(self) -> None:
        x = exchange(_app(_Pieces(b"a", b"b")), "GET / HTTP/1.0", "Connection: keep-alive")
        assert (body(x), x.response.keep_alive) == (b"ab", False)
        assert fields(x)[-1] == "Connection: close"
        x = exchange(_app([b"ab"]), "GET / HTTP/1.0", "Connection: keep-alive", validated=False)
        assert (body(x), x.response.keep_alive) == (b"ab", True)
        assert fields(x)[-1] == "Connection: keep-alive"

    def test_large_pieces_arrive_whole(self) -> None:
        large = bytes(range(256)) * 1000
        for pieces in ([large], [large, b"x", large], _Pieces(large, large)):
            x = exchange(_app(pieces), validated=False)
            content = b"".join(pieces)
            assert x.response.bytes_sent == len(content)
            if isinstance(pieces, list):
                assert body(x) == content
            else:
                assert body(x) == chunk(large) * 2 + b"0\r\n\r\n"

    def test_the_head_is_that_of_the_call(self) -> None:
        headers = [("X-A", "b")]

        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", headers)
            headers[:] = [("X-A", "c\r\nX-B: d"), ("Content-Length", "0")]
            yield b"x"

        x = exchange(app, validated=False)
        assert fields(x)[1:3] == ["X-A: b", "Transfer-Encoding: chunked"]

    def test_a_server_that_stops_says_so(self) -> None:
        x = exchange(_app([b"x"]), keep_alive=False)
        assert (fields(x)[-1], x.response.keep_alive) == ("Connection: close", False)

    def test_the_app_may_close(self) -> None:
        x = exchange(_app([b"x"], headers=[("Connection", "close")]), validated=False)
        assert (fields(x)[-1], x.response.keep_alive) == ("Connection: close", False)


class TestWithoutContent:
    """RFC 9110 §6.4.1 and §9.3.2."""

    @pytest.mark.parametrize("pieces", [[b"content"], [b"con", b"tent"], _Pieces(b"con", b"tent"), []])
    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("HEAD / HTTP/1.1", "200 OK"),
            ("GET / HTTP/1.1", "204 No Content"),
            ("GET / HTTP/1.1", "304 Not Modified"),
        ],
    )
    def test_content_is_dropped(self, line: str, status: str, pieces: Any) -> None:
        x = exchange(_app(pieces, status, []), line, validated=False)
        assert (body(x), x.response.bytes_sent, x.response.keep_alive) == (b"", 0, True)
        assert not any(field.startswith(("Transfer-Encoding", "Content-Length")) for field in fields(x))

    def test_head_has_the_apps_length(self) -> None:
        x = exchange(_app([b"content"], headers=[*_PLAIN, ("Content-Length", "7")]), "HEAD / HTTP/1.1")
        assert (body(x), x.response.keep_alive) == (b"", True)
        assert "Content-Length: 7" in fields(x)

    def test_head_with_write_goes_out_once(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            write = start_response("200 OK", _PLAIN)
            write(b"a")
            write(b"b")
            return [b"c"]

        assert sent(exchange(app, "HEAD / HTTP/1.1")).count(b"HTTP/1.1") == 1


class TestStartResponse:
    """PEP 3333, "The start_response() Callable": what is wrong is told to the app, in its own line."""

    def test_an_app_can_catch_it_and_answer_otherwise(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            for status, headers in (
                ("200 OK", [("X-A", "b\r\nX-C: d")]),
                ("200 OK\r\nX-A: b", _PLAIN),
                ("100 Continue", _PLAIN),
                ("200 OK", [("Transfer-Encoding", "chunked")]),
            ):
                with pytest.raises(AppError):
                    start_response(status, headers)
            start_response("200 OK", _PLAIN)
            return [b"x"]

        x = exchange(app, validated=False)
        assert (x.response.status, x.response.keep_alive) == (200, True)
        assert b"X-A" not in sent(x)

    def test_the_log_shows_the_apps_line(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [("X-A", "\n")])  # this very line
            raise AssertionError("not reached")

        assert exchange(app, validated=False).response.status == 500
        assert "this very line" in caplog.text

    def test_an_app_that_hides_it_has_no_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            with pytest.raises(AppError):
                start_response("200 OK", [("X-A", "\n")])
            return [b"x"]

        assert exchange(app, validated=False).response.status == 500
        assert "before it called start_response" in caplog.text

    def test_nothing_is_left_of_an_answer_that_was_replaced(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "99"), ("Connection", "close"), ("X-A", "b")])
            try:
                raise ValueError
            except ValueError:
                start_response("500 Sorry", _PLAIN, sys.exc_info())
            return [b"sorry"]

        x = exchange(app, validated=False)
        assert (fields(x)[1:3], x.response.keep_alive) == (
            ["Content-Type: text/plain", "Content-Length: 5"],
            True,
        )

    @pytest.mark.parametrize(
        ("status", "headers"),
        [("500 Sorry\r\nX: y", _PLAIN), ("500 Sorry", [("X", "\r\n\r\nHTTP/1.1 200 OK")]), (None, None)],
    )
    def test_with_exc_info_it_is_checked_as_ever(
        self, status: Any, headers: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", _PLAIN)
            try:
                raise ValueError
            except ValueError:
                start_response(status, headers, sys.exc_info())
            return [b"sorry"]

        x = exchange(app, validated=False)
        assert (fields(x)[0], x.response.keep_alive) == ("HTTP/1.1 500 Internal Server Error", False)
        assert sent(x).count(b"HTTP/1.1") == 1
        assert caplog.records

    def test_with_exc_info_after_the_head_nothing_of_it_is_looked_at(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", _PLAIN)
            yield b"part"
            try:
                raise ValueError("the cause")
            except ValueError:
                start_response("500 X\r\nHTTP/1.1 200 OK", [("A", "\r\n\r\n")], sys.exc_info())

        x = exchange(app, validated=False)
        assert (body(x), x.response.keep_alive) == (chunk(b"part"), False)
        assert sent(x).count(b"HTTP/1.1") == 1
        assert "the cause" in caplog.text


class TestWrite:
    """PEP 3333, "The write() Callable"."""

    def test_comes_before_what_is_returned(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            write = start_response("200 OK", _PLAIN)
            write(b"a")
            write(b"")
            write(b"b")
            return [b"c"]

        for validated in (True, False):
            x = exchange(app, validated=validated)
            assert body(x) == chunk(b"a") + chunk(b"b") + chunk(b"c") + b"0\r\n\r\n"
            assert x.response.bytes_sent == 3

    def test_goes_out_at_once(self) -> None:
        link = FakeLink()

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            write = start_response("200 OK", [*_PLAIN, ("Content-Length", "1")])
            write(b"a")
            assert link.out.endswith(b"\r\n\r\na")
            return []

        assert exchange(app, link=link).response.status == 200

    def test_never_after_the_end(self) -> None:
        kept: list[Any] = []

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            kept.append(start_response("200 OK", _PLAIN))
            return [b"x"]

        x = exchange(app, validated=False)
        before = sent(x)
        with pytest.raises(AppError, match="end"):
            kept[0](b"late")
        assert sent(x) == before


class TestExcInfo:
    """PEP 3333, "Error Handling"."""

    def test_replaces_a_head_that_is_not_out(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [*_PLAIN, ("X-A", "b")])
            try:
                raise ValueError
            except ValueError:
                start_response("503 Sorry", _PLAIN, sys.exc_info())
            return [b"sorry"]

        x = exchange(app)
        assert (x.response.status, fields(x)[0]) == (503, "HTTP/1.1 503 Sorry")
        assert "X-A: b" not in fields(x)

    def test_raises_it_again_when_the_head_is_out(self, caplog: pytest.LogCaptureFixture) -> None:
        reached: list[str] = []

        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", _PLAIN)
            yield b"part"
            try:
                raise ValueError("the cause")
            except ValueError:
                start_response("500 Sorry", _PLAIN, sys.exc_info())
            reached.append("not here")
            yield b"more"

        x = exchange(app, validated=False)
        assert (x.response.status, x.response.keep_alive, reached) == (200, False, [])
        assert body(x) == chunk(b"part")  # and no end: the client sees that it is not whole
        assert "the cause" in caplog.text

    def test_may_come_first(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            try:
                raise ValueError
            except ValueError:
                start_response("500 Sorry", _PLAIN, sys.exc_info())
            return [b"sorry"]

        assert exchange(app).response.status == 500


class TestClose:
    """PEP 3333: close() is called on every path, once."""

    @pytest.mark.parametrize("line", ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"])
    def test_after_the_last_piece(self, line: str) -> None:
        pieces = _Pieces(b"a", b"b")
        exchange(_app(pieces), line)
        assert pieces.closed == 1

    def test_of_a_list_that_has_one(self) -> None:
        class Closing(list[bytes]):
            closed = 0

            def close(self) -> None:
                self.closed += 1

        pieces = Closing([b"a"])
        assert "Content-Length: 1" in fields(exchange(_app(pieces), validated=False))
        assert pieces.closed == 1

    def test_when_the_client_has_gone(self) -> None:
        pieces = _Pieces(b"a", b"b")
        link = FakeLink()
        link.gone = True
        assert not exchange(_app(pieces), link=link).response.keep_alive
        assert pieces.closed == 1

    def test_comes_after_what_is_out(self) -> None:
        link = FakeLink()
        seen: list[bytes] = []

        class Last(_Pieces):
            def close(self) -> None:
                seen.append(link.out)

        exchange(_app(Last(b"a")), link=link)
        assert seen[0].endswith(b"0\r\n\r\n")


class TestTheBody:
    """What came with the request, and what follows from how it was read."""

    def test_is_read_by_the_app(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", _PLAIN)
            return [environ["wsgi.input"].read(3), environ["wsgi.input"].read(9)]

        x = exchange(app, "POST / HTTP/1.1", "Content-Length: 5", link=FakeLink(b"hel", b"lo"))
        assert body(x) == chunk(b"hel") + chunk(b"lo") + b"0\r\n\r\n"
        assert (x.input.received, x.response.keep_alive) == (5, True)

    def test_100_continue_then_the_answer(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            body = environ["wsgi.input"].read(5)
            start_response("200 OK", _PLAIN)
            return [body]

        lines = ("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")
        x = exchange(app, *lines, link=FakeLink(b"hello"))
        assert sent(x).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert x.response.keep_alive

    def test_100_continue_is_not_sent_for_a_body_that_is_not_read(self) -> None:
        x = exchange(_app([b"no"], "403 No"), "POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")
        assert sent(x).startswith(b"HTTP/1.1 403 No\r\n")
        assert (fields(x)[-1], x.response.keep_alive) == ("Connection: close", False)

    @pytest.mark.parametrize(
        ("piece", "status"), [(b"zz\r\n", 400), (b"7\r\nabcdefg\r\n", 413), (TimeoutError(), 408)]
    )
    def test_a_body_that_cannot_be_read_is_the_clients_error(self, piece: Any, status: int) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ["wsgi.input"].read(10)
            raise AssertionError("not reached")

        x = exchange(app, "POST / HTTP/1.1", "Transfer-Encoding: chunked", link=FakeLink(piece), limit=5)
        assert (x.response.status, x.response.keep_alive) == (status, False)
        assert "Connection: close" in fields(x)

    def test_an_app_that_answers_itself_closes_too(self) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            try:
                environ["wsgi.input"].read(10)
            except OSError:
                start_response("400 Mine", _PLAIN)
            return [b"mine"]

        x = exchange(app, "POST / HTTP/1.1", "Transfer-Encoding: chunked", link=FakeLink(b"zz\r\n"))
        assert (fields(x)[0], fields(x)[-1], x.response.keep_alive) == (
            "HTTP/1.1 400 Mine",
            "Connection: close",
            False,
        )

    def test_more_than_is_thrown_away_closes_and_is_told(self) -> None:
        for length, closes in ((1 << 16, False), ((1 << 16) + 1, True)):
            x = exchange(_app([b"no"]), "POST / HTTP/1.1", f"Content-Length: {length}")
            assert (fields(x)[-1] == "Connection: close", x.response.keep_alive) == (closes, not closes)

    def test_a_client_that_went_away_gets_no_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ["wsgi.input"].read(10)
            raise AssertionError("not reached")

        x = exchange(app, "POST / HTTP/1.1", "Content-Length: 5", link=FakeLink(b"ab"))
        assert (sent(x), x.response.status, x.response.keep_alive) == (b"", 0, False)
        assert not caplog.records
