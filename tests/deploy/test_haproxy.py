"""deploy/haproxy by haproxy itself, and every kind of PROXY header that it sends, with and without TLS."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest
import websocket
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.certificates import authority_file, client_context, issue
from tests.support.servers.haproxy import FOLDER, HAPROXY, check, haproxy, shipped
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

from greenserve import Config, accept_websocket
from greenserve.proxies.request_start import parse_request_start

pytestmark = [pytest.mark.repository, pytest.mark.skipif(HAPROXY is None, reason="needs haproxy")]

CLIENT = "127.0.0.77"  # Linux's loopback is a whole network, so a client can be told from the proxy
DEFAULTS = "defaults\n timeout connect 9s\n timeout client 9s\n timeout server 9s\n timeout check 9s\n"


class Seen:
    """An app that keeps what it was told."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []
        self.lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        with self.lock:
            self.environs.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read() or environ["REMOTE_ADDR"].encode()]

    def at(self, path: str) -> list[Environ]:
        with self.lock:
            return [environ for environ in self.environs if environ["PATH_INFO"] == path]


def passing(server: str, bind: str = "FD", more: str = "") -> str:
    """A configuration that passes bytes on."""
    return f"{DEFAULTS} mode tcp\nlisten all\n bind {bind}\n{more} server one {server}\n"


def ask(address: tuple[str, int], data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """One request from CLIENT: the body of its answer."""
    client = RawClient.__new__(RawClient)
    client.ahead = bytearray()
    sock: Any = socket.create_connection(address, PATIENCE, source_address=(CLIENT, 0))
    client.sock = sock if context is None else context.wrap_socket(sock, server_hostname="localhost")
    with client:
        return client.send(data).answer().body


GET = request("/x", "GET", b"", "Connection: close")


# The files


@pytest.mark.parametrize("name", ["http.cfg", "tcp.cfg"])
def test_haproxy_takes_the_file(name):
    check(FOLDER / name)


def test_http_tells_who_asked_whatever_the_client_claims(tmp_path):
    app = Seen()
    claims = [
        *("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"),
        *("X-Forwarded-Prefix: /evil", "Forwarded: for=6.6.6.6;proto=https", "X-Real-IP: 6.6.6.6"),
        *("X-Request-Start: t=1700000000", "X-Queue-Start: t=1700000000"),
    ]
    with (
        serving(app) as server,
        haproxy(shipped("http.cfg", ":80", f"127.0.0.1:{server.port}"), tmp_path) as where,
    ):
        assert ask(where, request("/x", "GET", b"", *claims)) == CLIENT.encode()
        assert ask(where, request("/y", "POST", b"body" * 100_000, *claims)) == b"body" * 100_000
    for environ in app.at("/x") + app.at("/y"):
        assert environ["REMOTE_ADDR"] == environ["HTTP_X_FORWARDED_FOR"] == CLIENT
        assert environ["greenserve.peer"].address == "127.0.0.1"
        assert (environ["wsgi.url_scheme"], environ["SCRIPT_NAME"], environ["HTTP_HOST"]) == ("http", "", "x")
        assert not {"HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_X_REAL_IP"} & environ.keys()
        assert "HTTP_X_QUEUE_START" not in environ
        started = parse_request_start(environ["HTTP_X_REQUEST_START"])
        assert started == pytest.approx(time.time(), abs=PATIENCE)


def test_http_ends_tls_and_says_so(tmp_path):
    app = Seen()
    certificate = issue(tmp_path / "haproxy.pem", "localhost")
    with serving(app) as server:
        text = shipped("http.cfg", ":80", f"127.0.0.1:{server.port}").replace(
            "FD", f"FD ssl crt {certificate}"
        )
        with haproxy(text, tmp_path) as where:
            ask(where, GET, client_context())
    (environ,) = app.at("/x")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == (
        CLIENT,
        "https",
        "443",
    )


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_websocket_of_its_own_page(tmp_path, scheme):
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if "HTTP_UPGRADE" not in environ:
            return Seen()(environ, start_response)  # health checks
        ws = accept_websocket(environ)
        for message in ws:
            ws.send(message)
        return []

    certificate = issue(tmp_path / "haproxy.pem", "localhost")
    with serving(app) as server:
        text = shipped("http.cfg", ":80", f"127.0.0.1:{server.port}")
        text = text.replace("FD", f"FD ssl crt {certificate}") if scheme == "wss" else text
        with haproxy(text, tmp_path) as where:
            url = f"{scheme}://localhost:{where[1]}/"
            ws = websocket.create_connection(url, timeout=PATIENCE, sslopt={"context": client_context()})
            ws.send("hello")
            assert ws.recv() == "hello"
            ws.close()


def test_tcp_passes_tls_through(tmp_path):
    app = Seen()
    certificate = issue(tmp_path / "server.pem", "localhost")
    with serving(app, certfile=str(certificate), proxy_protocol="v2") as server:
        with haproxy(shipped("tcp.cfg", ":443", f"127.0.0.1:{server.port}"), tmp_path) as where:
            assert ask(where, GET, client_context()) == CLIENT.encode()
            assert app.at("/x")[0]["SERVER_PORT"] == str(where[1])
            # Its health checks come too, and are not refused.
            eventually(lambda: server.stats.accepted >= 3)
        assert server.stats.refused == 0
    assert app.at("/x")[0]["wsgi.url_scheme"] == "https"


def test_its_timeouts_fit_greenserves():
    http, tcp = ((FOLDER / name).read_text() for name in ("http.cfg", "tcp.cfg"))
    config = Config()
    assert int(re.search(r"timeout http-request (\d+)s", http)[1]) == config.head_timeout
    for text in (http, tcp):
        for side in ("client", "server"):
            assert int(re.search(rf"timeout {side} (\d+)s", text)[1]) > max(
                config.request_timeout, config.keep_alive
            )


# Its PROXY headers


@pytest.mark.parametrize("versions", ["auto", "own"])
@pytest.mark.parametrize(
    ("option", "version"),
    [
        ("send-proxy", 1),
        ("send-proxy-v2", 2),
        ("send-proxy-v2-ssl", 2),
        ("send-proxy-v2-ssl-cn", 2),
        ("send-proxy-v2 proxy-v2-options crc32c", 2),
        ("send-proxy-v2 proxy-v2-options crc32c,ssl,authority,unique-id", 2),
    ],
)
def test_each_kind_of_header(tmp_path, option, version, versions):
    app = Seen()
    with serving(app, proxy_protocol=f"v{version}" if versions == "own" else "auto") as server:
        backend = f"127.0.0.1:{server.port} {option}"
        with haproxy(passing(backend, more=" unique-id-format %pid-%rt\n"), tmp_path) as where:
            assert ask(where, GET) == CLIENT.encode()
    (environ,) = app.at("/x")
    header = environ["greenserve.proxy_protocol"]
    assert (header.version, header.local) == (version, False)
    assert header.source == (CLIENT, environ["REMOTE_PORT"])
    assert header.destination == (where[0], str(where[1])) == (environ["SERVER_NAME"], environ["SERVER_PORT"])
    assert bool(header.details.unique_id) == ("unique-id" in option)
    assert (header.details.checksum_at >= 0) == ("crc32c" in option)
    if header.tls is not None:
        assert not header.tls.used
    assert environ["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize("versions", ["v1", "v2"])
def test_a_header_of_the_other_version_is_refused(tmp_path, versions, caplog):
    other = "send-proxy" if versions == "v2" else "send-proxy-v2"
    with serving(Seen(), proxy_protocol=versions) as server:
        with (
            haproxy(passing(f"127.0.0.1:{server.port} {other}"), tmp_path) as where,
            pytest.raises((EOFError, ConnectionError)),
        ):
            ask(where, GET)
        assert (server.stats.requests, server.stats.refused) == (0, 1)
    assert "the version that --proxy-protocol leaves out" in caplog.messages[0]


def test_without_a_header_it_is_refused(tmp_path, caplog):
    with (
        serving(Seen(), proxy_protocol="auto") as server,
        haproxy(passing(f"127.0.0.1:{server.port}"), tmp_path) as where,
        pytest.raises((EOFError, ConnectionError)),
    ):
        ask(where, GET)
    assert "plain HTTP where a PROXY header (v1 or v2) must be" in caplog.messages[0]


@pytest.mark.parametrize(("shows", "verified"), [(True, True), (False, False)])
def test_tls_that_haproxy_has_ended(tmp_path, shows, verified):
    app = Seen()
    certificate = issue(tmp_path / "haproxy.pem", "localhost")
    own = issue(tmp_path / "client.pem", "ada.example", common_name="ada")
    roots = authority_file(tmp_path / "ca.pem")
    with serving(app, proxy_protocol="v2") as server:
        bind = f"FD ssl crt {certificate} ca-file {roots} verify optional"
        with haproxy(passing(f"127.0.0.1:{server.port} send-proxy-v2-ssl-cn", bind), tmp_path) as where:
            assert ask(where, GET, client_context(own if shows else None)) == CLIENT.encode()
    (environ,) = app.at("/x")
    tls = environ["greenserve.proxy_protocol"].tls
    assert (tls.used, tls.verified, tls.common_name) == (True, verified, "ada" if shows else "")
    assert tls.version.startswith("TLSv1.")
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_its_health_checks_are_answered(tmp_path, option):
    """Version 1 names both ends of its own connection, version 2 says LOCAL (§2.2)."""
    app = Seen()
    with serving(app, proxy_protocol="auto") as server:
        backend = f"127.0.0.1:{server.port} {option} check check-send-proxy inter 50ms"
        with haproxy(passing(backend, more=" option httpchk GET /health\n"), tmp_path) as where:
            eventually(lambda: len(app.at("/health")) >= 3)
            assert ask(where, GET) == CLIENT.encode()
        assert server.stats.refused == 0
    for environ in app.at("/health"):
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["greenserve.proxy_protocol"].local == (option == "send-proxy-v2")


def test_over_a_unix_socket(tmp_path):
    app = Seen()
    with (
        serving(app, bind=f"unix:{tmp_path}/socket", proxy_protocol="v2") as server,
        haproxy(passing(f"{server.address} send-proxy-v2"), tmp_path) as where,
    ):
        assert ask(where, GET) == CLIENT.encode()
    assert app.at("/x")[0]["greenserve.peer"][:2] == ("", "")
