"""origins: which pages may open a WebSocket (RFC 6455 §4.2.2, §10.2)."""

from __future__ import annotations

from typing import Any

import pytest

from greenserve.websocket import HandshakeError
from greenserve.websocket.handshake.origins import Origins, check_origin


def _environ(origin: str | None, host: str = "example.com", scheme: str = "http") -> dict[str, Any]:
    return {
        "HTTP_HOST": host,
        "wsgi.url_scheme": scheme,
        **({} if origin is None else {"HTTP_ORIGIN": origin}),
    }


def _refusal(environ: dict[str, Any], origins: Origins) -> str:
    with pytest.raises(HandshakeError) as caught:
        check_origin(environ, origins)
    assert caught.value.status == 403
    assert "RFC 6455 §10.2" in caught.value.reason
    return caught.value.reason


class TestSame:
    """The default."""

    @pytest.mark.parametrize(
        ("origin", "host", "scheme"),
        [
            ("http://example.com", "example.com", "http"),
            ("http://EXAMPLE.com", "Example.COM", "http"),
            ("http://example.com", "example.com:80", "http"),
            ("http://example.com:80", "example.com", "http"),
            ("http://example.com", "example.com:", "http"),
            ("http://example.com:8000", "example.com:8000", "http"),
            ("https://example.com", "example.com", "https"),
            ("https://example.com:443", "example.com", "https"),
            ("https://example.com", "example.com:443", "https"),
            ("http://[::1]:8000", "[::1]:8000", "http"),
            ("http://127.0.0.1", "127.0.0.1", "http"),
            # A proxy ends TLS, and does not say so: the page's own scheme tells its port.
            ("https://example.com", "example.com", "http"),
            ("https://example.com", "example.com:443", "http"),
        ],
    )
    def test_host_and_port_are_those_of_the_request(self, origin: str, host: str, scheme: str) -> None:
        check_origin(_environ(origin, host, scheme), "same")

    @pytest.mark.parametrize(
        ("origin", "host", "scheme"),
        [
            ("http://evil.example", "example.com", "http"),
            ("http://example.com.evil.example", "example.com", "http"),
            ("http://evilexample.com", "example.com", "http"),
            ("http://sub.example.com", "example.com", "http"),
            ("http://example.com", "sub.example.com", "http"),
            ("http://example.com:8001", "example.com:8000", "http"),
            ("http://example.com", "example.com:8000", "http"),
            ("http://example.com:8000", "example.com", "http"),
            # A page without TLS could have been written by anyone on the way.
            ("http://example.com", "example.com", "https"),
            ("http://example.com:80", "example.com", "https"),
            ("https://example.com", "example.com:80", "http"),
            ("null", "example.com", "http"),
            ("null", "null", "http"),
            ("", "", "http"),
            ("", "example.com", "http"),
            ("http://", "", "http"),
            ("file://", "", "http"),
            ("example.com", "example.com", "http"),
            ("http://user@example.com", "example.com", "http"),
            ("http://example.com@evil.example", "example.com", "http"),
            ("http://evil.example#example.com", "example.com", "http"),
            ("http://example.com/", "example.com", "http"),
            ("http://example.com/path", "example.com", "http"),
            ("http://example.com http://evil.example", "example.com", "http"),
            ("http://example.com, http://example.com", "example.com", "http"),
            ("http://example.com:999999", "example.com:999999", "http"),
            ("chrome-extension://abc", "example.com", "http"),
        ],
    )
    def test_any_other_is_refused(self, origin: str, host: str, scheme: str) -> None:
        reason = _refusal(_environ(origin, host, scheme), "same")
        assert "another site, which must be listed (ws_origins, origins=[...])" in reason
        _refusal(_environ(origin, host, scheme), ("same",))

    def test_no_browser(self) -> None:
        check_origin(_environ(None), "same")

    def test_no_host(self) -> None:
        environ = _environ("http://example.com")
        del environ["HTTP_HOST"]
        _refusal(environ, "same")

    def test_the_text_is_one_plain_line(self) -> None:
        reason = _refusal(_environ("http://\xff\x1b" + "x" * 10_000), "same")
        assert reason.replace("§", "").isascii()
        assert reason.isprintable()
        assert len(reason) < 300


class TestListed:
    @pytest.mark.parametrize("origins", [["https://a.example", "http://b.example:8000"], "https://a.example"])
    def test_those_and_no_others(self, origins: Origins) -> None:
        for good in ("https://a.example", "https://A.example", "https://a.example:443"):
            check_origin(_environ(good), origins)
        for bad in (
            "http://a.example",
            "https://a.example:8443",
            "https://b.example",
            "http://example.com",
            "null",
        ):
            assert "must be listed" in _refusal(_environ(bad), origins)

    def test_with_a_port(self) -> None:
        check_origin(_environ("http://b.example:8000"), ("http://B.example:8000",))
        _refusal(_environ("http://b.example"), ("http://b.example:8000",))

    def test_a_port_that_is_the_schemes_own(self) -> None:
        check_origin(_environ("http://b.example"), ["http://b.example:80"])
        _refusal(_environ("http://b.example"), ["http://b.example:443"])

    def test_null_must_be_listed(self) -> None:
        check_origin(_environ("null"), ["null"])

    def test_with_the_site_itself(self) -> None:
        for good in ("http://example.com", "https://a.example"):
            check_origin(_environ(good), ("same", "https://a.example"))
        _refusal(_environ("https://b.example"), ("same", "https://a.example"))

    @pytest.mark.parametrize("word", ["same", "*"])
    def test_the_words_are_no_origins(self, word: str) -> None:
        _refusal(_environ(word), ["same", "https://a.example"])

    def test_no_browser(self) -> None:
        check_origin(_environ(None), ["https://a.example"])
        check_origin(_environ(None), [])

    def test_none_at_all(self) -> None:
        _refusal(_environ("https://a.example"), [])

    @pytest.mark.parametrize(
        "entry", ["a.example", "https://a.example/", "https://*.example", "https://", "", "https://a/b"]
    )
    def test_an_entry_that_is_no_origin_lets_nobody_in(self, entry: str) -> None:
        _refusal(_environ("https://a.example"), [entry])


class TestOthers:
    def test_any(self) -> None:
        for origin in (None, "null", "http://evil.example", "garbage"):
            check_origin(_environ(origin), "*")
            check_origin(_environ(origin), ("*",))

    def test_whoever_decides(self) -> None:
        seen = []

        def decide(origin: str | None, environ: Any) -> bool:
            seen.append((origin, environ["HTTP_HOST"]))
            return origin == "https://a.example"

        check_origin(_environ("https://a.example"), decide)
        assert "the app's own check" in _refusal(_environ("https://b.example"), decide)
        _refusal(_environ(None), decide)
        assert seen == [(one, "example.com") for one in ("https://a.example", "https://b.example", None)]
