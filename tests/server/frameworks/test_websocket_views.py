"""greenserve.accept_websocket in a view of each framework, and WebSocketWSGI mounted beside its app.

The client is websocket-client.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
import requests
import websocket
from tests.server.frameworks.probes import Probe
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import becomes_quiet, serving
from tests.support.times import MS, PATIENCE
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from greenserve import Server, WebSocketWSGI
from greenserve_hub import Event

FRAMEWORKS = ["flask", "django", "bottle", "pyramid", "webob"]


@WebSocketWSGI
def _mounted(ws: Any) -> None:
    for message in ws:
        ws.send(f"{ws.environ['SCRIPT_NAME']} {ws.path}: {message}")


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> Any:
    app = importlib.import_module(f"tests.server.frameworks.{request.param}_app").make(Probe(Path()))
    return DispatcherMiddleware(app, {"/mounted": _mounted})


@pytest.fixture(scope="module")
def server(framework: Any) -> Iterator[Server]:
    with serving(framework) as server:
        yield server


@contextmanager
def _connect(server: Server, path: str, **options: Any) -> Iterator[websocket.WebSocket]:
    ws = websocket.create_connection(server.url.replace("http", "ws", 1) + path, timeout=PATIENCE, **options)
    try:
        yield ws
    finally:
        ws.shutdown()


def _talk(server: Server, path: str, expected: str) -> None:
    with _connect(server, path) as ws:
        for _ in range(2):
            ws.send("hi")
            assert ws.recv() == expected
        ws.close()
        assert ws.sock is None  # the server has agreed
    becomes_quiet(server)


def test_a_view(server: Server) -> None:
    _talk(server, "/ws/zo%C3%AB", "zoë: hi")


def test_a_view_below_the_checker_of_pep_3333(framework: Any) -> None:
    with serving(validator(framework)) as server:
        _talk(server, "/ws/bob", "bob: hi")


def test_agrees_on_a_subprotocol(server: Server) -> None:
    with _connect(server, "/ws/bob", subprotocols=["other", "talk"]) as ws:
        assert ws.getsubprotocol() == "talk"


def test_mounted_beside_it(server: Server) -> None:
    _talk(server, "/mounted/here", "/mounted /here: hi")


def test_not_from_a_page_of_another_site(server: Server) -> None:
    with (
        pytest.raises(websocket.WebSocketBadStatusException) as raised,
        _connect(server, "/ws/bob", origin="https://evil.example"),
    ):
        pass
    assert raised.value.status_code == 403


@pytest.mark.parametrize("path", ["/ws/bob", "/mounted/here"])
def test_an_ordinary_request_is_told_what_it_is(
    server: Server, path: str, request: pytest.FixtureRequest
) -> None:
    # Werkzeug does not let it come to a rule that is a WebSocket's.
    by_werkzeug = path == "/ws/bob" and request.node.callspec.params["framework"] == "flask"
    with requests.Session() as session:
        for _ in range(2):
            answer = session.get(server.url + path, timeout=PATIENCE)
            found = answer.status_code, answer.headers.get("Upgrade")
            assert found == ((400, None) if by_werkzeug else (426, "websocket"))


def test_holds_no_slot_and_has_no_deadline(framework: Any) -> None:
    def never(environ: Environ, start_response: Start) -> Iterable[bytes]:
        Event().wait()
        return []

    with (
        serving(
            DispatcherMiddleware(framework, {"/never": never}), pool=1, request_timeout=300 * MS
        ) as server,
        _connect(server, "/ws/a") as one,
        _connect(server, "/ws/b") as two,
    ):
        for path, status in (("/nowhere", 404), ("/never", 504)):
            assert requests.get(f"{server.url}{path}", timeout=PATIENCE).status_code == status
            for ws, name in ((one, "a"), (two, "b")):
                ws.send("hi")
                assert ws.recv() == f"{name}: hi"


def test_a_stop_says_so(framework: Any) -> None:
    with serving(framework) as server, _connect(server, "/ws/bob") as ws:
        ws.send("hi")
        ws.recv()
        stopping = threading.Thread(target=server.stop, args=(PATIENCE,))
        stopping.start()
        opcode, frame = ws.recv_data_frame(True)  # which answers it
        assert (opcode, frame.data[:2]) == (8, (1001).to_bytes(2))
        ws.shutdown()
        stopping.join(PATIENCE)
        assert not stopping.is_alive()
