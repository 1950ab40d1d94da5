"""WebSocketWSGI, RFC6455WebSocket on sockets of any kind, and the drafts before it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.support.times import PATIENCE

import greenserve_eventlet as eventlet
from greenserve_eventlet.serving import websocket, wsgi
from greenserve_hub import GreenletExit, Timeout, kill, sleep, socketpair, spawn

KEY = "d9MXuOzlVQ0h+qRllvSCIg=="
ACCEPT = "ywSyWXCPNsDxLrQdQrn5RFNRfBU="
UPGRADE = ("Upgrade: websocket", "Connection: keep-alive, Upgrade")
V13 = (*UPGRADE, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
V76 = (
    *UPGRADE,
    "Origin: http://a",
    "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5",
    "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00",
)


def echo(ws: Any) -> None:
    while (message := ws.wait()) is not None:
        ws.send(message)


@contextmanager
def connected(
    app: Any, *lines: str, target: str = "/", behind: bytes = b""
) -> Iterator[tuple[Any, str, io.StringIO]]:
    """A client of the app, and the head of its response."""
    log = io.StringIO()
    listener = eventlet.listen(("127.0.0.1", 0))
    green = spawn(wsgi.server, listener, app, log)
    sleep(0)
    with eventlet.connect(listener.getsockname()) as sock, Timeout(PATIENCE):
        sock.sendall("\r\n".join((f"GET {target} HTTP/1.1", "Host: a", *lines, "", "")).encode() + behind)
        received = b""
        while b"\r\n\r\n" not in received and (piece := sock.recv(1)):
            received += piece
        yield sock, received.decode(), log
    kill(green)
    with suppress(GreenletExit), Timeout(PATIENCE):
        green.wait()  # until its connections are closed


class TestHandshake:
    def test_is_agreed_on(self) -> None:
        app = websocket.WebSocketWSGI.configured(echo, supported_protocols=["b"])
        with connected(app, *V13, "Sec-WebSocket-Protocol: a, b") as (_, head, _log):
            assert head.splitlines() == [
                "HTTP/1.1 101 Switching Protocols",
                "Upgrade: websocket",
                "Connection: Upgrade",
                f"Sec-WebSocket-Accept: {ACCEPT}",
                "Sec-WebSocket-Protocol: b",
                "",
            ]

    @pytest.mark.parametrize(
        ("lines", "status"),
        [
            ((), 400),
            (("Upgrade: websocket",), 400),
            (UPGRADE, 400),
            ((*UPGRADE, "Sec-WebSocket-Version: 13"), 400),
            ((*UPGRADE, "Sec-WebSocket-Version: 12", f"Sec-WebSocket-Key: {KEY}"), 426),
            ((*V13, "Origin: http://b"), 403),
        ],
    )
    def test_is_refused(self, lines: tuple[str, ...], status: int) -> None:
        app = websocket.WebSocketWSGI.configured(
            echo, origin_checker=lambda host, origin: origin != "http://b"
        )
        with connected(app, *lines) as (_, head, _log):
            assert head.startswith(f"HTTP/1.1 {status} ")
            assert "\r\nConnection: close\r\n" in head
            assert ("Sec-Websocket-Version: 8, 13" in head) is (status == 426)

    @pytest.mark.parametrize(
        ("offer", "answer"),
        [
            ("permessage-deflate", "permessage-deflate"),
            (
                "PeRmessage-Deflate;  Server_no_context_takeover;",
                "permessage-deflate; server_no_context_takeover",
            ),
            (
                "permessage-deflate; server_max_window_bits = 11",
                "permessage-deflate; server_max_window_bits=11",
            ),
            ("permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=15"),
            ("permessage-deflate; client_max_window_bits=7, permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; unknown", None),
        ],
    )
    def test_compression(self, offer: str, answer: str | None) -> None:
        app = websocket.WebSocketWSGI(echo)
        with connected(app, *V13, f"Sec-WebSocket-Extensions: {offer}") as (_, head, _log):
            found = [line for line in head.splitlines() if "Extensions" in line]
        assert found == ([] if answer is None else [f"Sec-WebSocket-Extensions: {answer}"])

    def test_needs_a_server_that_gives_the_socket(self) -> None:
        environ = {
            "HTTP_CONNECTION": "upgrade",
            "HTTP_UPGRADE": "websocket",
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
            "HTTP_SEC_WEBSOCKET_KEY": KEY,
        }
        with pytest.raises(RuntimeError, match=r"accept_websocket\(environ\)"):
            websocket.WebSocketWSGI(echo)(environ, None)


DEFLATE: dict[str, dict[str, Any]] = {"permessage-deflate": {}}


class TestMessages:
    @pytest.mark.parametrize("extensions", [None, DEFLATE])
    def test_go_both_ways(self, extensions: Any) -> None:
        offer = ("Sec-WebSocket-Extensions: permessage-deflate",) if extensions else ()
        with connected(websocket.WebSocketWSGI(echo), *V13, *offer) as (sock, _, _log):
            client = websocket.RFC6455WebSocket(sock, {}, client=True, extensions=extensions)
            for message in ("a", b"\x00b", "", "x" * 70_000, "\u00e9" * 200):
                client.send(message)
                assert client.wait() == message
            client.send("in ", final=False)
            client.send(b"pa", continuation=True, final=False)
            client.send(b"?", control_code=9)
            client.send(b"rts", continuation=True)
            assert client.wait() == "in parts"
            client.close((1000, "bye"))
            assert client.wait() is None

    def test_the_closing_handshake(self) -> None:
        with connected(websocket.WebSocketWSGI(lambda ws: ws.send("last")), *V13) as (sock, _, _log):
            client = websocket.RFC6455WebSocket(sock, {}, client=True)
            assert list(client) == ["last"]
            assert client._remote_close_data == b""

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (b"\x81\x01a", 1002),  # without a mask
            (b"\x83\x80aaaa", 1002),  # an opcode that is unknown
            (b"\xc1\x80aaaa", 1002),  # RSV1, and no extension
            (b"\x80\x80aaaa", 1002),  # a part of nothing
            (b"\x09\x80aaaa", 1002),  # a ping in parts
            (b"\x88\x82\0\0\0\0\x03\xec", 1002),  # code 1004
            (b"\x81\x81\0\0\0\0\xff", 1007),
            (b"\x82\xfe\x00\x65\0\0\0\0", 1009),
            (b"\x02\xe0\0\0\0\0" + b"a" * 96 + b"\x80\x85\0\0\0\0aaaaa", 1009),  # over its parts
        ],
    )
    def test_what_breaks_the_protocol_or_the_limit(self, sent: bytes, code: int) -> None:
        with connected(websocket.WebSocketWSGI(echo, max_frame_length=100), *V13) as (sock, _, _log):
            sock.sendall(sent)
            client = websocket.RFC6455WebSocket(sock, {}, client=True)
            assert client.wait() is None
            assert client._remote_close_data is not None
            assert client._remote_close_data[:2] == struct.pack("!H", code)

    def test_what_inflates_to_more_than_the_limit(self) -> None:
        app = websocket.WebSocketWSGI(echo, max_frame_length=1000)
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        with connected(app, *V13, offer) as (sock, _, _log):
            client = websocket.RFC6455WebSocket(sock, {}, client=True, extensions=DEFLATE)
            client.send("x" * 1000)
            assert client.wait() == "x" * 1000
            client.send("x" * 1001)
            assert client.wait() is None
            assert (client._remote_close_data or b"")[:2] == b"\x03\xf1"

    def test_a_control_frame_that_may_not_be(self) -> None:
        client = websocket.RFC6455WebSocket(None, {}, client=True)
        for keywords in ({"control_code": 3}, {"control_code": 9, "final": False}):
            with pytest.raises(websocket.ProtocolError):
                client.send(b"", **keywords)
        with pytest.raises(websocket.ProtocolError, match="125 bytes"):
            client.send(b"x" * 126, control_code=9)

    def test_an_app_that_fails(self) -> None:
        def fail(ws: Any) -> None:
            raise RuntimeError("of the app's own")

        with connected(websocket.WebSocketWSGI(fail), *V13) as (sock, _, log):
            assert sock.recv(10) == b""
            assert "of the app's own" in log.getvalue()

    def test_on_any_socket_that_waits_green(self) -> None:
        one, other = socketpair()
        with one, other:
            server = websocket.RFC6455WebSocket(one, {"PATH_INFO": "/a"})
            client = websocket.RFC6455WebSocket(other, {}, client=True)
            client.send("a")
            assert (server.path, server.wait()) == ("/a", "a")

    def test_over_gunicorns_socket(self) -> None:
        one, other = socketpair()
        environ = {
            "HTTP_CONNECTION": "upgrade",
            "HTTP_UPGRADE": "websocket",
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
            "HTTP_SEC_WEBSOCKET_KEY": KEY,
            "gunicorn.socket": one,
        }
        with one, other:
            green = spawn(websocket.WebSocketWSGI(echo), environ, None)
            assert other.recv(1000).startswith(b"HTTP/1.1 101 ")
            websocket.RFC6455WebSocket(other, {}, client=True).close()
            assert green.wait() == []
            wsgi.WSGI_LOCAL.already_handled = False


def test_a_stop_does_not_wait_for_the_clients_answer() -> None:
    ended = eventlet.Event()

    def app(ws: Any) -> None:
        ended.send(ws.wait())

    listener = eventlet.listen(("127.0.0.1", 0))
    green = spawn(wsgi.server, listener, websocket.WebSocketWSGI(app), log_output=False)
    with eventlet.connect(listener.getsockname()) as sock, Timeout(PATIENCE):
        sock.sendall("\r\n".join(("GET / HTTP/1.1", *V13, "", "")).encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 101 ")
        killer = spawn(green.kill)
        assert ended.wait() is None
        assert sock.recv(4)[2:] == struct.pack("!H", 1001)
        sock.close()
        killer.wait()


class TestDrafts:
    def test_76(self) -> None:
        app = websocket.WebSocketWSGI(echo)
        with connected(app, *V76, target="/e?", behind=b"^n:ds[4U\x00early\xff") as (sock, head, _log):
            assert "\r\nSec-WebSocket-Location: ws://a/e?\r\n" in head
            received = b""
            while not received.endswith(b"\xff"):
                received += sock.recv(100)
            assert received == b"8jKS'y:G*Co,Wxa-\x00early\xff"
            sock.sendall(b"\xff\x00")
            assert sock.recv(100) == b""

    def test_75(self) -> None:
        with connected(websocket.WebSocketWSGI(echo), *UPGRADE, "Origin: http://a") as (sock, head, _log):
            assert "\r\nWebSocket-Location: ws://a/\r\n" in head
            for piece in (b"\x00in ", b"parts\xff"):
                sock.sendall(piece)
            assert sock.recv(100) == b"\x00in parts\xff"

    @pytest.mark.parametrize("missing", [2, 3, 4])
    def test_what_is_none(self, missing: int) -> None:
        lines = [line for number, line in enumerate(V76) if number != missing]
        lines = [line.replace("Key1: 4 @1  ", "Key1: 41") for line in lines] if missing == 3 else lines
        with connected(websocket.WebSocketWSGI(echo), *lines) as (_, head, _log):
            assert head.startswith("HTTP/1.1 400 " if missing != 3 else "HTTP/1.1 ")

    def test_not_with_configured(self) -> None:
        with connected(websocket.WebSocketWSGI.configured(echo), *V76) as (_, head, _log):
            assert head.startswith("HTTP/1.1 400 ")

    def test_bytes_that_begin_no_message(self) -> None:
        app = websocket.WebSocketWSGI(echo)
        with connected(app, *V76, behind=b"^n:ds[4U") as (sock, _, log):
            sock.recv(16)
            sock.sendall(b"\xef\x00")
            while sock.recv(100):
                pass
            assert "0xef begins no message" in log.getvalue()
