"""The keywords of wsgi.server, and the variables of its module."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.servers.as_eventlet import OK, PLAIN, Environ, ask, body_of, hello, serving
from tests.support.times import PATIENCE

import greenserve_eventlet as eventlet
from greenserve.errors import ConfigError
from greenserve_eventlet.serving import wsgi
from greenserve_hub import GreenPool, Timeout


class TestKeywords:
    def test_custom_pool_counts_what_runs_until_it_is_sent(self) -> None:
        pool = GreenPool(3)
        seen: list[int] = []

        def app(environ: Environ, start: Any) -> Any:
            seen.append(pool.running())
            start(OK, PLAIN)
            return (piece for piece in [b"a" * 5000, b"%d" % pool.running()])

        with serving(app, custom_pool=pool) as (address, _):
            assert b"\r\n1\r\n" in ask(address)
            pool.waitall()
        assert seen == [1]

    def test_custom_pool_is_checked(self) -> None:
        with (
            eventlet.listen(("127.0.0.1", 0)) as sock,
            pytest.raises(AttributeError, match="use a GreenPool"),
        ):
            wsgi.server(sock, hello, custom_pool=object())

    def test_log_format_and_forwarded_addresses(self) -> None:
        with serving(hello, log_format="%(client_ip)s %(request_line)s %(status_code)s %(body_length)s") as (
            address,
            log,
        ):
            ask(address, "GET /a HTTP/1.1", "X-Forwarded-For: 1.2.3.4, 5.6.7.8")
        assert "\n1.2.3.4,5.6.7.8,127.0.0.1 GET /a HTTP/1.1 200 5\n" in log.getvalue()
        with serving(hello, log_x_forwarded_for=False) as (address, log):
            ask(address, "GET /a HTTP/1.1", "X-Forwarded-For: 1.2.3.4")
        assert "1.2.3.4" not in log.getvalue()
        assert "\n127.0.0.1 - - [" in log.getvalue()

    def test_log_may_be_a_logger_or_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO), serving(hello, log=logging.getLogger("mine")) as (address, _):
            ask(address)
        assert any('"GET / HTTP/1.1" 200 5' in message for message in caplog.messages)
        with serving(hello, log_output=False) as (address, log):
            ask(address)
        assert log.getvalue() == ""

    def test_keepalive(self) -> None:
        with serving(hello, keepalive=False) as (address, _):
            assert b"Connection: close" in ask(address, until="keep-alive")
        with (
            serving(hello, keepalive=2.5) as (address, _),
            eventlet.connect(address) as client,
            Timeout(PATIENCE),
        ):
            for version in (b"1.1", b"1.0"):
                client.sendall(b"GET / HTTP/%b\r\nConnection: keep-alive\r\n\r\n" % version)
                response = client.recv(1000)
                assert response.count(b"\r\nConnection: keep-alive\r\n") == 1
                assert b"\r\nKeep-Alive: timeout=2\r\n" in response
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"eep-" not in client.recv(1000)

    def test_limits_are_the_modules_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsgi, "MAX_HEADER_LINE", 20_000)
        with serving(hello) as (address, _):
            assert b"200 OK" in ask(address, "GET / HTTP/1.1", "A: " + "a" * 15_000)
        with serving(hello, url_length_limit=100) as (address, _):
            assert b" 414 " in ask(address, f"GET /{'a' * 100} HTTP/1.1")

    def test_the_limit_of_fields_is_that_of_http_client_which_may_be_a_fraction(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("http.client._MAXHEADERS", 3.6)
        with serving(hello) as (address, _):
            assert b" 200 OK" in ask(address, "GET / HTTP/1.1", "A: 1", "B: 2")
            assert b" 400 " in ask(address, "GET / HTTP/1.1", "A: 1", "B: 2", "C: 3")

    def test_only_http_10(self) -> None:
        def app(environ: Environ, start: Any) -> Iterator[bytes]:
            start(OK, PLAIN)
            yield b"a"

        with serving(app, max_http_version="HTTP/1.0") as (address, _):
            response = ask(address)
        assert b"chunked" not in response
        assert body_of(response) == b"a"

    def test_names_as_the_app_spells_them(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            start(OK, [("eTAg", "a")])
            return []

        sock = eventlet.listen(("127.0.0.1", 0))
        with pytest.warns(DeprecationWarning, match="no case"):
            wsgi.Server(sock, sock.getsockname(), app, capitalize_response_headers=False)
        sock.close()

    def test_a_protocol_of_the_programs_own(self) -> None:
        class Protocol(wsgi.HttpProtocol):
            minimum_chunk_size = 1

            def __init__(self, conn_state: Any, server: Any) -> None:
                conn_state[0] = ("<local>", 0)
                super().__init__(conn_state, server)

            def get_environ(self) -> Environ:
                environ = super().get_environ()
                environ["mine"] = f"{self.command} {self.headers['X-A']} {self.unquoted_path()}"
                return environ

            def formalize_key_naming(self, k: str) -> str:
                return k.upper()

            def handle_one_request(self) -> None:
                raise AssertionError("is never called")

        def app(environ: Environ, start: Any) -> list[Any]:
            start(OK, PLAIN)
            return [environ["REMOTE_ADDR"], " ", environ["mine"], " ", environ["HTTP_A_B"]]

        with serving(app, protocol=Protocol) as (address, log):
            assert body_of(ask(address, "GET /%41 HTTP/1.1", "X-A: b", "a_b: c")) == b"<local> GET b /A c"
        assert "handle_one_request() is never called" in log.getvalue()

    def test_the_message_class_of_a_protocol_says_what_a_body_is_by_default(self) -> None:
        class Protocol(wsgi.HttpProtocol):
            class MessageClass(wsgi.HttpProtocol.MessageClass):
                def get_default_type(self) -> str:
                    return ""

        def app(environ: Environ, start: Any) -> list[Any]:
            start(OK, PLAIN)
            return [f"<{environ['CONTENT_TYPE']}>"]

        with serving(app, protocol=Protocol) as (address, _):
            assert body_of(ask(address, "GET / HTTP/1.1")) == b"<>"
            assert body_of(ask(address, "GET / HTTP/1.1", "Content-Type: a/b; c=d")) == b"<a/b; c=d>"

    def test_a_protocol_that_would_read_before_http_is_refused(self) -> None:
        class Protocol(wsgi.HttpProtocol):
            def handle(self) -> None:
                """Read something else."""

        with eventlet.listen(("127.0.0.1", 0)) as sock, pytest.raises(ConfigError, match="proxy_protocol"):
            wsgi.server(sock, hello, protocol=Protocol)

    def test_server_event(self) -> None:
        event = eventlet.Event()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with serving(hello, server_event=event):
                assert isinstance(event.wait(), wsgi.Server)
        assert "server_event" in str(told[0].message)


class TestNumbers:
    """greenserve's settings have a least and a most; programs for eventlet set any number."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [("MAX_HEADER_LINE", 1 << 17), ("MAX_TOTAL_HEADER_SIZE", 4096), ("MAX_TOTAL_HEADER_SIZE", 1 << 60)],
    )
    def test_of_variables(self, name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsgi, name, value)
        with serving(hello) as (address, _):
            assert body_of(ask(address)) == b"hello"

    @pytest.mark.parametrize("keywords", [{"url_length_limit": 10**15}, {"keepalive": 1e12}])
    def test_of_keywords(self, keywords: dict[str, Any]) -> None:
        with serving(hello, **keywords) as (address, _):
            assert body_of(ask(address)) == b"hello"

    def test_a_line_that_is_longer_than_the_least_limit(self) -> None:
        with serving(hello, url_length_limit=5) as (address, _):
            assert ask(address, "GET /longer HTTP/1.1", "Host: a").startswith(b"HTTP/1.1 414 ")

    def test_the_shortest_time(self) -> None:
        with serving(hello, socket_timeout=1e-9) as (address, _), eventlet.connect(address) as client:
            assert client.recv(1) == b""

    def test_the_line_is_not_counted_among_the_fields(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsgi, "MAX_TOTAL_HEADER_SIZE", 100)
        with serving(hello) as (address, _):
            assert body_of(ask(address, f"GET /{'a' * 500} HTTP/1.1", "Host: a")) == b"hello"
