"""input: the body as a file (PEP 3333, "Input and Error Streams"), and 100 Continue (RFC 9110 §10.1.1)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.heads import split
from tests.support.servers.links import FakeLink

from greenserve.errors import AppError, BodyError, PeerGone
from greenserve.http1 import ChunkedFraming, LengthFraming, chunk
from greenserve.wsgi import RequestInput

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _input(
    *pieces: bytes | BaseException, length: int = 0, expects: bool = False, ahead: bytes = b""
) -> RequestInput:
    known = len(ahead) + sum(len(piece) for piece in pieces if isinstance(piece, bytes))
    return RequestInput(FakeLink(*pieces), LengthFraming(length or known), ahead, expects)


def _sent(body: RequestInput) -> bytes:
    link = body._link
    assert isinstance(link, FakeLink)
    return link.out


class TestReading:
    def test_reads_as_it_comes_and_not_past_the_end(self) -> None:
        body = _input(b"ab", b"cdefgGET / ", length=7)
        assert [body.read(3), body.read(0), body.read(3), body.read(3), body.read(3)] == [
            b"abc",
            b"",
            b"def",
            b"g",
            b"",
        ]
        assert body.framing.rest == b"GET / "
        assert body.received == 7

    @pytest.mark.parametrize("size", [-1, None, 100])
    def test_reads_everything(self, size: int | None) -> None:
        assert _input(b"abc", b"def").read(size) == b"abcdef"

    def test_asks_for_no_more_than_it_needs(self) -> None:
        # The second piece has not come yet: to wait for it would be to wait for nothing.
        body = _input(b"abc\nd", AssertionError("waited"), length=100)
        assert body.read(2) == b"ab"
        assert body.readline() == b"c\n"
        assert body.read(1) == b"d"

    def test_what_came_with_the_head_comes_first(self) -> None:
        assert _input(b"def", ahead=b"abc").read() == b"abcdef"

    def test_lines(self) -> None:
        data = (b"one\ntw", b"o\n", b"\nfour")
        assert list(_input(*data)) == [b"one\n", b"two\n", b"\n", b"four"]
        assert _input(*data).readlines() == [b"one\n", b"two\n", b"\n", b"four"]
        assert _input(*data).readlines(5) == [b"one\n", b"two\n"]
        body = _input(*data)
        assert [body.readline(2), body.readline(2), body.readline(0), body.readline(-1)] == [
            b"on",
            b"e\n",
            b"",
            b"two\n",
        ]

    def test_an_empty_body(self) -> None:
        body = RequestInput(FakeLink(), ChunkedFraming(), b"0\r\n\r\nGET", False)
        assert (body.read(), body.readline(), body.readlines(), list(body)) == (b"", b"", [], [])
        assert body.framing.rest == b"GET"


_CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from([-1, None, 0, 1, 2, 5, 50])),
        st.tuples(st.just("readline"), st.sampled_from([-1, None, 0, 1, 3, 50])),
        st.tuples(st.just("readlines"), st.sampled_from([None, 0, 1, 7])),
        st.tuples(st.just("__next__"), st.none()),
    ),
    max_size=8,
)


@given(
    st.text("ab\n", max_size=40),
    st.lists(st.integers(0, 60), max_size=6),
    st.booleans(),
    _CALLS,
    st.integers(0, 9),
)
@examples(300)
def test_behaves_as_a_file(text: str, cuts: list[int], chunked: bool, calls: list[Any], ahead: int) -> None:
    content = text.encode()
    data = content
    if chunked:
        data = b"".join(chunk(piece) for piece in split(content, cuts)) + b"0\r\n\r\n"
    framing = ChunkedFraming() if chunked else LengthFraming(len(content))
    pieces = split(data[ahead:] + b"rest", cuts)
    body = RequestInput(FakeLink(*pieces), framing, data[:ahead], False)
    file = io.BytesIO(content)
    for name, argument in calls:
        if name == "__next__":
            assert next(iter(body), None) == next(iter(file), None)
        else:
            assert getattr(body, name)(argument) == getattr(file, name)(argument), name
    assert body.read() == file.read()
    link = body._link
    assert isinstance(link, FakeLink)
    assert body.framing.rest + body.take_ahead() + b"".join(link.incoming) == b"rest"  # type: ignore[arg-type]


class TestContinue:
    def test_10_1_1_is_sent_before_the_first_wait_and_once(self) -> None:
        body = _input(b"abc", b"def", expects=True)
        assert _sent(body) == b""
        assert body.read(0) == b""
        assert body.is_unusable
        assert body.read(2) == b"ab"
        assert not body.is_unusable
        body.read()
        assert _sent(body) == _CONTINUE

    def test_10_1_1_is_not_sent_to_who_did_not_ask(self) -> None:
        body = _input(b"abc")
        body.send_hundred_continue_response()
        body.read()
        assert _sent(body) == b""

    def test_10_1_1_is_not_sent_once_the_body_comes(self) -> None:
        body = _input(b"abc", expects=True, ahead=b"x")
        assert not body.is_unusable
        body.read()
        assert _sent(body) == b""

    def test_the_app_sends_it_when_it_likes(self) -> None:
        body = _input(b"abc", expects=True)
        body.send_hundred_continue_response()
        assert _sent(body) == _CONTINUE
        assert not body.is_unusable
        body.send_hundred_continue_response()
        assert body.read() == b"abc"
        assert _sent(body) == _CONTINUE

    def test_the_app_puts_fields_into_it(self) -> None:
        body = _input(b"abc", expects=True)
        body.set_hundred_continue_response_headers([("X-Quota", "7"), ("A", "b")])
        assert _sent(body) == b""
        body.read(1)
        assert _sent(body) == b"HTTP/1.1 100 Continue\r\nX-Quota: 7\r\nA: b\r\n\r\n"
        body.set_hundred_continue_response_headers([("too", "late")])
        body.read()
        assert _sent(body).count(b"100 Continue") == 1

    def test_the_apps_fields_are_checked(self) -> None:
        for body in (_input(b"abc", expects=True), _input(b"abc")):
            with pytest.raises(AppError):
                body.set_hundred_continue_response_headers([("A", "b\r\nHTTP/1.1 200 OK")])

    def test_10_1_1_never_after_the_final_answer_has_begun(self) -> None:
        body = _input(b"abc", expects=True)
        body.response_begun()
        body.send_hundred_continue_response()
        assert body.read() == b"abc"  # a client that did not wait
        assert _sent(body) == b""
        assert body.is_unusable


class TestErrors:
    @pytest.mark.parametrize(
        ("pieces", "limit", "status"),
        [
            ((b"zz\r\n",), 0, 400),
            ((b"3\r\nabcX",), 0, 400),
            ((b"4\r\nabcd\r\n",), 3, 413),
            ((b"1\r\na", TimeoutError()), 0, 408),
        ],
    )
    def test_a_body_that_cannot_be_read(self, pieces: tuple[Any, ...], limit: int, status: int) -> None:
        body = RequestInput(FakeLink(*pieces), ChunkedFraming(limit), b"", False)
        for _ in range(2):  # it stays so
            with pytest.raises(BodyError) as caught:
                body.read()
            assert caught.value.status == status
            assert isinstance(caught.value, OSError)
        assert body.is_unusable

    @pytest.mark.parametrize("end", [b"", PeerGone("reset")])
    def test_a_client_that_goes_away(self, end: bytes | BaseException) -> None:
        body = _input(b"abc", end, length=10)
        assert body.read(3) == b"abc"
        for call in (body.read, body.readline, body.readlines, lambda: list(body)):
            with pytest.raises(PeerGone):
                call()
        assert isinstance(body.failed, ConnectionError)

    def test_what_was_read_before_stays_read(self) -> None:
        body = _input(b"line\nabc", TimeoutError(), length=10)
        assert body.readline() == b"line\n"
        with pytest.raises(BodyError, match="body_timeout"):
            body.read()

    @pytest.mark.parametrize(
        ("call", "first"),
        [("read", b"ab"), ("readline", b"ab"), ("readlines", b"ab"), ("readlines", b"a\nb\nc")],
    )
    def test_what_a_timeout_of_the_apps_own_interrupts_is_not_lost(self, call: str, first: bytes) -> None:
        class Interrupted(BaseException):
            pass

        body = _input(first, Interrupted(), b"cd", Interrupted(), b"ef", length=len(first) + 4)
        for _ in range(2):
            with pytest.raises(Interrupted):
                getattr(body, call)()
        assert not body.is_unusable
        assert body.read() == first + b"cdef"

    def test_after_the_requests_end_nothing_is_read(self) -> None:
        # What comes now is the next request's.
        body = _input(b"abc")
        body.end()
        with pytest.raises(PeerGone, match="over"):
            body.read()


def test_how_much_is_still_to_come() -> None:
    body = _input(b"x" * 50, ahead=b"x" * 50)
    assert body.has_more_than(49)
    assert not body.has_more_than(50)
    body.read(60)
    assert not body.has_more_than(0)


class TestSeveralSteps:
    """send_continue(): for protocols that go on behind the end of a body."""

    def test_is_sent_whether_it_was_asked_for_or_not(self) -> None:
        body = _input(ahead=b"abc")
        body.send_continue([("X-Step", "1")])
        assert _sent(body) == b"HTTP/1.1 100 Continue\r\nX-Step: 1\r\n\r\n"
        assert body.read() == b"abc"
        assert not body.is_unusable

    def test_takes_the_place_of_the_one_that_the_client_waits_for(self) -> None:
        body = _input(b"abc", expects=True)
        body.send_continue([])
        assert body.read() == b"abc"
        assert _sent(body) == _CONTINUE

    def test_another_chunked_body_follows_one_that_was_read(self) -> None:
        link = FakeLink(b"1\r\na\r\n0\r\n\r\n1\r\nb", b"\r\n0\r\n\r\nGET")
        framing = ChunkedFraming()
        body = RequestInput(link, framing, b"", False)
        assert (body.read(), body.read()) == (b"a", b"")
        body.send_continue([])
        assert (body.read(), framing.rest) == (b"b", b"GET")

    def test_its_fields_are_checked(self) -> None:
        with pytest.raises(AppError):
            _input(b"a").send_continue([("Content-Length", "1")])
