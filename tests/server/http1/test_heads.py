"""heads and head_reader: what is a request and what is none, in the order of RFC 9112, then RFC 9110.

Of the request target and Host: test_targets.py; of limits: test_head_limits.py.
"""

from __future__ import annotations

import pytest
from tests.support.protocols.heads import LIMITS, head, is_well_formed, raw, read, refusal, status

from greenserve.errors import ProtocolError
from greenserve.http1 import HeadLimits, HeadReader, read_whole_head


def _bytes(text: bytes) -> bytes:
    """A GET with `text` in place of the ordinary field lines."""
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + text + b"\r\n\r\n"


class TestMessageParsing:
    """RFC 9112 §2.2."""

    @pytest.mark.parametrize("empty", [b"\r\n", b"\r\n" * 2, b"\r\n" * 4])
    def test_2_2_empty_lines_before_the_request_line_are_skipped(self, empty: bytes) -> None:
        data = empty + raw("GET /a HTTP/1.1")
        for cut in range(len(data)):
            assert read(data[:cut], data[cut:])[0].target == "/a"

    @pytest.mark.parametrize(
        "empty", [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\n", b"\r\n\r", b" \r\n", b"\0"]
    )
    def test_2_2_what_is_no_empty_line_is_400(self, empty: bytes) -> None:
        data = empty + raw()
        assert refusal(data).status == 400
        assert refusal(*(data[i : i + 1] for i in range(len(data)))).status == 400

    def test_2_2_empty_lines_without_end_are_400(self) -> None:
        reader = HeadReader(LIMITS)
        assert [reader.feed(b"\r\n") for _ in range(4)] == [None] * 4
        with pytest.raises(ProtocolError):
            reader.feed(b"\r\n")
        assert refusal(b"\r\n" * 5 + raw()).status == 400

    def test_2_2_empty_lines_alone_are_no_request_yet(self) -> None:
        reader = HeadReader(LIMITS)
        for data in (b"\r\n\r\n", b"\r", b"\n"):
            assert reader.feed(data) is None
            assert not reader.begun
        assert reader.feed(b"G") is None
        assert reader.begun

    @pytest.mark.parametrize(
        "data",
        [
            raw().replace(b"\r\n", b"\n"),
            b"GET / HTTP/1.1\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n\r\n",
        ],
    )
    def test_2_2_a_bare_line_feed_ends_no_line(self, data: bytes) -> None:
        # Recipients MAY take it for a line's end; what proxies disagree on is what smugglers use.
        assert refusal(data + b"\r\n\r\n").status == 400

    @pytest.mark.parametrize("line", [b"A: b\rc", b"A: b\r", b"A\r: b", b"\rA: b", b"A: \r", b"A:\rb", b"\r"])
    def test_2_2_a_bare_carriage_return_is_refused(self, line: bytes) -> None:
        assert refusal(_bytes(line)).status == 400

    @pytest.mark.parametrize(
        "line",
        [
            b"GET /a\nX: / HTTP/1.1",
            b"GET /a\n/b HTTP/1.1",
            b"BREW /?\nX:y HTTP/1.0",
            b"GET http://x/\nA: HTTP/1.1",
        ],
    )
    def test_2_2_a_bare_line_feed_is_no_part_of_the_request_line(self, line: bytes) -> None:
        # llhttp takes it for the end of a line of HTTP/0.9, and what follows for a field.
        data = line + b"\r\nHost: x\r\n\r\n"
        assert refusal(data).status == 400
        with pytest.raises(ProtocolError):
            read_whole_head(data, LIMITS)
        assert refusal(*(data[i : i + 1] for i in range(len(data)))).status == 400

    @pytest.mark.parametrize("extra", [b"", b"\n", b"\r", b"\r\n", b" ", b":"])
    def test_2_1_with_any_byte_anywhere_it_is_refused_or_well_formed(self, extra: bytes) -> None:
        data = b"GET http://x/?a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        for at in range(len(data)):
            for byte in range(256):
                for end in (at, at + 1):
                    changed = data[:at] + b"%c" % byte + extra + data[end:]
                    try:
                        found = read_whole_head(changed, LIMITS)
                    except ProtocolError:
                        continue
                    assert found is None or is_well_formed(changed, found[1])

    def test_2_2_whitespace_before_the_first_field_is_refused(self) -> None:
        assert refusal(b"GET / HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n").status == 400

    def test_2_2_what_follows_the_head_is_given_back_untouched(self) -> None:
        after = b"\x00\xffGET /2 HTTP/1.1\r\n\r\n"
        assert read(raw() + after)[1] == after


class TestVersion:
    """RFC 9112 §2.3."""

    def test_2_3_both_versions_are_told_apart(self) -> None:
        assert head("GET / HTTP/1.1").http11
        assert not head("GET / HTTP/1.0").http11

    @pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/3.0"])
    def test_2_3_other_versions_are_505(self, version: str) -> None:
        assert status(f"GET / {version}") == 505

    def test_2_3_http_2_without_tls_is_505(self) -> None:
        assert refusal(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status == 505

    @pytest.mark.parametrize(
        "version",
        [
            *(
                "http/1.1",
                "Http/1.1",
                "HTTP/1",
                "HTTP/1.",
                "HTTP/11.1",
                "HTTP/1.11",
                "HTTP/ 1.1",
                "HTTP/1.1x",
                "X/1.1",
            ),
            *(
                "HTTP/01.1",
                "HTTP/1.01",
                "HTTP/+1.1",
                "HTTP/1,1",
                "HTTP/1 .1",
                "HTTP/-1.1",
                "HTTP/1.1\t",
                "HTTP/1.1\r",
            ),
            *("HTTP/\xb2.1", "HTTP /1.1", "HTTPS/1.1", "HTTP-1.1", "HTTP/1.1,HTTP/1.0"),
        ],
    )
    def test_2_3_malformed_versions_are_400(self, version: str) -> None:
        assert status(f"GET / {version}") == 400


class TestRequestLine:
    """RFC 9112 §3 and §3.1."""

    @pytest.mark.parametrize(
        "line",
        [
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET\t/ HTTP/1.1",
            "GET /\tHTTP/1.1",
        ],
    )
    def test_3_exactly_one_space_between_the_parts(self, line: str) -> None:
        assert status(line) == 400

    def test_3_a_line_without_version_is_no_http_1(self) -> None:
        assert status("GET /") in (400, 505)

    @pytest.mark.parametrize(
        "line", [b"GET /\r\n", b"GET /\n", b"CONNECT  HTTP/\n", b"CONNECT x:1\r\n", b"POST / \r\n"]
    )
    def test_3_it_is_refused_when_the_line_is_there(self, line: bytes) -> None:
        for cut in range(1, len(line)):
            assert refusal(line[:cut], line[cut:]).status in (400, 501)

    @pytest.mark.parametrize(
        "method",
        [
            *(
                "GET",
                "HEAD",
                "POST",
                "PUT",
                "DELETE",
                "OPTIONS",
                "TRACE",
                "PATCH",
                "REPORT",
                "M-SEARCH",
                "QUERY",
            ),
            # Registered, or of an app's own, but not on llhttp's list; then words that it knows of other protocols.
            *("VERSION-CONTROL", "ORDERPATCH", "BAN", "BREW", "GETS", "GE", "G", "X_1", "A" * 32),
            *("DESCRIBE", "SETUP", "GET_PARAMETER", "SOURCE"),
        ],
    )
    def test_3_1_which_methods_there_are_is_for_the_app_to_say(self, method: str) -> None:
        data = raw(f"{method} /a HTTP/1.1", "Content-Length: 3")
        found = read(data)[0]
        assert (found.method, found.target, found.content_length) == (method, "/a", 3)
        for cut in range(len(data)):
            assert read(data[:cut], data[cut:])[0].method == method

    @pytest.mark.parametrize("method", ["BREW", "DESCRIBE", "VERSION-CONTROL"])
    def test_3_1_what_llhttp_does_not_know_is_held_to_the_same_grammar(self, method: str) -> None:
        for line, fields, wanted in (
            (f"{method} / HTTP/1.9", (), 505),
            (f"{method}  / HTTP/1.1", (), 400),
            (f"{method} /\x01 HTTP/1.1", (), 400),
            (f"{method} / HTTP/1.1", ("A : b",), 400),
            (f"{method} / HTTP/1.1", ("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
            (f"{method} / RTSP/1.0", (), 505),
        ):
            data = raw(line, *fields)
            assert refusal(data).status == wanted
            assert refusal(*(data[i : i + 1] for i in range(len(data)))).status == wanted

    @pytest.mark.parametrize(
        "method", ["G@T", "GE(T", "G\xe9T", "\x16\x03\x01", "G\0T", "", '"GET"', "GET,", "\x7f"]
    )
    def test_3_1_a_method_that_is_no_token_is_400(self, method: str) -> None:
        data = raw(f"{method} / HTTP/1.1")
        assert refusal(data).status == 400
        assert refusal(*(data[i : i + 1] for i in range(len(data)))).status == 400

    @pytest.mark.parametrize("method", ["get", "Get", "GEt", "1GET", "!", "A" * 33, "brew", "PRI"])
    def test_3_1_a_token_that_no_method_is_written_like_is_501(self, method: str) -> None:
        data = raw(f"{method} / HTTP/1.1")
        assert refusal(data).status == 501
        assert refusal(*(data[i : i + 1] for i in range(len(data)))).status == 501

    @pytest.mark.parametrize(
        ("method", "wanted"), [("A" * 100_000, 501), ("a" * 100_000, 501), ("(" * 100_000, 400)]
    )
    def test_3_1_a_method_of_any_length_is_no_target_that_is_too_long(self, method: str, wanted: int) -> None:
        data = raw(f"{method} / HTTP/1.1")
        assert refusal(data).status == wanted
        with pytest.raises(ProtocolError) as caught:
            read_whole_head(data, LIMITS)
        assert caught.value.status == wanted
        for size in (1, 100, 16 * 1024):
            assert refusal(*(data[i : i + size] for i in range(0, len(data), size))).status == wanted

    @pytest.mark.parametrize(
        "hello", [b"\x16\x03\x01\x00\x05\x01\x00 \x01\x03\r\n\r\n", b"\x16\x03\x01\x02", b"\x16\x03"]
    )
    def test_3_1_a_tls_client_at_the_wrong_port_is_told_so(self, hello: bytes) -> None:
        assert "not TLS" in refusal(hello).reason
        assert status(hello.decode("latin-1")) == 400

    def test_3_1_the_method_of_another_protocol_is_refused(self) -> None:
        assert status("DESCRIBE / RTSP/1.0") in (400, 505)
        assert status("SOURCE / ICE/1.0") in (400, 505)


class TestFields:
    """RFC 9112 §5 and RFC 9110 §5."""

    @pytest.mark.parametrize(
        "line",
        [
            b"A : b",
            b"A\t: b",
            b"A b: c",
            b": b",
            b"A",
            b"A(b): c",
            b"\xe4: b",
            b"A\x00: b",
            b"A\x0b: b",
            b"\xa0A: b",
            b'"A": b',
            b"A,B: c",
            b"A[b]: c",
            b"{A}: b",
            b"A@b: c",
            b"A/b: c",
            b"A=b: c",
            b"\x7fA: b",
            b"A\xff: b",
        ],
    )
    def test_5_1_a_name_is_a_token_and_a_colon(self, line: bytes) -> None:
        assert refusal(_bytes(line)).status == 400

    def test_5_1_names_are_kept_as_sent_and_whitespace_around_values_is_not(self) -> None:
        fields = head("GET / HTTP/1.1", "X-a: b", "x-A:\t c d \t", "E:").fields
        assert fields[1:] == [("X-a", "b"), ("x-A", "c d"), ("E", "")]

    @pytest.mark.parametrize("pad", ["", " ", "\t", " \t ", "\t \t"])
    @pytest.mark.parametrize("framing", ["Content-Length: {}3{}", "Transfer-Encoding: {}chunked{}"])
    def test_9110_5_5_whitespace_is_no_part_of_any_value_that_is_read_here(
        self, framing: str, pad: str
    ) -> None:
        lines = [framing, "Connection:{}a{},{}close{}", "Expect:{}100-continue{}"]
        data = raw(
            "POST / HTTP/1.1", *(line.replace("{}", pad) for line in (*lines, "Host:{}x{}")), host=None
        )
        whole = read_whole_head(data, LIMITS)
        assert whole is not None
        for found in (whole[0], read(*(data[i : i + 1] for i in range(len(data))))[0]):
            assert (found.chunked or found.content_length == 3, found.host) == (True, "x")
            assert (found.keep_alive, found.expect_continue) == (False, True)

    def test_5_2_a_folded_line_is_refused(self) -> None:
        assert refusal(_bytes(b"A: b\r\n c")).status == 400
        assert refusal(_bytes(b"A: b\r\n\tc")).status == 400

    @pytest.mark.parametrize("control", [*range(9), *range(10, 32), 127])
    def test_9110_5_5_control_characters_are_refused(self, control: int) -> None:
        for value in (b"%c", b"a%c", b"a%cb", b"%cb"):
            assert refusal(_bytes(b"A: " + value % control)).status == 400
            assert refusal(_bytes(b"A:" + value % control)).status == 400

    def test_9110_5_5_other_bytes_are_opaque(self) -> None:
        assert read(_bytes(b"A: \xe4\xff\tb"))[0].fields[1] == ("A", "\xe4\xff\tb")


class TestTransferEncoding:
    """RFC 9112 §6.1."""

    @pytest.mark.parametrize(
        "coding",
        [
            "chunked",
            "Chunked",
            "CHUNKED",
            " chunked ",
            "\tchunked \t",
            "chunked\t",
            "CHUNKED \t \t",
            "\t\tchunked",
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "BREW"])  # one of llhttp's methods, and another
    def test_6_1_chunked(self, method: str, coding: str) -> None:
        data = raw(f"{method} / HTTP/1.1", f"Transfer-Encoding:{coding}", "A: b")
        whole = read_whole_head(data + b"after", LIMITS)
        assert whole is not None
        for found, rest in (whole, read(*(data[i : i + 1] for i in range(len(data))), b"after")):
            assert (found.method, found.chunked, found.content_length) == (method, True, None)
            assert found.fields[1:] == [("Transfer-Encoding", coding.strip(" \t")), ("A", "b")]
            assert rest == b"after"

    @pytest.mark.parametrize("lines", [("A : b",), ("Content-Length: 3",), ("Transfer-Encoding: chunked",)])
    def test_6_1_a_tab_behind_it_hides_no_other_error(self, lines: tuple[str, ...]) -> None:
        for order in ((*lines, "Transfer-Encoding: chunked\t"), ("Transfer-Encoding: chunked\t", *lines)):
            assert status("POST / HTTP/1.1", *order) == 400
        assert status("POST / HTTP/1.0", "Transfer-Encoding: chunked\t") == 400

    @pytest.mark.parametrize(
        "coding",
        [
            "gzip",
            "xchunked",
            "identity",
            "gzip, chunked",
            "chunked;a=b",
            '"chunked"',
            ", chunked",
            "chunkedx",
            "chunk",
            "identity, chunked",
            "gzip,chunked",
            "chun ked",
            "'chunked'",
            "chunked\xa0",
            "\xa0chunked",
            "x\tchunked",
        ],
    )
    def test_6_1_other_codings_are_501(self, coding: str) -> None:
        assert status("POST / HTTP/1.1", f"Transfer-Encoding: {coding}") == 501

    @pytest.mark.parametrize(
        "coding",
        [
            "chunked, gzip",
            "chunked, chunked",
            "chunked,",
            "\x0bchunked",
            "chunked\x0b",
            "\0chunked",
            "",
            " ",
            "\t",
        ],
    )
    def test_6_1_chunked_that_is_not_last_or_malformed_is_400(self, coding: str) -> None:
        assert status("POST / HTTP/1.1", f"Transfer-Encoding: {coding}") == 400

    def test_6_1_two_fields_are_one_list(self) -> None:
        lines = ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
        assert status("POST / HTTP/1.1", *lines) in (400, 501)
        assert status("POST / HTTP/1.1", "Transfer-Encoding: gzip", lines[0]) == 501
        assert status("POST / HTTP/1.1", "Transfer-Encoding:", lines[0]) in (400, 501)
        assert status("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding:") == 400

    def test_6_1_never_in_http_1_0(self) -> None:
        assert status("POST / HTTP/1.0", "Transfer-Encoding: chunked") == 400

    def test_6_1_never_with_content_length(self) -> None:
        coding, length = "Transfer-Encoding: chunked", "Content-Length: 3"
        zero = "Content-Length: 0"
        for lines in ((coding, length), (length, coding), (coding, zero), (zero, coding)):
            error = refusal(raw("POST / HTTP/1.1", *lines))
            assert (error.status, "§6.1" in error.reason) == (400, True)

    def test_6_1_another_error_behind_it_is_told_as_what_it_is(self) -> None:
        assert status("POST / HTTP/1.1", "Transfer-Encoding: chunked", "A : b") == 400


class TestContentLength:
    """RFC 9112 §6.2 and RFC 9110 §8.6."""

    @pytest.mark.parametrize(("text", "length"), [("0", 0), ("3", 3), ("007", 7), ("9" * 18, 10**18 - 1)])
    def test_6_2_digits(self, text: str, length: int) -> None:
        found = head("POST / HTTP/1.1", f"Content-Length: {text}")
        assert (found.content_length, found.has_body) == (length, length > 0)

    @pytest.mark.parametrize(
        "text",
        [
            "+3",
            "-3",
            "1_0",
            "0x3",
            "3.0",
            "3, 3",
            "3,3",
            "3, 4",
            "3,",
            ",3",
            "3;a=b",
            '"3"',
            "3 3",
            "3\t3",
            "1e3",
            "3h",
            "\xb3",
            "3\x0b",
            "",
            "٣".encode().decode("latin-1"),
            "9" * 19,
            "9" * 30,
            "0" * 19,
        ],
    )
    def test_6_3_anything_else_is_400(self, text: str) -> None:
        assert status("POST / HTTP/1.1", f"Content-Length: {text}") == 400

    @pytest.mark.parametrize("second", ["3", "4"])
    def test_6_3_two_of_them_are_400(self, second: str) -> None:
        assert status("POST / HTTP/1.1", "Content-Length: 3", f"content-length: {second}") == 400

    def test_6_2_whitespace_around_it_is_none_of_it(self) -> None:
        assert head("POST / HTTP/1.1", "Content-Length:\t 3 \t").content_length == 3

    @pytest.mark.parametrize(
        "spelling", ["Content-Length ", "Content_Length", "Content-Length\x0b", "Content-Length\0"]
    )
    def test_6_3_nothing_else_passes_for_it(self, spelling: str) -> None:
        data = raw("POST / HTTP/1.1", f"{spelling}: 3")
        if spelling == "Content_Length":
            assert not read(data)[0].has_body
        else:
            assert refusal(data).status == 400

    def test_6_3_without_either_there_is_no_body(self) -> None:
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert not head(f"{method} / HTTP/1.1").has_body

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    def test_1945_7_2_2_http_1_0_must_say_how_long_its_body_is(self, method: str) -> None:
        assert status(f"{method} / HTTP/1.0") == 411
        assert head(f"{method} / HTTP/1.0", "Content-Length: 0").content_length == 0


class TestConnection:
    """RFC 9112 §9.3."""

    @pytest.mark.parametrize(
        ("version", "options", "stays"),
        [
            ("1.1", [], True),
            ("1.1", ["close"], False),
            ("1.1", ["Close"], False),
            ("1.1", ["a, \tcLoSe ,b"], False),
            ("1.1", ["a", "close"], False),
            ("1.1", ["close", "keep-alive"], False),
            ("1.1", ["closed"], True),
            ("1.1", ["keep-alive"], True),
            ("1.1", ["upgrade"], True),
            ("1.1", ["upgrade, close"], False),
            ("1.0", [], False),
            ("1.0", ["keep-alive"], True),
            ("1.0", ["Keep-Alive, te"], True),
            ("1.0", ["keep-alive, close"], False),
            ("1.0", ["keepalive"], False),
        ],
    )
    def test_9_3_whether_it_stays_open(self, version: str, options: list[str], stays: bool) -> None:
        found = head(f"GET / HTTP/{version}", *(f"Connection: {option}" for option in options))
        assert found.keep_alive is stays

    def test_9_3_the_same_with_a_body_and_in_pieces(self) -> None:
        data = raw("POST / HTTP/1.1", "connection: close", "Content-Length: 3")
        assert not read(data)[0].keep_alive
        assert not read(data[:20], data[20:-1], data[-1:] + b"abc")[0].keep_alive

    def test_9110_7_8_an_upgrade_is_the_apps_to_take_or_leave(self) -> None:
        data = raw("GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket") + b"rest"
        found, rest = read(data)
        assert (found.method, rest) == ("GET", b"rest")


class TestExpect:
    """RFC 9110 §10.1.1."""

    def test_10_1_1_counts_only_where_a_body_comes(self) -> None:
        expect = "Expect: 100-Continue"
        assert head("POST / HTTP/1.1", expect, "Content-Length: 3").expect_continue
        assert head("POST / HTTP/1.1", expect, "Transfer-Encoding: chunked").expect_continue
        assert not head("POST / HTTP/1.1", expect, "Content-Length: 0").expect_continue
        assert not head("POST / HTTP/1.1", expect).expect_continue

    def test_10_1_1_is_ignored_from_http_1_0(self) -> None:
        assert not head("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 3").expect_continue
        assert head("POST / HTTP/1.0", "Expect: more", "Content-Length: 3").content_length == 3

    @pytest.mark.parametrize(
        "lines", [("Expect: more",), ("Expect: 100-continue, x",), ("Expect: 100-continue",) * 2]
    )
    def test_10_1_1_other_expectations_are_417(self, lines: tuple[str, ...]) -> None:
        assert status("POST / HTTP/1.1", "Content-Length: 3", *lines) == 417


class TestHeaderMap:
    """RFC 3875 §4.1.18: in environ a hyphen and an underscore are one. Setting `header_map`."""

    _REFUSE = HeadLimits(8190, 8190, 100, 65536, refuse_underscores=True)

    @pytest.mark.parametrize(
        "name", ["X_Forwarded_For", "Content_Length", "_", "a_", "X-A_B", "A" * 70 + "_"]
    )
    def test_3875_4_1_18_an_underscore_is_refused_or_left_to_be_dropped(self, name: str) -> None:
        data = raw("GET / HTTP/1.1", f"{name}: 3")
        # By turns, and twice: what is remembered of a name must not depend on who asked first.
        for _ in range(2):
            found = read(data)[0]
            assert (found.fields[1], found.has_body) == ((name, "3"), False)
            error = refusal(data, limits=self._REFUSE)
            assert (error.status, "header_map" in error.reason) == (400, True)

    def test_3875_4_1_18_hyphens_are_no_matter(self) -> None:
        assert (
            read(raw("GET / HTTP/1.1", "X-A: b", "Connection: close"), limits=self._REFUSE)[0].method == "GET"
        )

    def test_3875_4_1_18_it_is_no_way_round_other_rules(self) -> None:
        assert status("POST / HTTP/1.0", "A_B: c") == 411
        assert status("POST / HTTP/1.1", "A_B: c", "Content-Length: 1", "Content-Length: 1") == 400


class TestLenient:
    """HeadLimits.lenient and only_http10, for programs that stand in for another server."""

    _LENIENT = HeadLimits(8190, 8190, 100, 65536, lenient=True)
    _OLD = HeadLimits(8190, 8190, 100, 65536, only_http10=True)

    def test_9112_3_2_no_host(self) -> None:
        data = b"GET / HTTP/1.1\r\n\r\n"
        assert refusal(data).status == 400
        assert read(data, limits=self._LENIENT)[0].host is None
        assert refusal(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", limits=self._LENIENT).status == 400

    def test_9112_6_1_transfer_encoding_in_http_10_ends_the_connection(self) -> None:
        data = b"PUT / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert refusal(data).status == 400
        found = read(data, limits=self._LENIENT)[0]
        assert (found.chunked, found.keep_alive) == (True, False)

    def test_9112_6_1_two_lengths_are_refused_all_the_same(self) -> None:
        data = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert refusal(data, limits=self._LENIENT).status == 400

    def test_9110_10_1_1_a_client_of_http_10_that_expects_may_send_its_body_or_not(self) -> None:
        lines = (
            b"PUT / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        )
        assert read(lines)[0].keep_alive
        found = read(lines, limits=self._LENIENT)[0]
        assert (found.keep_alive, found.expect_continue) == (False, False)

    def test_1945_7_2_2_a_post_without_a_length(self) -> None:
        for data in (b"POST / HTTP/1.0\r\n\r\n", b"POST / HTTP/1.0\r\nConnection: close\r\n\r\n"):
            assert refusal(data).status == 411
            assert not read(data, limits=self._LENIENT)[0].has_body

    def test_only_http_10(self) -> None:
        found = read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", limits=self._OLD)[0]
        assert (found.http11, found.keep_alive) == (False, False)
