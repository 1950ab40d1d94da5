"""bodies: where a body ends and what of it is content, in the order of RFC 9112 §6 and §7."""

from __future__ import annotations

import pytest

from greenserve.errors import LimitExceeded, ProtocolError
from greenserve.http1 import BodyFraming, ChunkedFraming, LengthFraming, chunk


def _feed(framing: BodyFraming, *pieces: bytes) -> bytes:
    return b"".join([framing.feed(piece) for piece in pieces])


def _refusal(
    data: bytes, limit: int = 0, trailer_limit: int = 8190, trailer_count: int = 100
) -> ProtocolError:
    """The error for a chunked body, the same whole and byte by byte."""
    errors = []
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        with pytest.raises(ProtocolError) as caught:
            _feed(ChunkedFraming(limit, trailer_limit, trailer_count), *pieces)
        errors.append(caught.value)
    assert errors[0].status == errors[1].status
    return errors[0]


class TestLength:
    """RFC 9112 §6.2."""

    def test_6_2_ends_after_so_many_bytes(self) -> None:
        framing = LengthFraming(5)
        assert (framing.wants(), framing.done) == (5, False)
        assert framing.feed(b"ab") == b"ab"
        assert (framing.wants(), framing.done) == (3, False)
        assert framing.feed(b"cde") == b"cde"
        assert (framing.wants(), framing.done, framing.rest) == (0, True, b"")

    def test_6_2_what_follows_is_no_content(self) -> None:
        framing = LengthFraming(3)
        assert _feed(framing, b"a", b"bcGET /") == b"abc"
        assert (framing.rest, framing.wants()) == (b"GET /", 0)

    def test_6_2_no_byte_is_done_at_once(self) -> None:
        assert LengthFraming(0).done


class TestChunks:
    """RFC 9112 §7.1."""

    @pytest.mark.parametrize("size", [b"3", b"03", b"0000000000000003"])
    def test_7_1_sizes_are_hexadecimal(self, size: bytes) -> None:
        framing = ChunkedFraming()
        assert framing.feed(size + b"\r\nabc\r\nB\r\nhello world\r\nb\r\n01234567890\r\n0\r\n\r\nrest") == (
            b"abchello world01234567890"
        )
        assert (framing.done, framing.rest) == (True, b"rest")

    @pytest.mark.parametrize(
        "size",
        [
            b"0x3",
            b"+3",
            b"-1",
            b" 3",
            b"3 ",
            b"3 4",
            b"g",
            b"",
            b"3_0",
            b"3,",
            b"3\t",
            b"0" * 16 + b"3",
            b"\xb2",
            b"3\0",
        ],
    )
    def test_7_1_other_sizes_are_400(self, size: bytes) -> None:
        assert _refusal(size + b"\r\nabc\r\n0\r\n\r\n").status == 400

    @pytest.mark.parametrize(
        "data", [b"3\nabc\r\n", b"3\r\nabc\n0\r\n", b"3\r\r\nabc\r\n", b"3\rabc\r\n", b"0\r\n\n", b"0\n\r\n"]
    )
    def test_7_1_every_line_ends_with_crlf(self, data: bytes) -> None:
        assert _refusal(data + b"0\r\n\r\n").status == 400

    @pytest.mark.parametrize("junk", [b"x", b"xyz", b"\r", b"\rx", b"\n", b"0\r\n\r\n"])
    def test_7_1_nothing_between_a_chunk_and_its_crlf(self, junk: bytes) -> None:
        assert _refusal(b"3\r\nabc" + junk + b"\r\n0\r\n\r\n").status == 400

    def test_7_1_a_wrong_size_is_refused_as_soon_as_it_is_seen(self) -> None:
        with pytest.raises(ProtocolError):
            ChunkedFraming().feed(b"-")

    def test_7_1_content_comes_out_as_it_comes_in(self) -> None:
        framing = ChunkedFraming()
        assert framing.feed(b"a\r\nab") == b"ab"
        assert framing.wants() == 8
        assert framing.feed(b"cd") == b"cd"
        assert framing.feed(b"efghij\r") == b"efghij"
        assert (framing.feed(b"\n0\r\n\r"), framing.done) == (b"", False)
        assert (framing.feed(b"\nG"), framing.done, framing.rest) == (b"", True, b"G")

    def test_7_1_1_extensions_are_dropped(self) -> None:
        assert ChunkedFraming().feed(b'3;a=b;c="d e"\r\nabc\r\n3 ; x\r\ndef\r\n0;last\r\n\r\n') == b"abcdef"

    @pytest.mark.parametrize(
        "extension",
        [
            b";a",
            b"; a",
            b" ;a",
            b"\t;\ta\t=\tb",
            b";a=b;c",
            b';a="b;c"',
            b';a=""',
            b';a="\\"\\\\"',
            b';a="\t\xe4"',
            b";a ;b",
        ],
    )
    def test_7_1_1_every_form_of_an_extension(self, extension: bytes) -> None:
        data = b"3" + extension + b"\r\nabc\r\n0" + extension + b"\r\n\r\n"
        assert _feed(ChunkedFraming(), data) == b"abc"
        assert _feed(ChunkedFraming(), *(data[i : i + 1] for i in range(len(data)))) == b"abc"

    @pytest.mark.parametrize(
        "extension",
        [
            b";\r",
            b";a\n",
            b";\x00",
            b"a=b",
            b";\x7f",
            b";a\rb",
            b";",
            b"; ",
            b";;a",
            b";=b",
            b";a=",
            b";a b",
            b";a=b c",
            b"; a ",
            b';a="',
            b';a="b',
            b';a="b"c',
            b';a="\n"',
            b';a="\r"',
            b';a="\\',
            b";a=\xe4",
            b";\xe4",
            b";(a)",
            b";a=(b)",
            b",a",
            b";a\n\r",
            b";a\n3",
            b';a="\\\n"',
            b"\x0b;a",
            b" a",
            b"\n;a",
        ],
    )
    def test_7_1_1_malformed_extensions_are_400(self, extension: bytes) -> None:
        assert _refusal(b"3" + extension + b"\r\nabc\r\n0\r\n\r\n").status == 400

    def test_7_1_1_a_size_line_has_a_limit(self) -> None:
        line = b"3;" + b"a" * 1021 + b"\r\n"
        assert ChunkedFraming().feed(line + b"abc\r\n") == b"abc"
        assert isinstance(_refusal(line.replace(b";", b";aa") + b"abc\r\n0\r\n\r\n"), LimitExceeded)
        assert isinstance(_refusal(b"3;" + b"a" * 2000), LimitExceeded)

    def test_7_1_1_extensions_have_a_limit_over_all_chunks(self) -> None:
        # A byte of content for a kilobyte of line would keep the server busy with nothing.
        one = b"1;" + b"a" * 999 + b"\r\nx\r\n"
        assert ChunkedFraming().feed(one * 16) == b"x" * 16
        with pytest.raises(LimitExceeded, match="extensions"):
            ChunkedFraming().feed(one * 17)

    def test_7_1_1_a_hard_extension_is_read_in_time_that_grows_with_its_length(self) -> None:
        # What a regular expression might try in many ways.
        for hard in (
            b" " * 1000,
            b"; " * 500,
            b";a" + b" " * 1000,
            b';a="' + b"\\" * 1000,
            b";a=" + b"b" * 1000,
        ):
            assert _refusal(b"3" + hard + b"\x01\r\nabc\r\n0\r\n\r\n").status == 400

    def test_7_1_many_small_chunks_are_read_whole_and_in_pieces(self) -> None:
        data = b"".join(b"%x\r\n%b\r\n" % (size, b"y" * size) for size in (1, 2, 16, 17) * 500) + b"0\r\n\r\n"
        wanted = b"y" * 36 * 500
        for size in (7, 100, 65536):
            assert (
                _feed(ChunkedFraming(len(wanted)), *(data[i : i + size] for i in range(0, len(data), size)))
                == wanted
            )
        assert _refusal(data, limit=len(wanted) - 1).status == 413

    def test_7_1_2_trailers_are_kept_apart(self) -> None:
        framing = ChunkedFraming()
        assert framing.feed(b"1\r\nx\r\n0\r\nA: b \r\nX-Sum:\t\xe4 c\t\r\na:\r\n\r\nGET") == b"x"
        assert framing.trailers == [("A", "b"), ("X-Sum", "\xe4 c"), ("a", "")]
        assert (framing.done, framing.rest) == (True, b"GET")

    @pytest.mark.parametrize(
        "name",
        [
            b"Transfer-Encoding",
            b"Content-Length",
            b"HOST",
            b"trailer",
            b"TE",
            b"Connection",
            b"Upgrade",
            b"Expect",
            b"Authorization",
            b"Cookie",
            b"Content-Type",
            b"Content-Encoding",
            b"Content-Range",
            b"Range",
            b"If-Match",
            b"Cache-Control",
            b"Max-Forwards",
            b"Forwarded",
            b"X-Forwarded-For",
            b"Proxy-Authorization",
        ],
    )
    def test_9110_6_5_1_what_belongs_into_the_head_is_400(self, name: bytes) -> None:
        error = _refusal(b"0\r\n" + name + b": x\r\n\r\n")
        assert (error.status, "§6.5.1" in error.reason) == (400, True)

    @pytest.mark.parametrize(
        "line", [b"A : b", b" A: b", b"A", b": b", b"A: b\r\n c", b"A: \0", b"A: \r", b"GET / HTTP/1.1"]
    )
    def test_7_1_2_malformed_trailers_are_400(self, line: bytes) -> None:
        assert _refusal(b"0\r\n" + line + b"\r\n\r\n").status == 400

    def test_7_1_2_trailers_have_a_limit_in_number(self) -> None:
        assert ChunkedFraming(0, 8190, 2).feed(b"0\r\n" + b"A: b\r\n" * 2 + b"\r\n") == b""
        error = _refusal(b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n", trailer_count=2)
        assert (error.status, "limit_request_fields" in error.reason) == (431, True)

    def test_7_1_2_trailers_have_a_limit(self) -> None:
        assert ChunkedFraming(0, 12).feed(b"0\r\nA: 34567\r\n\r\n") == b""
        assert _refusal(b"0\r\nA: 345678901\r\n\r\n", trailer_limit=12).status == 431
        assert _refusal(b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n", trailer_limit=12).status == 431
        assert _refusal(b"0\r\n" + b"a" * 13, trailer_limit=12).status == 431

    def test_8_an_unfinished_body_is_not_done(self) -> None:
        whole = b"3\r\nabc\r\n0\r\nA: b\r\n\r\n"
        for end in range(len(whole)):
            framing = ChunkedFraming()
            framing.feed(whole[:end])
            assert not framing.done


class TestLimit:
    """RFC 9110 §15.5.14."""

    def test_15_5_14_a_chunked_body_has_a_limit(self) -> None:
        assert ChunkedFraming(6).feed(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n") == b"abcdef"
        error = _refusal(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", limit=6)
        assert (error.status, "limit_request_body" in error.reason) == (413, True)

    def test_15_5_14_it_is_refused_before_it_has_come(self) -> None:
        with pytest.raises(LimitExceeded):
            ChunkedFraming(6).feed(b"ffffffffffffffff\r\n")


def test_chunk_is_read_back() -> None:
    for size in (1, 9, 15, 16, 255, 4096, 70_000):
        assert ChunkedFraming().feed(chunk(b"x" * size) + b"0\r\n\r\n") == b"x" * size
