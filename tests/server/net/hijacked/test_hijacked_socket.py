"""HijackedSocket and its halves: environ["werkzeug.socket"], what libraries with a WebSocket of their own get.

In the server's hub, on a clock that jumps, with the client's very bytes.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.server.net.hijacked.scenes import ASK, HEAD, App, Scene
from tests.support.clients.raw import request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import AppError, spawn
from greenserve.net.hijacked import hijacked_socket
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too


class TestIsOffered:
    @pytest.mark.parametrize(
        "data",
        [
            request("/plain"),
            request("/plain", "GET", b"", "Connection: Upgrade", "Upgrade: h2c"),
            request("/plain", "POST", b"", "Connection: Upgrade", "Upgrade: websocket"),
            request("/plain", "GET", b"body", "Connection: Upgrade", "Upgrade: websocket"),
            b"GET /plain HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ],
    )
    def test_not_to_other_requests(self, scene: Scene, data: bytes) -> None:
        seen = []
        app = scene.app

        def look(environ: Environ, start_response: Start) -> Iterable[bytes]:
            seen.append("werkzeug.socket" in environ)
            return app(environ, start_response)

        scene.server.service.app = look
        with scene.client(data) as client:
            assert client.answer().status == 200
        assert seen == [False]

    def test_unused_the_request_is_like_any(self, scene: Scene) -> None:
        with scene.client() as client:
            assert client.answer().body == b"answered"
            assert client.send(request("/plain")).answer().body == b"answered"

    def test_its_names_may_be_asked_for(self, scene: Scene) -> None:
        seen: list[Any] = []

        def use(sock: HijackedSocket) -> None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            seen.extend([sock.getsockname(), sock.getpeername(), sock.family, sock.type, sock.proto])
            seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            seen.append(repr(sock))

        scene.app.use = use
        with scene.client() as client:
            assert client.answer().status == 200
        assert seen == [
            scene.server.address,
            "",
            socket.AF_UNIX,
            socket.SOCK_STREAM,
            0,
            1,
            "<HijackedSocket /ws>",
        ]

    def test_closed_unused_it_is_of_no_use_and_the_request_is_answered(self, scene: Scene) -> None:
        scene.app.use = lambda sock: sock.close()
        with scene.client() as client:
            assert client.answer().status == 200

    def test_not_after_the_request(self, scene: Scene) -> None:
        found: list[HijackedSocket] = []
        scene.app.use = found.append
        with scene.client() as client:
            assert client.answer().status == 200
            with pytest.raises(OSError, match="the request is over") as raised:
                found[0].send(b"late")
            assert raised.value.errno == errno.EBADF
            assert client.send(request("/plain")).answer().status == 200

    def test_environ_lets_go_of_it(self, scene: Scene) -> None:
        with scene.client() as client:
            assert client.answer().status == 200
        assert "werkzeug.socket" not in scene.app.environ
        _, client = scene.held()
        assert "werkzeug.socket" not in scene.app.environ
        client.close()

    def test_not_where_threads_are_no_green_ones(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.undo()
        scene.app.use = lambda sock: sock.send(HEAD)
        with scene.client() as client:
            assert client.answer().status == 500
        assert isinstance(scene.app.raised, AppError)
        assert "greenserve.monkey_patch() before all other imports" in caplog.text
        assert "greenserve.accept_websocket(environ)" in caplog.text


class TestLimit:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"limit_websockets": 1}

    def test_the_next_is_refused_before_the_app_runs(self, scene: Scene) -> None:
        sock, first = scene.held()
        with first, scene.client() as second:
            answer = second.answer()
            assert (answer.status, answer["Retry-After"]) == (503, "1")
            assert b"limit_websockets" in answer.body
            assert scene.app.calls == 1
            with scene.client(request("/plain")) as other:
                assert other.answer().status == 200
            sock.close()
            scene.end_app()
        wait_all_blocked()
        scene.app.use = lambda sock: sock.send(HEAD)
        with scene.client() as third:
            assert third.rest() == HEAD

    def test_that_is_reached_while_the_app_thinks(self, scene: Scene) -> None:
        gate = Event()

        def use(sock: HijackedSocket) -> None:
            gate.wait()
            sock.send(HEAD)

        scene.app.use = use
        with scene.client() as late:
            _, first = scene.held()
            with first:
                gate.send(None)
                answer = late.answer()
                assert (answer.status, answer["Retry-After"]) == (503, "1")


class TestLeavesHTTP:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"pool": 1, "request_timeout": 5.0, "keep_alive": 5.0}

    def test_its_slot_is_for_others(self, scene: Scene) -> None:
        _, client = scene.held()
        with client, scene.client(request("/plain")) as other:
            assert other.answer().body == b"answered"
            assert (scene.server.stats.websockets, scene.server.stats.active) == (1, 0)
            scene.end_app()
            assert scene.server.stats.active == 0
            assert other.send(request("/plain")).answer().body == b"answered"

    def test_no_deadline_of_a_request_holds(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            scene.pass_time(10_000)
            sock.send(b"still here")
            assert client.take(10) == b"still here"

    @pytest.mark.parametrize("error", [None, ConnectionError(), StopIteration(), ValueError("broken")])
    def test_what_the_app_answers_or_raises_is_for_nobody(
        self, scene: Scene, error: Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        def use(sock: HijackedSocket) -> None:
            sock.send(HEAD + b"all")
            if error is not None:
                raise error

        scene.app.use = use
        with scene.client() as client:
            assert client.rest() == HEAD + b"all"
        assert ("error in the app" in caplog.text) is isinstance(error, ValueError)

    def test_what_came_behind_the_request_is_received_first(self, scene: Scene) -> None:
        sock, client = scene.held(ASK + b"ahead")
        with client:
            assert sock.recv(2) == b"ah"
            assert sock.recv(100) == b"ead"
            client.send(b"more")
            assert sock.recv(100) == b"more"

    def test_the_access_log_has_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hijacked_socket, "is_monkey_patched", lambda module: True)
        app = App()
        log = tmp_path / "log"
        with in_one_hub(app, tmp_path, access_logfile=str(log), access_log_format="%(s)s %(B)s %(U)s") as (
            server,
            clock,
        ):
            sock, client = Scene(server, clock, app).held(ASK + b"12345")
            with client:
                sock.sendall(b"x" * 1000)
                assert log.read_text() == ""
                assert sock.recv(5) == b"12345"
                sock.close()
                assert client.rest() == b"x" * 1000
            wait_all_blocked()
            assert log.read_text() == f"101 {1000 + len(HEAD)} /ws\n"


def test_a_hub_is_left_without_anything(scene: Scene) -> None:
    sock, client = scene.held()
    sock.fileno()
    receiving = spawn(sock.recv, 1)
    wait_all_blocked()
    client.close()
    assert receiving.wait() == b""
    sock.close()
    scene.end_app()
    assert not scene.server.stats.connections
    assert not [one for one in get_hub().parked.values() if "HijackedSocket" in repr(one)]
