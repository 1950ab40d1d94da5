"""HijackedSocket and its halves: environ["werkzeug.socket"], what libraries with a WebSocket of their own get.

In the server's hub, on a clock that jumps, with the client's very bytes.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import AppError, ConcurrentUseError, GreenThread, Server, Timeout, sleep, spawn
from greenserve.net.hijacked import hijacked_socket
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, wait_all_blocked

pytestmark = pytest.mark.over_tls_too

_ASK = request(
    "/ws",
    "GET",
    b"",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: x",
    "Sec-WebSocket-Version: 13",
)
_HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
_LARGE = bytes(range(256)) * 8_000  # more than the buffers of a pair hold together
_CLOSE = bytes([0x88, 0x02, 0x03, 0xE8])


class _App:
    """Gives each socket to `use`, and answers like any app when that is over. /plain is an ordinary request."""

    def __init__(self) -> None:
        self.use: Callable[[HijackedSocket], object] = lambda sock: None
        self.environ: Environ = {}
        self.calls = 0
        self.raised: BaseException | None = None

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.calls += 1
        self.environ = environ
        if environ["PATH_INFO"] == "/ws":
            try:
                self.use(environ["werkzeug.socket"])
            except BaseException as error:
                self.raised = error
                raise
        start_response("200 OK", [("X-From", "app")])
        return [b"answered"]


class _Scene:
    """A server in this hub, its app, and the socket that the app was given last, if it holds it."""

    def __init__(self, server: Server, clock: FakeClock, app: _App) -> None:
        self.server = server
        self.clock = clock
        self.app = app
        self.done = Event()

    def client(self, data: bytes = _ASK) -> RawClient:
        client = RawClient(self.server.address, green=True).send(data)
        wait_all_blocked()
        return client

    def held(self, data: bytes = _ASK) -> tuple[HijackedSocket, RawClient]:
        """A hijacked socket, whose app waits for `done`, and its client, who has read the 101."""
        found: list[HijackedSocket] = []

        def use(sock: HijackedSocket) -> None:
            sock.sendall(_HEAD)
            found.append(sock)
            self.done.wait()

        self.app.use = use
        client = self.client(data)
        assert client.take(len(_HEAD)) == _HEAD
        return found[0], client

    def end_app(self) -> None:
        self.done.send(None)
        wait_all_blocked()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        sleep(0)
        wait_all_blocked()

    def stop(self, graceful: float = 100, *, restarts: bool = False) -> GreenThread[None]:
        stopping = spawn(self.server.stop, graceful, restarts=restarts)
        wait_all_blocked()
        return stopping


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> Iterator[_Scene]:
    monkeypatch.setattr(hijacked_socket, "is_monkey_patched", lambda module: True)
    app = _App()
    with in_one_hub(app, tmp_path, **settings) as (server, clock):
        scene = _Scene(server, clock, app)
        yield scene
        if not scene.done.ready():
            scene.end_app()


def _offer(sock: HijackedSocket, data: bytes) -> bytes:
    """Send what goes without waiting; the rest."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            break
    return data


def _is_readable(sock: HijackedSocket) -> bool:
    wait_all_blocked()
    return bool(select.select([sock], [], [], 0)[0])


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
    def test_not_to_other_requests(self, scene: _Scene, data: bytes) -> None:
        seen = []
        app = scene.app

        def look(environ: Environ, start_response: Start) -> Iterable[bytes]:
            seen.append("werkzeug.socket" in environ)
            return app(environ, start_response)

        scene.server.service.app = look
        with scene.client(data) as client:
            assert client.answer().status == 200
        assert seen == [False]

    def test_unused_the_request_is_like_any(self, scene: _Scene) -> None:
        with scene.client() as client:
            assert client.answer().body == b"answered"
            assert client.send(request("/plain")).answer().body == b"answered"

    def test_its_names_may_be_asked_for(self, scene: _Scene) -> None:
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

    def test_closed_unused_it_is_of_no_use_and_the_request_is_answered(self, scene: _Scene) -> None:
        scene.app.use = lambda sock: sock.close()
        with scene.client() as client:
            assert client.answer().status == 200

    def test_not_after_the_request(self, scene: _Scene) -> None:
        found: list[HijackedSocket] = []
        scene.app.use = found.append
        with scene.client() as client:
            assert client.answer().status == 200
            with pytest.raises(OSError, match="the request is over") as raised:
                found[0].send(b"late")
            assert raised.value.errno == errno.EBADF
            assert client.send(request("/plain")).answer().status == 200

    def test_environ_lets_go_of_it(self, scene: _Scene) -> None:
        with scene.client() as client:
            assert client.answer().status == 200
        assert "werkzeug.socket" not in scene.app.environ
        _, client = scene.held()
        assert "werkzeug.socket" not in scene.app.environ
        client.close()

    def test_not_where_threads_are_no_green_ones(
        self, scene: _Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.undo()
        scene.app.use = lambda sock: sock.send(_HEAD)
        with scene.client() as client:
            assert client.answer().status == 500
        assert isinstance(scene.app.raised, AppError)
        assert "greenserve.monkey_patch() before all other imports" in caplog.text
        assert "greenserve.accept_websocket(environ)" in caplog.text


class TestLimit:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"limit_websockets": 1}

    def test_the_next_is_refused_before_the_app_runs(self, scene: _Scene) -> None:
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
        scene.app.use = lambda sock: sock.send(_HEAD)
        with scene.client() as third:
            assert third.rest() == _HEAD

    def test_that_is_reached_while_the_app_thinks(self, scene: _Scene) -> None:
        gate = Event()

        def use(sock: HijackedSocket) -> None:
            gate.wait()
            sock.send(_HEAD)

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

    def test_its_slot_is_for_others(self, scene: _Scene) -> None:
        _, client = scene.held()
        with client, scene.client(request("/plain")) as other:
            assert other.answer().body == b"answered"
            assert (scene.server.stats.websockets, scene.server.stats.active) == (1, 0)
            scene.end_app()
            assert scene.server.stats.active == 0
            assert other.send(request("/plain")).answer().body == b"answered"

    def test_no_deadline_of_a_request_holds(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            scene.pass_time(10_000)
            sock.send(b"still here")
            assert client.take(10) == b"still here"

    @pytest.mark.parametrize("error", [None, ConnectionError(), StopIteration(), ValueError("broken")])
    def test_what_the_app_answers_or_raises_is_for_nobody(
        self, scene: _Scene, error: Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        def use(sock: HijackedSocket) -> None:
            sock.send(_HEAD + b"all")
            if error is not None:
                raise error

        scene.app.use = use
        with scene.client() as client:
            assert client.rest() == _HEAD + b"all"
        assert ("error in the app" in caplog.text) is isinstance(error, ValueError)

    def test_what_came_behind_the_request_is_received_first(self, scene: _Scene) -> None:
        sock, client = scene.held(_ASK + b"ahead")
        with client:
            assert sock.recv(2) == b"ah"
            assert sock.recv(100) == b"ead"
            client.send(b"more")
            assert sock.recv(100) == b"more"

    def test_the_access_log_has_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hijacked_socket, "is_monkey_patched", lambda module: True)
        app = _App()
        log = tmp_path / "log"
        with in_one_hub(app, tmp_path, access_logfile=str(log), access_log_format="%(s)s %(B)s %(U)s") as (
            server,
            clock,
        ):
            sock, client = _Scene(server, clock, app).held(_ASK + b"12345")
            with client:
                sock.sendall(b"x" * 1000)
                assert log.read_text() == ""
                assert sock.recv(5) == b"12345"
                sock.close()
                assert client.rest() == b"x" * 1000
            wait_all_blocked()
            assert log.read_text() == f"101 {1000 + len(_HEAD)} /ws\n"


class TestReceiving:
    def test_waits_green(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 100)
        wait_all_blocked()
        assert not receiving.dead
        with client:
            client.send(b"x")
            assert receiving.wait() == b"x"

    def test_into_a_buffer(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            client.send(b"abcdef")
            buffer = bytearray(b"......")
            assert sock.recv_into(buffer, 2) == 2
            assert sock.recv_into(memoryview(buffer)[2:]) == 4
            assert buffer == b"abcdef"

    def test_arguments_that_make_no_sense(self, scene: _Scene) -> None:
        sock, client = scene.held(_ASK + b"x")
        with client:
            with pytest.raises(ValueError, match="negative"):
                sock.recv(-1)
            with pytest.raises(OSError, match="no flags"):
                sock.recv(1, socket.MSG_PEEK)
            with pytest.raises(ValueError, match="out of range"):
                sock.settimeout(-1)
            assert sock.recv(0) == b""
            assert sock.recv(1) == b"x"
            assert sock.recv(0) == b""

    def test_timeout(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.settimeout(5)
            assert (sock.gettimeout(), sock.getblocking()) == (5, True)
            before = scene.clock.now
            with pytest.raises(TimeoutError):
                sock.recv(1)
            assert scene.clock.now == before + 5
            client.send(b"x")
            assert sock.recv(1) == b"x"

    def test_without_waiting(self, scene: _Scene) -> None:
        sock, client = scene.held(_ASK + b"ahead")
        with client:
            sock.setblocking(False)
            assert (sock.gettimeout(), sock.getblocking()) == (0, False)
            assert sock.recv(100) == b"ahead"
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            client.send(b"x")
            wait_all_blocked()
            assert sock.recv(1) == b"x"
            sock.setblocking(True)
            assert sock.gettimeout() is None

    def test_the_end_stays(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            client.send(b"last").finish_sending()
            assert sock.recv(100) == b"last"
            assert sock.recv(100) == b""
            assert sock.recv(100) == b""
            sock.close()
            assert scene.server.stats.connections == 0  # there is nothing to wait for

    def test_two_at_once_are_told(self, scene: _Scene) -> None:
        sock, client = scene.held()
        first = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            with pytest.raises(ConcurrentUseError):
                sock.recv(1)
            client.send(b"x")
            assert first.wait() == b"x"

    def test_another_os_thread_is_told(self, scene: _Scene) -> None:
        sock, client = scene.held()
        raised: list[BaseException] = []

        def elsewhere() -> None:
            for call in (lambda: sock.recv(1), sock.fileno):
                try:
                    call()
                except RuntimeError as error:
                    raised.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        client.close()
        assert ["not for another OS thread" in str(error) for error in raised] == [True, True]

    def test_gives_way(self, scene: _Scene) -> None:
        sock, client = scene.held(_ASK + b"ahead")
        turns: list[int] = []
        spawn(turns.append, 1)
        with client:
            scene.clock.advance(1)  # as if the app had held the hub for so long
            assert not turns
            sock.recv(1)
            assert turns


class TestIsWatched:
    def test_is_readable_while_something_is_there(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            assert not _is_readable(sock)
            assert not _is_readable(sock)
            client.send(b"x" * 10_000)
            assert _is_readable(sock)
            assert len(sock.recv(4096)) == 4096
            assert _is_readable(sock)
            assert len(sock.recv(9999)) == 10_000 - 4096
            assert not _is_readable(sock)
            client.send(b"y")
            assert _is_readable(sock)
            assert sock.recv(1) == b"y"
            client.finish_sending()
            assert _is_readable(sock)
            assert sock.recv(1) == b""
            assert _is_readable(sock)

    def test_from_what_came_behind_the_request_on(self, scene: _Scene) -> None:
        sock, client = scene.held(_ASK + b"ahead")
        with client:
            assert _is_readable(sock)
            assert sock.recv(100) == b"ahead"
            assert not _is_readable(sock)

    def test_asking_takes_nothing_over(self, scene: _Scene) -> None:
        numbers: list[int] = []
        scene.app.use = lambda sock: numbers.append(sock.fileno())
        with scene.client() as client:
            assert client.answer().status == 200
        assert numbers[0] >= 0

    def test_before_it_is_taken(self, scene: _Scene) -> None:
        found: list[bool] = []

        def use(sock: HijackedSocket) -> None:
            found.append(bool(select.select([sock], [], [], 0)[0]))
            sock.send(_HEAD)
            found.append(bool(select.select([sock], [], [], 0)[0]))

        scene.app.use = use
        with scene.client(_ASK + b"ahead") as client:
            assert client.rest() == _HEAD
        assert found == [False, True]

    @pytest.mark.parametrize("timeout", [0, 0.5])
    def test_after_a_call_that_found_nothing(self, scene: _Scene, timeout: float) -> None:
        sock, client = scene.held()
        with client:
            assert not _is_readable(sock)
            sock.settimeout(timeout)
            with pytest.raises((BlockingIOError, TimeoutError)):
                sock.recv(100)
            client.send(b"x")
            assert _is_readable(sock)
            assert sock.recv(100) == b"x"

    def test_the_server_closes_it_while_it_is_watched(
        self, scene: _Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        sock, client = scene.held()
        with client:
            assert not _is_readable(sock)
            wait_all_blocked()
            next(iter(scene.server.connections)).close()
            assert client.rest() == b""
            assert _is_readable(sock)
        assert not caplog.records

    def test_no_more_is_read_ahead_than_once(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            sending = spawn(client.send, _LARGE)
            wait_all_blocked()
            assert sock.bytes_received <= 64 * 1024
            assert not sending.dead
            taken = b""
            while len(taken) < len(_LARGE):
                assert _is_readable(sock)
                taken += sock.recv(50_000)
            assert taken == _LARGE
            sending.wait()

    def test_reading_ahead_is_due_twice(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sending = spawn(client.send, _LARGE)
            wait_all_blocked()
            taken = sock.recv(2)
            sock.fileno()
            taken += sock.recv(2)
            while len(taken) < len(_LARGE):
                wait_all_blocked()
                taken += sock.recv(1 << 20)
            assert taken == _LARGE
            sending.wait()

    def test_receiving_goes_on_as_before(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            receiving = spawn(sock.recv, 100)
            wait_all_blocked()
            client.send(b"x")
            assert receiving.wait() == b"x"
            assert not _is_readable(sock)
            client.send(b"y")
            assert _is_readable(sock)

    def test_a_reset_is_readable(self, scene: _Scene) -> None:
        sock, client = scene.held()
        sock.fileno()
        wait_all_blocked()
        client.sock.close()  # of a unix socket with nothing unread that is an end
        assert _is_readable(sock)
        assert sock.recv(1) == b""

    def test_the_app_is_over(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            scene.end_app()
            assert _is_readable(sock)
            assert sock.recv(1) == b""

    def test_the_server_has_closed(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            scene.stop(0).wait()
            assert _is_readable(sock)
            assert sock.recv(1) == b""

    def test_closed_it_has_no_number(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            sock.close()
            assert sock.fileno() == -1


class TestSending:
    def test_all_of_it(self, scene: _Scene) -> None:
        sock, client = scene.held()
        sending = spawn(sock.send, bytearray(_LARGE))
        wait_all_blocked()
        assert not sending.dead
        with client:
            assert client.take(len(_LARGE)) == _LARGE
            assert sending.wait() == len(_LARGE)

    def test_whatever_is_a_buffer(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            assert sock.send(memoryview(b"abc")) == 3
            sock.sendall(memoryview(b"abcd").cast("H"))
            sock.sendall(b"")
            assert client.take(7) == b"abcabcd"

    def test_one_after_another(self, scene: _Scene) -> None:
        sock, client = scene.held()
        pieces = [bytes([number]) * size for number, size in enumerate([2_000_000, 10, 2_000_000, 10, 10])]
        sending = [spawn(sock.send, piece) for piece in pieces]
        wait_all_blocked()
        with client:
            assert client.take(sum(map(len, pieces))) == b"".join(pieces)
            for one in sending:
                one.wait()

    def test_timeout(self, scene: _Scene) -> None:
        sock, client = scene.held()
        sock.settimeout(1)
        with client:
            with pytest.raises(TimeoutError):
                sock.sendall(_LARGE)
            with pytest.raises(BrokenPipeError, match="half sent"):
                sock.send(b"more")

    def test_timeout_while_another_sends(self, scene: _Scene) -> None:
        sock, client = scene.held()
        first = spawn(sock.send, _LARGE)
        wait_all_blocked()
        sock.settimeout(1)
        with client:
            with pytest.raises(TimeoutError):
                sock.send(b"second")
            assert client.take(len(_LARGE)) == _LARGE
            first.wait()
            sock.send(b"third")  # nothing was interrupted
            assert client.take(5) == b"third"

    def test_interrupted_nothing_follows(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            with pytest.raises(Timeout), Timeout(1):
                sock.send(_LARGE)
            with pytest.raises(BrokenPipeError, match="half sent"):
                sock.send(b"more")
            sock.close()
            assert not scene.server.stats.connections
            # No closing alert: it is no orderly end. OpenSSL 3.5 wants to say so, to nobody.
            with contextlib.suppress(ssl.SSLError, BrokenPipeError):
                assert len(client.rest()) < len(_LARGE)

    def test_without_waiting(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(client.take, len(_LARGE))
        with client:
            sock.setblocking(False)
            sent = waits = 0
            while sent < len(_LARGE):
                try:
                    sent += sock.send(_LARGE[sent:])
                except BlockingIOError:
                    waits += 1
                    wait_all_blocked()
            assert waits
            assert receiving.wait() == _LARGE
            receiving = spawn(client.take, 10)
            sock.sendall(b"0123456789")
            assert receiving.wait() == b"0123456789"

    def test_without_waiting_for_another(self, scene: _Scene) -> None:
        sock, client = scene.held()
        first = spawn(sock.send, _LARGE)
        wait_all_blocked()
        with client:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError, match="another green thread"):
                sock.send(b"second")
            assert client.take(len(_LARGE)) == _LARGE
            first.wait()

    def test_to_a_client_that_has_gone(self, scene: _Scene) -> None:
        sock, client = scene.held()
        client.close()
        wait_all_blocked()
        with pytest.raises(BrokenPipeError):  # over TLS too: the client has read none of its end
            sock.send(_LARGE)

    def test_gives_way(self, scene: _Scene) -> None:
        sock, client = scene.held()
        turns: list[int] = []
        spawn(turns.append, 1)
        with client:
            scene.clock.advance(1)
            sock.send(b"x")
            assert turns


class TestASlowReader:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"send_timeout": 5.0, "send_min_rate": 0}

    def test_is_reset(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        second = spawn(sock.send, b"second")
        before = scene.clock.now
        with client:
            with pytest.raises(BrokenPipeError, match="reads too slowly"):
                sock.send(_LARGE)
            assert scene.clock.now == before + 5
            assert receiving.wait() == b""
            with pytest.raises(BrokenPipeError):
                second.wait()
            assert scene.server.stats.connections == 0

    def test_that_reads_is_not(self, scene: _Scene) -> None:
        sock, client = scene.held()
        sending = spawn(sock.send, _LARGE)
        with client:
            for _ in range(len(_LARGE) // 50_000):
                scene.pass_time(4)
                client.take(50_000)
            wait_all_blocked()
            client.take(len(_LARGE) % 50_000)
            assert sending.wait() == len(_LARGE)


class TestTheEnd:
    def test_close_gives_the_client_what_was_sent(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            client.send(b"unread" * 10)
            wait_all_blocked()
            receiving.wait()
            sock.send(b"last")
            sock.close()
            sock.close()
            assert client.rest() == b"last"
            for call in (
                lambda: sock.recv(1),
                lambda: sock.send(b"x"),
                lambda: sock.shutdown(socket.SHUT_WR),
            ):
                with pytest.raises(OSError, match="closed") as raised:
                    call()
                assert raised.value.errno == errno.EBADF

    def test_close_wakes_who_receives(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            sock.close()
            assert receiving.wait() == b""

    def test_a_client_that_does_not_close_is_closed(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.close()
            assert scene.server.stats.connections == 1
            scene.pass_time(2)
            assert (scene.server.stats.connections, scene.server.stats.websockets) == (0, 0)

    def test_with(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            with sock as same:
                assert same is sock
            assert sock.fileno() == -1

    def test_of_the_app_is_the_end_for_its_threads(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            scene.end_app()
            assert receiving.wait() == b""
            assert sock.recv(1) == b""
            with pytest.raises(BrokenPipeError):
                sock.send(b"more")
            sock.close()
            assert client.rest() == b""

    def test_of_the_connection_before_the_app(self, scene: _Scene) -> None:
        sock, client = scene.held()
        client.close()
        assert sock.recv(1) == b""
        sock.close()
        assert scene.server.stats.connections == 0
        stopping = scene.stop()
        assert not stopping.dead  # it waits for the app
        scene.end_app()
        stopping.wait()

    def test_shutdown_of_sending(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.send(b"last")
            sock.shutdown(socket.SHUT_WR)
            assert client.rest() == b"last"
            with pytest.raises(BrokenPipeError):
                sock.send(b"more")
            if not isinstance(client.sock, ssl.SSLSocket):
                client.send(b"on")
                assert sock.recv(10) == b"on"
            else:
                assert sock.recv(10) == b""

    def test_shutdown_of_receiving(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            sock.shutdown(socket.SHUT_RD)
            assert receiving.wait() == b""
            sock.send(b"on")
            assert client.take(2) == b"on"

    def test_shutdown_of_both(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.shutdown(socket.SHUT_RDWR)
            assert sock.recv(1) == b""
            assert client.rest() == b""


class TestAStop:
    """RFC 6455 §7.4.1: 1001 is a server going down; 1012 is IANA's for one that restarts."""

    def test_says_close_and_the_app_hears_the_answer(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            stopping = scene.stop()
            assert client.take(18) == b"\x88\x12\x03\xe9the server stops"[:18]
            client.take(2)
            client.send(b"answer")
            assert sock.recv(100) == b"answer"
            assert sock.send(_CLOSE) == len(_CLOSE)  # the library's answer to what it takes for the client's
            assert not stopping.dead
            scene.end_app()
            assert client.rest() == b""
        stopping.wait()

    def test_that_is_a_restart(self, scene: _Scene) -> None:
        _, client = scene.held()
        with client:
            scene.stop(restarts=True)
            assert client.take(4)[2:] == (1012).to_bytes(2)

    def test_between_two_frames_and_not_in_one(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.send(b"\x82\x04ab")
            scene.stop()
            assert client.take(4) == b"\x82\x04ab"
            assert client.is_silent()
            sock.send(b"cd")
            assert client.take(3) == b"cd\x88"

    def test_after_what_is_being_sent(self, scene: _Scene) -> None:
        sock, client = scene.held()
        frame = b"\x82\x7f" + len(_LARGE).to_bytes(8) + _LARGE
        sending = spawn(sock.send, frame)
        wait_all_blocked()
        with client:
            scene.stop()
            assert client.take(len(frame) + 1) == frame + b"\x88"
            sending.wait()

    def test_behind_the_frame_that_is_offered_piece_by_piece(self, scene: _Scene) -> None:
        """With a timeout of 0. Of what TLS has encrypted a part may be out that nobody has counted yet."""
        sock, client = scene.held()
        frame = b"\x82\x7f" + len(_LARGE).to_bytes(8) + _LARGE
        with client:
            sock.setblocking(False)
            left = _offer(sock, frame)
            assert left
            scene.stop()
            receiving = spawn(client.take, len(frame) + 1)
            while left := _offer(sock, left):
                wait_all_blocked()
            assert receiving.wait() == frame + b"\x88"

    def test_not_into_a_frame_of_which_nothing_was_counted(self, scene: _Scene) -> None:
        sock, client = scene.held()
        frame = b"\x82\x7e\xea\x60" + bytes(60_000)
        with client:
            sock.setblocking(False)
            while not (left := _offer(sock, frame)):
                pass
            scene.stop()
            receiving = spawn(client.rest)
            while left := _offer(sock, left):
                wait_all_blocked()
            scene.pass_time(100)
            got = receiving.wait()
            frames, rest = divmod(len(got), len(frame))
            assert got[: frames * len(frame)] == frame * frames
            assert (rest, got[-20:-16]) == (20, b"\x88\x12\x03\xe9")

    def test_not_after_a_close_of_the_apps(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.send(_CLOSE)
            scene.stop()
            assert client.take(4) == _CLOSE
            assert client.is_silent()

    def test_not_to_what_is_no_websocket(self, scene: _Scene) -> None:
        gate = Event()

        def use(sock: HijackedSocket) -> None:
            sock.send(b"something else")
            gate.wait()

        scene.app.use = use
        with scene.client() as client:
            stopping = scene.stop()
            gate.send(None)
            assert client.rest() == b"something else"
        stopping.wait()

    @pytest.mark.parametrize("settings", [{"ws_close_timeout": 3.0}])
    def test_a_client_that_does_not_agree_is_cut(self, scene: _Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        with client:
            before = scene.clock.now
            scene.stop()
            assert receiving.wait() == b""
            assert scene.clock.now == before + 3
            assert scene.server.stats.connections == 0

    def test_ends_what_takes_longer(self, scene: _Scene) -> None:
        sock, client = scene.held()
        sending = spawn(sock.send, _LARGE)
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            stopping = scene.stop(5)
            scene.pass_time(5)
            stopping.wait()
            assert receiving.wait() == b""
            with pytest.raises(BrokenPipeError):
                sending.wait()
            scene.done.send(None)

    def test_once_closed_nothing_is_said(self, scene: _Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.close()
            scene.stop()
            assert client.rest() == b""


def test_a_hub_is_left_without_anything(scene: _Scene) -> None:
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
