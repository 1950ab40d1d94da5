"""wsgi_server: eventlet's wsgi.server(sock, app, ...), in the current hub."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.certificates import client_context, issue
from tests.support.servers.running import own_hub
from tests.support.times import MS, PATIENCE

import greenserve
from greenserve import ConfigError, spawn, wsgi_server
from greenserve_hub.greenio.serving import listen
from greenserve_hub.testing import wait_all_blocked


class TestWSGIServer:
    """eventlet's wsgi.server(sock, app, ...)."""

    @pytest.fixture(autouse=True)
    def hub(self) -> Iterator[None]:
        with own_hub():
            yield

    def _run(self, app: Any, **settings: Any) -> tuple[Any, Any]:
        sock = listen(("127.0.0.1", 0))
        settings.setdefault("log_output", False)
        settings.setdefault("graceful_timeout", 0)
        return sock.getsockname(), spawn(wsgi_server, sock, app, **settings)

    def _end(self, running: Any) -> None:
        running.kill()
        with pytest.raises(greenserve.GreenletExit):
            running.wait()

    def test_serves_until_it_is_killed(self) -> None:
        address, running = self._run(path)
        with RawClient(address, green=True) as client:
            assert client.get("/a").body == b"/a"
            self._end(running)
            assert client.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            RawClient(address, green=True)

    def test_tls_by_a_context_in_place_of_wrap_ssl(self, tmp_path: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issue(tmp_path / "server.pem", "localhost", "127.0.0.1"))
        address, running = self._run(path, ssl_context=context)
        with RawClient(address, green=True, tls=client_context()) as client:
            assert client.get("/a").body == b"/a"
            self._end(running)

    def test_a_wrapped_socket_is_told_what_to_do(self, tmp_path: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issue(tmp_path / "server.pem", "localhost", "127.0.0.1"))
        with (
            context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as sock,
            pytest.raises(ConfigError, match="as ssl_context"),
        ):
            wsgi_server(sock, path)

    def test_its_end_is_graceful(self) -> None:
        gate = greenserve.Event()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        address, running = self._run(app, graceful_timeout=PATIENCE)
        with RawClient(address, green=True) as client:
            client.send(request("/a"))
            wait_all_blocked()
            running.kill()
            gate.send()
            answer = client.answer()
            assert (answer.body, answer.closes) == (b"/a", True)
        with pytest.raises(greenserve.GreenletExit):
            running.wait()

    def test_takes_a_socket_of_the_standards(self) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        running = spawn(wsgi_server, sock, path, log_output=False, graceful_timeout=0)
        with RawClient(sock.getsockname(), green=True) as client:
            assert client.get("/a").body == b"/a"
        self._end(running)

    def test_eventlets_settings(self, capfd: pytest.CaptureFixture[str]) -> None:
        address, running = self._run(path, keepalive=False, url_length_limit=100, max_size=3, log_output=True)
        with RawClient(address, green=True) as client:
            assert client.get("/a").closes
        with RawClient(address, green=True) as client:
            assert client.send(request("/" + "a" * 100)).answer().status == 414
        self._end(running)
        assert '"GET /a HTTP/1.1" 200' in capfd.readouterr().out

    def test_seconds_of_keepalive_and_of_the_socket(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["wsgi.input"].read()
            return path(environ, start_response)

        address, running = self._run(app, keepalive=20 * MS, socket_timeout=20 * MS)
        with RawClient(address, green=True) as client:
            assert client.get("/a").body == b"/a"
            assert client.rest() == b""
        with RawClient(address, green=True) as client:
            assert (
                client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n").answer().status == 408
            )
        self._end(running)

    def test_what_is_no_socket(self) -> None:
        with pytest.raises(ConfigError, match="listening socket"):
            wsgi_server(("127.0.0.1", 0), path)  # type: ignore[arg-type]
