"""wsgi.Server.process_request, which serves one connection, and serve, whose handlers do so."""

from __future__ import annotations

import io
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.as_eventlet import Environ, hello
from tests.support.servers.certificates import issue
from tests.support.times import PATIENCE

import greenserve_eventlet as eventlet
from greenserve_eventlet.serving import wsgi
from greenserve_hub import StopServe, Timeout, kill, sleep, spawn


class TestProcessRequest:
    def _pair(self, app: Any) -> tuple[Any, Any, Any]:
        listener = eventlet.listen(("127.0.0.1", 0))
        client = eventlet.connect(listener.getsockname())
        sock, address = listener.accept()
        server = wsgi.Server(listener, listener.getsockname(), app, log=io.StringIO())
        listener.close()
        return server, [address, sock, wsgi.STATE_IDLE], client

    def test_serves_one_connection_until_it_closes(self) -> None:
        server, state, client = self._pair(hello)
        green = spawn(server.process_request, state)
        for connection in ("keep-alive", "close"):
            client.sendall(f"GET / HTTP/1.1\r\nConnection: {connection}\r\n\r\n".encode())
            received = b""
            while not received.endswith(b"hello"):
                received += client.recv(1000)
        client.close()
        green.wait()
        assert state[2] == wsgi.STATE_CLOSE

    def test_ends_with_its_green_thread(self) -> None:
        begun = eventlet.Event()

        def app(environ: Environ, start: Any) -> list[bytes]:
            begun.send()
            sleep(PATIENCE)
            return []

        server, state, client = self._pair(app)
        green = spawn(server.process_request, state)
        with client, Timeout(PATIENCE):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            begun.wait()
            kill(green)
            assert client.recv(1000).startswith(b"HTTP/1.1 503 ")
            while client.recv(1000):
                pass

    def test_tls_begins_in_it(self, tmp_path: Path) -> None:
        certificate = issue(tmp_path / "pem", "localhost")
        listener = eventlet.wrap_ssl(
            eventlet.listen(("127.0.0.1", 0)),
            certfile=certificate,
            server_side=True,
        )
        server = wsgi.Server(listener, listener.getsockname(), hello, log_output=False)

        def accept() -> None:
            sock, address = listener.accept()
            server.process_request([address, sock])

        green = spawn(accept)
        client = eventlet.wrap_ssl(eventlet.connect(listener.getsockname()))
        assert isinstance(client, ssl.SSLSocket)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.close()
        green.wait()
        listener.close()


def test_serve_ends_with_what_a_handler_raises() -> None:
    def handle(sock: Any, address: Any) -> None:
        raise (StopServe if sock.recv(1) == b"s" else ZeroDivisionError)

    for sent, error in ((b"z", ZeroDivisionError), (b"s", None)):
        sock = eventlet.listen(("127.0.0.1", 0))
        green = spawn(eventlet.serve, sock, handle)
        with eventlet.connect(sock.getsockname()) as client:
            client.sendall(sent)
            if error is None:
                green.wait()
            else:
                with pytest.raises(error):
                    green.wait()
            assert client.recv(1) == b""
        sock.close()
