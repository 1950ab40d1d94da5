"""responses: the head of an answer, in the order of RFC 9112 and RFC 9110, and what no app can make of it."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from greenserve.errors import AppError
from greenserve.http1 import AnswerHead, answer_head, continue_head, encode_error

_DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
_SERVER = "Server: greenserve\r\n"


def _answer(
    status: str = "200 OK",
    *fields: tuple[Any, Any],
    method: str = "GET",
    http11: bool = True,
    keep_alive: bool = True,
    length: int | None = 3,
) -> AnswerHead:
    return answer_head(status, list(fields), method, http11, keep_alive, length, _DATE, _SERVER)


def _lines(answer: AnswerHead) -> list[str]:
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

    @pytest.mark.parametrize("status", ["200 ", "404 Not Found", "299 \xe4\xf6", "599 a\tb", "999 x"])
    def test_4_phrases_are_the_apps(self, status: str) -> None:
        answer = _answer(status)
        assert (_lines(answer)[0], answer.status) == (f"HTTP/1.1 {status}", int(status[:3]))

    @pytest.mark.parametrize(
        "status",
        [
            "200",
            "",
            "OK",
            "20 OK",
            "2000 OK",
            "100 Continue",
            "101 Go",
            "000 x",
            "٢٠٠ OK",
            " 200 OK",
            "200 O\r\nK",
            "200 \0",
            "200 \u20ac",
            200,
            None,
            b"200 OK",
        ],
    )
    def test_4_anything_else_is_the_apps_error(self, status: Any) -> None:
        with pytest.raises(AppError, match="status"):
            _answer(status)


class TestFields:
    """RFC 9112 §5, RFC 9110 §5."""

    def test_5_in_the_apps_order_and_spelling_with_doubles(self) -> None:
        fields = [("set-cookie", "a=b"), ("X-Y", "\xe4 \t;"), ("Set-Cookie", "c=d"), ("E", "")]
        assert _lines(_answer("200 OK", *fields))[1:5] == [
            "set-cookie: a=b",
            "X-Y: \xe4 \t;",
            "Set-Cookie: c=d",
            "E: ",
        ]

    @pytest.mark.parametrize(
        "value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "\r\n", "\r\n\r\nHTTP/1.1 200 OK", "\u20ac"]
    )
    def test_5_5_no_value_can_begin_another_line(self, value: str) -> None:
        for fields in ([("A", value)], [("B", "c"), ("A", value), ("D", "e")]):
            with pytest.raises(AppError, match="A"):
                _answer("200 OK", *fields)
            with pytest.raises(AppError, match="A"):
                continue_head(fields)

    @pytest.mark.parametrize("value", ["\r\n", "x\r\n"])
    def test_5_5_two_wrong_values_do_not_make_up_for_each_other(self, value: str) -> None:
        with pytest.raises(AppError):
            _answer("200 OK", ("A", value), ("B", value))

    @pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "\xe4", "A\0", "(", "\u20ac"])
    def test_5_1_a_name_is_a_token(self, name: str) -> None:
        for _ in range(2):  # the second time it comes from a table
            with pytest.raises(AppError, match="token"):
                _answer("200 OK", (name, "x"))
            with pytest.raises(AppError, match="token"):
                continue_head([(name, "x")])

    @pytest.mark.parametrize(
        "fields",
        [
            None,
            1,
            [1],
            ["Aa"[:1]],
            [("A",)],
            [("A", "b", "c")],
            [("A", b"b")],
            [(b"A", "b")],
            [("A", 1)],
            [("A", None)],
            [(None, "b")],
            [(["A"], "b")],
        ],
    )
    def test_3333_fields_are_pairs_of_str(self, fields: Any) -> None:
        with pytest.raises(AppError):
            answer_head("200 OK", fields, "GET", True, True, 0, _DATE, _SERVER)

    @pytest.mark.parametrize(
        "name", ["Keep-Alive", "transfer-encoding", "TE", "Trailer", "Upgrade", "Proxy-Authenticate"]
    )
    def test_9110_7_6_1_hop_by_hop_fields_are_the_servers(self, name: str) -> None:
        with pytest.raises(AppError, match=f"{name}.*7.6.1"):
            _answer("200 OK", (name, "chunked"))

    def test_9110_6_6_1_date_and_server_come_unless_the_app_sent_them(self) -> None:
        assert {_DATE.strip(), _SERVER.strip()} < set(_lines(_answer()))
        lines = _lines(_answer("200 OK", ("date", "now"), ("SERVER", "mine")))
        assert lines[1:] == ["date: now", "SERVER: mine", "Content-Length: 3"]
        assert "Server" not in answer_head("200 OK", [], "GET", True, True, 0, _DATE, "").data.decode()


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

    @pytest.mark.parametrize("value", ["x", "-1", "+1", "1_0", "", "1, 1", "٣", "1" * 19, "0x1", " 1"])
    def test_9110_8_6_a_length_is_a_number(self, value: str) -> None:
        with pytest.raises(AppError, match="Content-Length"):
            _answer("200 OK", ("Content-Length", value))

    def test_9110_8_6_two_different_lengths(self) -> None:
        with pytest.raises(AppError, match=r"8\.6"):
            _answer("200 OK", ("Content-Length", "1"), ("Content-Length", "2"))

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

    @pytest.mark.parametrize("value", ["close", "Close", "x, close"])
    def test_9_6_the_app_can_close_and_cannot_keep_open(self, value: str) -> None:
        answer = _answer("200 OK", ("Connection", value))
        assert (answer.keep_alive, _lines(answer)[-1]) == (False, "Connection: close")
        answer = _answer("200 OK", ("connection", "keep-alive"), keep_alive=False)
        assert (answer.keep_alive, _lines(answer)[-1]) == (False, "Connection: close")


class TestErrors:
    """RFC 9110 §15.5 and §15.6: the server's own."""

    @pytest.mark.parametrize("status", [400, 408, 411, 413, 414, 417, 431, 500, 501, 503, 504, 505])
    def test_15_a_whole_answer_that_closes(self, status: int) -> None:
        data = encode_error(status, "why", _DATE, _SERVER, extra=(("Retry-After", "1"),))
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nConnection: close" in head
        assert b"\r\nRetry-After: 1\r\n" in head
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
        assert body.startswith(b"%d " % status)
        assert body.endswith(b"\nwhy\n")

    def test_9110_9_3_2_head_gets_no_content_and_its_length(self) -> None:
        whole = encode_error(500, "", _DATE, _SERVER)
        assert (
            encode_error(500, "", _DATE, _SERVER, head_only=True)
            == whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        )

    def test_15_5_14_the_name_is_that_of_rfc_9110(self) -> None:
        assert encode_error(413, "", _DATE, _SERVER).startswith(b"HTTP/1.1 413 Content Too Large\r\n")


def test_9110_15_2_1_continue_with_fields() -> None:
    assert continue_head([]) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert continue_head([("A", "b"), ("C", "\xe4")]) == b"HTTP/1.1 100 Continue\r\nA: b\r\nC: \xe4\r\n\r\n"


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
        answer = answer_head(f"200 {phrase}", fields, "GET", http11, keep_alive, length, _DATE, _SERVER)
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
