"""targets: what is asked for, and of whom, in the order of RFC 9112 §3.2."""

from __future__ import annotations

import pytest
from tests.support.protocols.heads import head, raw, read, refusal, status

from greenserve.http1.targets import split_origin_form

# What llhttp lets pass in a target and RFC 3986 does not.
_NEVER_RAW = '"<>'
_RAW_IN_BOTH = "[]^|"
_RAW_IN_QUERIES = "\\`{}"
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


class TestOriginForm:
    """RFC 9112 §3.2.1."""

    def test_3_2_1_a_path_and_a_query(self) -> None:
        found = head("GET /a%20b/%C3%A4;p?q=%20&r=? HTTP/1.1")
        assert (found.target, found.path, found.query) == (
            "/a%20b/%C3%A4;p?q=%20&r=?",
            "/a b/\xc3\xa4;p",
            "q=%20&r=?",
        )

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            ("/", "/", ""),
            ("/?", "/", ""),
            ("/??", "/", "?"),
            ("/?a?b", "/", "a?b"),
            ("//evil/a", "//evil/a", ""),  # two slashes are a path and no authority
            ("/http://y/", "/http://y/", ""),
            (
                "/a/../b/./c",
                "/a/../b/./c",
                "",
            ),  # dots are the app's to resolve, who knows what they mean to it
            ("/a;b=c/d", "/a;b=c/d", ""),
            ("/a%2Fb", "/a/b", ""),
            ("/%2e%2E", "/..", ""),
            ("/%252F", "/%2F", ""),  # once, and not again
            ("/%c3%a4", "/\xc3\xa4", ""),
            ("/%ff?%ff", "/\xff", "%ff"),
            ("/%3F?x", "/?", "x"),
            ("/a+b", "/a+b", ""),
        ],
    )
    def test_3_2_1_the_path_is_decoded_once_and_the_query_not_at_all(
        self, target: str, path: str, query: str
    ) -> None:
        found = head(f"GET {target} HTTP/1.1")
        assert (found.path, found.query, found.target) == (path, query, target)
        assert split_origin_form(target) == (path, query)

    def test_3_2_1_what_needs_no_second_look_gets_the_same_answer(self) -> None:
        for character in _ASCII:
            for target in (f"/a{character}b", f"/?a{character}b"):
                try:
                    found = read(raw(f"GET {target} HTTP/1.1"))[0]
                except Exception:
                    with pytest.raises(Exception, match="RFC"):
                        split_origin_form(target)
                else:
                    assert split_origin_form(target) == (found.path, found.query)

    @pytest.mark.parametrize(
        "target", ["/100%", "/%", "/%2", "/%zz", "/%2g", "/%%20", "/a%?b", "/%u0041", "/%-1"]
    )
    def test_3986_2_1_a_broken_escape_in_a_path_is_400(self, target: str) -> None:
        assert status(f"GET {target} HTTP/1.1") == 400

    @pytest.mark.parametrize("target", ["/%00", "/a%00.png", "/%2500"])
    def test_3986_7_3_nul_in_a_path_is_400(self, target: str) -> None:
        if target == "/%2500":
            assert head(f"GET {target} HTTP/1.1").path == "/%00"
        else:
            assert status(f"GET {target} HTTP/1.1") == 400

    def test_3986_3_4_a_query_is_the_apps_to_read(self) -> None:
        for query in ("100%", "%zz", "%00", "a=%"):
            assert head(f"GET /?{query} HTTP/1.1").query == query

    @pytest.mark.parametrize("character", list(_ASCII))
    def test_3986_3_3_each_character(self, character: str) -> None:
        allowed = character not in _NEVER_RAW + _RAW_IN_QUERIES + "#%"
        for target in (f"/{character}", f"/a{character}b"):
            if allowed:
                assert head(f"GET {target} HTTP/1.1").target == target
            else:
                assert status(f"GET {target} HTTP/1.1") == 400

    @pytest.mark.parametrize("character", list(_ASCII))
    def test_3986_3_4_each_character(self, character: str) -> None:
        target = f"/?a{character}b"
        if character in _NEVER_RAW + "#":
            assert status(f"GET {target} HTTP/1.1") == 400
        else:
            assert head(f"GET {target} HTTP/1.1").query == target[2:]

    def test_3986_what_browsers_send_raw_is_taken(self) -> None:
        assert (
            head(f"GET /{_RAW_IN_BOTH}?{_RAW_IN_BOTH}{_RAW_IN_QUERIES} HTTP/1.1").path == "/" + _RAW_IN_BOTH
        )

    @pytest.mark.parametrize("character", [*range(0x21), *range(0x7F, 0x100)])
    def test_3_2_no_byte_outside_printable_ascii(self, character: int) -> None:
        for target in (b"/%c", b"/a%cb", b"/?%c", b"%c", b"%c/", b"http://x/%c", b"http://x%c/"):
            data = b"GET " + target % character + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            assert refusal(data).status == 400
            assert refusal(*(data[i : i + 1] for i in range(len(data)))).status == 400

    @pytest.mark.parametrize("target", ["/#f", "/a?b#f", "#", "http://x/#f", "http://x#f"])
    def test_3_2_no_fragment(self, target: str) -> None:
        assert status(f"GET {target} HTTP/1.1") == 400


class TestAbsoluteForm:
    """RFC 9112 §3.2.2."""

    @pytest.mark.parametrize(
        ("target", "host", "path", "query"),
        [
            ("http://y/p?q", "y", "/p", "q"),
            ("http://y", "y", "/", ""),
            ("http://y?q", "y", "/", "q"),
            ("http://y?q/r", "y", "/", "q/r"),
            ("HTTPS://y:8080/", "y:8080", "/", ""),
            ("http://[::1]:80/x", "[::1]:80", "/x", ""),
            ("http://y/a%2fb//c", "y", "/a/b//c", ""),
            ("http://y/http://z/", "y", "/http://z/", ""),
        ],
    )
    def test_3_2_2_is_taken_apart(self, target: str, host: str, path: str, query: str) -> None:
        for version, field in (("1.1", host), ("1.0", host), ("1.0", None)):
            found = head(f"GET {target} HTTP/{version}", host=field)
            assert (found.host, found.path, found.query, found.target) == (host, path, query, target)

    @pytest.mark.parametrize(
        ("target", "host"),
        [
            ("http://Y/", "y"),
            ("http://y:80/", "y"),
            ("http://y/", "Y:80"),
            ("http://y:/", "y"),
            ("https://y:443/", "y"),
            ("http://[::A]/", "[::a]:80"),
        ],
    )
    def test_9110_4_2_3_host_may_be_the_same_in_other_words(self, target: str, host: str) -> None:
        found = head(f"GET {target} HTTP/1.1", host=host)
        assert found.host == target.split("/")[2]

    @pytest.mark.parametrize(
        ("target", "host"),
        [
            ("http://y/", "x"),
            ("http://y/", "y.x"),
            ("http://y/", "y:81"),
            ("http://y:443/", "y"),
            ("https://y:80/", "y"),
            ("http://y/", ""),
        ],
    )
    def test_3_2_2_another_host_is_400(self, target: str, host: str) -> None:
        # The rule is to take the target's. A proxy in front that went by Host has let another request pass.
        for version in ("1.0", "1.1"):
            error = refusal(raw(f"GET {target} HTTP/{version}", host=host))
            assert (error.status, "§3.2.2" in error.reason) == (400, True)

    @pytest.mark.parametrize(
        "target",
        [
            "http:///",
            "http://",
            "http://:80/",
            "http://?q",
            "ftp://y/",
            "file:///etc",
            "y:80",
            "y",
            "y/",
            "http:/y",
            "http:y",
            "http//y",
            "://y/",
            "//y",
            "?q",
            "*",
            "http://[::1/",
            "http://::1/",
            "http://y:z/",
            "http://y:99999/",
            "http://y /",
            "http://y%/",
            "http://y%00/",
            "javascript:x",
            "x-http://y/",
            "http://y/%",
            "http://y/%00",
        ],
    )
    def test_3_2_2_other_targets_are_400(self, target: str) -> None:
        if target == "//y":
            assert head(f"GET {target} HTTP/1.1").path == target
        else:
            assert status(f"GET {target} HTTP/1.1", host="y") == 400

    @pytest.mark.parametrize(
        "target", ["http://u@y/", "http://u:p@y/", "http://@y/", "http://y@y/", "http://u@y:80"]
    )
    def test_9110_4_2_4_user_information_is_400(self, target: str) -> None:
        error = refusal(raw(f"GET {target} HTTP/1.1", host="y"))
        assert (error.status, "§4.2.4" in error.reason) == (400, True)


class TestOtherForms:
    """RFC 9112 §3.2.3 and §3.2.4."""

    @pytest.mark.parametrize("target", ["y:443", "y", "/", "*", "http://y/", "[::1]:1"])
    def test_3_2_3_authority_form_is_for_proxies(self, target: str) -> None:
        assert status(f"CONNECT {target} HTTP/1.1", host="y:443") == 501

    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PROPFIND", "BREW"])
    def test_3_2_3_authority_form_is_for_connect_alone(self, method: str) -> None:
        assert status(f"{method} y:443 HTTP/1.1", host="y:443") == 400

    def test_3_2_4_asterisk_form_is_for_options(self) -> None:
        # The server as a whole has no path: RFC 3875 §4.1.5 wants an empty one then.
        for target in ("*", "http://x"):
            found = head(f"OPTIONS {target} HTTP/1.1")
            assert (found.path, found.query, found.host, found.target) == ("", "", "x", target)
        assert head("OPTIONS / HTTP/1.1").path == "/"
        assert head("OPTIONS http://x/ HTTP/1.1").path == "/"

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "BREW"])
    def test_3_2_4_and_for_nothing_else(self, method: str) -> None:
        assert status(f"{method} * HTTP/1.1") == 400

    @pytest.mark.parametrize("target", ["**", "*?", "*/", "/*?", "*#"])
    def test_3_2_4_it_is_an_asterisk_and_no_more(self, target: str) -> None:
        if target == "/*?":
            assert head(f"OPTIONS {target} HTTP/1.1").path == "/*"
        else:
            assert status(f"OPTIONS {target} HTTP/1.1") == 400


class TestHost:
    """RFC 9112 §3.2, RFC 9110 §7.2 and RFC 3986 §3.2.2."""

    def test_3_2_exactly_one_host_in_http_1_1(self) -> None:
        assert head(host="y:80").host == "y:80"
        assert status(host=None) == 400
        assert status("GET / HTTP/1.1", "Host: x") == 400
        assert status("GET / HTTP/1.1", "hOST: y") == 400
        assert status("GET http://y/ HTTP/1.1", host=None) == 400
        assert status("OPTIONS * HTTP/1.1", host=None) == 400

    def test_3_2_at_most_one_host_in_http_1_0(self) -> None:
        assert head("GET / HTTP/1.0", host=None).host is None
        assert head("GET / HTTP/1.0").host == "x"
        assert status("GET / HTTP/1.0", "host: x") == 400
        assert status("GET / HTTP/1.0", host="a b") == 400

    def test_3_3_an_empty_host_leaves_the_name_to_the_server(self) -> None:
        assert head(host="").host == ""
        assert status(host=":80") == 400

    @pytest.mark.parametrize(
        "host",
        [
            "a.example",
            "a.example.",
            "a:",
            "a:0",
            "a:65535",
            "a:00080",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8",
            "a_b",
            "%41",
            "xn--a",
            "a-b~c!$&'()*+,;=",
            "[::ffff:1.2.3.4]",
            "[2001:DB8::1]:443",
            "1.2.3.4.5",
            "A" * 200,
        ],
    )
    def test_3986_3_2_2_valid_hosts(self, host: str) -> None:
        for _ in range(2):  # the second time it is remembered
            assert head(host=host).host == host

    @pytest.mark.parametrize(
        "host",
        [
            "a b",
            "u@a",
            "a/b",
            "a?b",
            "a#b",
            "a:b",
            "a:1:2",
            "[a",
            "a]",
            "<a>",
            'a"b',
            "a\\b",
            "a:65536",
            "a:99999",
            "a:-1",
            "a:+1",
            "a:1 ",
            "a: 1",
            "a:000080",
            "a:²",
            "ä",
            "a\xa0",
            "%",
            "%4",
            "%zz",
            "a^b",
            "a`b",
            "{a}",
            "a|b",
            "[]",
            "[:]",
            "[:::]",
            "[..]",
            "[1.2.3.4]",
            "[::1%25lo]",
            "[v1.a]",
            "[12345::]",
            "[::1]a",
            "::1",
            "[::1]]",
            "a, b",
            "http://a",
            "a\tb",
            "[1:2:3:4:5:6:7:8:9]",
        ],
    )
    def test_3986_3_2_2_malformed_hosts(self, host: str) -> None:
        for _ in range(2):
            if host.strip(" \t") != host:
                assert head(host=host).host == host.strip(" \t")
            else:
                assert status(host=host) == 400
