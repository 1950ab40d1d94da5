"""responses: the head of an answer and its framing, in the order of RFC 9112 and RFC 9110."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from greenserve.errors import AppError
from greenserve.http1 import ResponseHead, check_head, encode_error, response_head

_DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
_SERVER = "Server: greenserve\r\n"


def _answer(
    status: str = "200 OK",
    *fields: tuple[Any, Any],
    method: str = "GET",
    http11: bool = True,
    keep_alive: bool = True,
    length: int | None = 3,
) -> ResponseHead:
    given = check_head(status, list(fields))
    return response_head(given, method, http11, keep_alive, length, _DATE, _SERVER)


def _lines(answer: ResponseHead) -> list[str]:
    assert answer.data.endswith(b"\r\n\r\n")
    return answer.data[:-4].decode("latin-1").split("\r\n")


class TestStatusLine:
    """RFC 9112 §4."""

    def test_4_the_whole_head(self) -> None:
        assert _answer("200 OK", ("Content-Type", "text/plain")).data == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: greenserve\r\n\r\n"
        )

    def test_4_the_version_is_the_servers_own_whatever_the_client_speaks(self) -> None:
        assert _lines(_answer(http11=False))[0] == "HTTP/1.1 200 OK"


class TestFields:
    """RFC 9112 §5, RFC 9110 §5."""

    def test_9110_6_6_1_date_and_server_come_unless_the_app_sent_them(self) -> None:
        assert {_DATE.strip(), _SERVER.strip()} < set(_lines(_answer()))
        lines = _lines(_answer("200 OK", ("date", "now"), ("SERVER", "mine")))
        assert lines[1:] == ["date: now", "SERVER: mine", "Content-Length: 3"]
        bare = response_head(check_head("200 OK", []), "GET", True, True, 0, _DATE, "")
        assert "Server" not in bare.data.decode()


class TestFraming:
    """RFC 9112 §6, RFC 9110 §8.6."""

    def test_6_2_the_length_that_is_known(self) -> None:
        answer = _answer(length=5)
        assert (answer.length, answer.chunked, answer.keep_alive) == (5, False, True)
        assert "Content-Length: 5" in _lines(answer)

    def test_6_2_the_apps_own_length_wins(self) -> None:
        for fields in ([("content-length", "9")], [("Content-Length", "9"), ("content-length", "09")]):
            answer = _answer("200 OK", *fields, length=5)
            assert (answer.length, answer.data.lower().count(b"content-length: 9\r\n")) == (9, 1)

    def test_7_1_an_unknown_length_is_chunked_in_http_1_1(self) -> None:
        answer = _answer(length=None)
        assert (answer.length, answer.chunked, answer.keep_alive) == (None, True, True)
        assert "Transfer-Encoding: chunked" in _lines(answer)

    def test_6_1_and_ends_with_the_connection_in_http_1_0(self) -> None:
        answer = _answer(length=None, http11=False)
        assert (answer.length, answer.chunked, answer.keep_alive) == (None, False, False)
        assert _lines(answer)[-1] == "Connection: close"
        assert b"Transfer" not in answer.data

    @pytest.mark.parametrize(
        ("status", "method"), [("204 No Content", "GET"), ("304 Not Modified", "GET"), ("200 OK", "HEAD")]
    )
    @pytest.mark.parametrize("length", [None, 3])
    def test_9110_6_4_1_answers_without_content(self, status: str, method: str, length: int | None) -> None:
        answer = _answer(status, method=method, length=length)
        assert (answer.bodyless, answer.length, answer.chunked, answer.keep_alive) == (
            True,
            None,
            False,
            True,
        )
        assert b"Transfer-Encoding" not in answer.data
        assert b"Content-Length" not in answer.data

    def test_9110_8_6_head_and_304_may_tell_of_the_length_and_204_may_not(self) -> None:
        length = ("Content-Length", "7")
        assert b"Content-Length: 7\r\n" in _answer("200 OK", length, method="HEAD").data
        assert b"Content-Length: 7\r\n" in _answer("304 Not Modified", length).data
        assert b"Content-Length" not in _answer("204 No Content", length).data

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("http11", [True, False])
    def test_9110_15_3_6_205_has_no_content_and_says_so(self, method: str, http11: bool) -> None:
        for fields in ([], [("Content-Length", "7")]):
            answer = _answer("205 Reset Content", *fields, method=method, http11=http11, length=None)
            assert (answer.bodyless, answer.length, answer.chunked) == (True, None, False)
            assert answer.keep_alive
            assert _lines(answer).count("Content-Length: 0") == 1
            assert answer.data.count(b"Content-Length") == 1


class TestConnection:
    """RFC 9112 §9."""

    @pytest.mark.parametrize(
        ("http11", "keep_alive", "line"),
        [(True, True, None), (True, False, "close"), (False, True, "keep-alive"), (False, False, "close")],
    )
    def test_9_3_what_is_not_the_versions_default_is_said(
        self, http11: bool, keep_alive: bool, line: str | None
    ) -> None:
        lines = _lines(_answer(http11=http11, keep_alive=keep_alive))
        assert [x for x in lines if x.startswith("Connection")] == (
            [] if line is None else [f"Connection: {line}"]
        )

    @pytest.mark.parametrize("value", ["close", "Close", "x, close", "close ,\tx", ",close"])
    def test_9_6_the_app_can_close_and_cannot_keep_open(self, value: str) -> None:
        answer = _answer("200 OK", ("Connection", value))
        assert (answer.keep_alive, _lines(answer)[-1]) == (False, "Connection: close")
        assert answer.data.count(b"onnection") == 1

    @pytest.mark.parametrize("http11", [True, False])
    @pytest.mark.parametrize("value", ["keep-alive", "disclose", "x-close", ""])
    def test_9_6_other_options_mean_nothing(self, value: str, http11: bool) -> None:
        assert _answer("200 OK", ("Connection", value), http11=http11).keep_alive
        answer = _answer("200 OK", ("connection", "keep-alive"), keep_alive=False)
        assert (answer.keep_alive, _lines(answer)[-1]) == (False, "Connection: close")


class TestErrors:
    """RFC 9110 §15.5 and §15.6: the server's own."""

    @pytest.mark.parametrize("status", [400, 408, 411, 413, 414, 417, 431, 500, 501, 503, 504, 505])
    def test_15_a_whole_answer_that_closes(self, status: int) -> None:
        head, body = encode_error(status, "why", _DATE, _SERVER, extra=(("Retry-After", "1"),))
        assert head.index(b"\r\n\r\n") == len(head) - 4
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nConnection: close" in head
        assert b"\r\nRetry-After: 1\r\n" in head
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
        assert body.startswith(b"%d " % status)
        assert body.endswith(b"\nwhy\n")

    def test_9110_9_3_2_head_gets_no_content_and_its_length(self) -> None:
        head, body = encode_error(500, "", _DATE, _SERVER)
        assert body
        assert encode_error(500, "", _DATE, _SERVER, head_only=True) == (head, b"")

    def test_15_5_14_the_name_is_that_of_rfc_9110(self) -> None:
        assert encode_error(413, "", _DATE, _SERVER)[0].startswith(b"HTTP/1.1 413 Content Too Large\r\n")


class TestMemory:
    """Heads that were made before are not made again; what differs in anything is another one."""

    def test_everything_that_goes_in_tells_heads_apart(self) -> None:
        heads = {
            _answer(status, field, method=method, http11=http11, keep_alive=keep_alive, length=length).data
            for status in ("200 OK", "201 OK")
            for field in (("A", "b"), ("A", "c"))
            for method in ("GET", "HEAD")
            for http11 in (True, False)
            for keep_alive in (True, False)
            for length in (1, 2)
            for _ in range(2)
        }
        # HEAD is not told a length of ours; closing is said alike by both versions.
        assert len(heads) == 2 * 2 * (2 + 1) * 3

    def test_the_date_is_never_an_old_one(self) -> None:
        given = check_head("200 OK", [])
        for date in ("Date: 1\r\n", "Date: 2\r\n", "Date: 1\r\n"):
            assert date.encode() in response_head(given, "GET", True, True, 0, date, "").data

    def test_of_one_head_the_last_is_remembered_alone(self) -> None:
        given = check_head("200 OK", [])

        def answer(length: int) -> ResponseHead:
            return response_head(given, "GET", True, True, length, _DATE, "")

        first = answer(1)
        assert answer(1) is first
        second = answer(2)
        assert answer(2) is second
        assert answer(1) is not first
        assert answer(1) == first


_TEXT = st.text(st.characters(max_codepoint=300), max_size=6) | st.sampled_from(
    ["\r\n", "x", "close", "0", "chunked", "Content-Length"]
)


@given(
    _TEXT,
    st.lists(st.tuples(_TEXT, _TEXT), max_size=4),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 99),
)
@examples(300)
def test_whatever_the_app_gives_it_is_one_head_or_its_error(
    phrase: str, fields: list[tuple[str, str]], http11: bool, keep_alive: bool, length: int | None
) -> None:
    try:
        given = check_head(f"200 {phrase}", fields)
        answer = response_head(given, "GET", http11, keep_alive, length, _DATE, _SERVER)
    except AppError:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")], http_version="1.1"))
    client.send(h11.EndOfMessage())
    client.receive_data(answer.data)
    event = client.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == 200
    assert client.next_event() in (h11.NEED_DATA, h11.EndOfMessage())
    assert not client.trailing_data[0]
