"""eventlet.websocket's names: an app of theirs with nothing but its imports changed.

Where eventlet is installed (the extra `bench`) its own classes are asked which names there are.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websocket
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

import greenserve
from greenserve import ConfigError, WebSocket, WebSocketWSGI

# What eventlet 0.41 has without an underscore, but for the parts that only its own code uses.
_OF_A_SOCKET = {
    "close", "environ", "origin", "path", "protocol", "send", "version", "wait", "websocket_closed",
}  # fmt: skip
_OF_CONFIGURED = {"handler", "supported_protocols", "origin_checker", "support_legacy_versions"}

_APP = """
{imports}

participants = set()


@websocket.WebSocketWSGI
def handle(ws):
    if ws.path == "/chat":
        participants.add(ws)
        try:
            while True:
                m = ws.wait()
                if m is None:
                    break
                for p in participants:
                    p.send(m)
        finally:
            participants.remove(ws)
    elif ws.path == "/data":
        for i in range(3):
            ws.send("%s\\n" % i)
            eventlet.sleep(0.001)
    elif ws.path == "/closed":
        before = ws.websocket_closed
        ws.close()
        seen.append((before, ws.websocket_closed, ws.wait()))
        seen.append((ws.version, ws.protocol, ws.origin, ws.environ["PATH_INFO"]))


@websocket.WebSocketWSGI.configured(
    supported_protocols=["a", "b"],
    origin_checker=lambda host, origin: check(host, origin),
)
def configured(ws):
    ws.send(ws.protocol)


def dispatch(environ, start_response):
    if environ["PATH_INFO"] == "/configured":
        return configured(environ, start_response)
    return handle(environ, start_response)
"""
_OURS = "import greenserve as eventlet\nimport greenserve as websocket"


def _app(**names: Any) -> Any:
    namespace: dict[str, Any] = names
    exec(_APP.format(imports=_OURS), namespace)
    return namespace["dispatch"]


@contextmanager
def _connect(server: Any, path: str, **options: Any) -> Iterator[websocket.WebSocket]:
    ws = websocket.create_connection(server.url.replace("http", "ws", 1) + path, timeout=PATIENCE, **options)
    try:
        yield ws
    finally:
        ws.shutdown()


def _close_code(ws: websocket.WebSocket) -> int:
    opcode, frame = ws.recv_data_frame(True)
    assert opcode == 8
    return int.from_bytes(frame.data[:2])


def test_an_app_with_its_imports_changed():
    seen: list[Any] = []
    with serving(_app(seen=seen)) as server:
        with _connect(server, "/chat") as one, _connect(server, "/chat") as two:
            two.send("I am in")
            while two.recv() != "I am in":
                pass
            one.send("hi")
            assert two.recv() == "hi"
            one.close()
            two.send_binary(b"\0")
            assert two.recv() == b"\0"
        with _connect(server, "/data") as ws:
            assert [ws.recv() for _ in range(3)] == ["0\n", "1\n", "2\n"]
            assert _close_code(ws) == 1000
        with _connect(server, "/closed", suppress_origin=True) as ws:
            assert _close_code(ws) == 1000
    assert seen == [(False, True, None), (13, None, None, "/closed")]


def test_configured():
    asked: list[Any] = []

    def check(host: str | None, origin: str) -> bool:
        asked.append((host, origin))
        return origin != "https://evil.example"

    with serving(_app(check=check)) as server:
        with _connect(server, "/configured", subprotocols=["b"], origin="https://far.example") as ws:
            assert (ws.getsubprotocol(), ws.recv()) == ("b", "b")
        with (
            pytest.raises(websocket.WebSocketBadStatusException) as raised,
            _connect(server, "/configured", origin="https://evil.example"),
        ):
            pass
        assert raised.value.status_code == 403
        with _connect(server, "/configured", suppress_origin=True, subprotocols=["a"]) as ws:
            assert ws.recv() == "a"
        host = server.url.removeprefix("http://")
    assert asked == [(host, "https://far.example"), (host, "https://evil.example"), (host, "")]


def test_configured_with_a_handler_and_our_own_options():
    def handler(ws: WebSocket) -> None: ...

    app = WebSocketWSGI.configured(handler, ["a"], max_queue=3)
    assert app.handler is handler
    assert app.options == {"subprotocols": ["a"], "max_queue": 3}


def test_max_frame_length_is_max_size():
    @WebSocketWSGI(max_frame_length=10)
    def echo(ws: WebSocket) -> None:
        for message in ws:
            ws.send(message)

    with serving(echo) as server, _connect(server, "/") as ws:
        ws.send("x" * 10)
        assert ws.recv() == "x" * 10
        ws.send("x" * 11)
        assert _close_code(ws) == 1009


def test_drafts_are_not_spoken():
    with pytest.raises(ConfigError, match="leave it out"):
        WebSocketWSGI.configured(support_legacy_versions=True)


def test_the_names_are_a_subset():
    assert set(dir(WebSocket)) >= _OF_A_SOCKET
    assert set(inspect.signature(WebSocketWSGI.configured).parameters) >= _OF_CONFIGURED
    assert set(inspect.signature(WebSocketWSGI).parameters) >= {"handler", "max_frame_length"}


def test_the_names_are_eventlets():
    theirs = pytest.importorskip("eventlet.websocket", reason="asks eventlet itself, of the extra `bench`")
    assert all(hasattr(greenserve, name) for name in theirs.__all__)
    assert set(inspect.signature(theirs.WebSocketWSGI.configured).parameters) == _OF_CONFIGURED
    assert set(inspect.signature(theirs.WebSocketWSGI).parameters) == {"handler", "max_frame_length"}
    environ = {"REMOTE_PORT": "1", "PATH_INFO": "/"}
    named = set(dir(theirs.WebSocket(None, environ))) | set(dir(theirs.RFC6455WebSocket(None, environ)))
    own = {"socket", "log", "log_context", "max_frame_length"}
    own |= {"Message", "UTF8Decoder", "client", "extensions", "iterator"}  # of its reader
    assert {name for name in named if not name.startswith("_")} - own == _OF_A_SOCKET
