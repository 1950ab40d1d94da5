"""Flask-SocketIO and python-socketio, unchanged, behind the command: polling, WebSocket, and from one to the other.

The clients are python-socketio's, in OS threads of the test.
"""

from __future__ import annotations

import queue
import select
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import socketio
from tests.server.frameworks.sites import Site, serving_app
from tests.support.servers.certificates import client_context
from tests.support.times import PATIENCE, eventually

APP = "tests.server.frameworks.flask_socketio_app:app"
AT_ONCE = 100
POLLING, WEBSOCKET, UPGRADE = ["polling"], ["websocket"], ["polling", "websocket"]
EVENTS = ("echoed", "said", "shouted", "counted", "thanks", "news", "message")


class _SharedTLSSocket(ssl.SSLSocket):
    """One that a thread may read from while another sends or closes it, as these clients do.

    Before Python 3.13 OpenSSL's session is not guarded; and what is encrypted while another thread closes the socket
    would be written to whichever connection has got its number meanwhile.
    """

    def _lock(self) -> threading.RLock:
        return self.__dict__.setdefault("own_lock", threading.RLock())

    def send(self, *args: Any) -> int:
        with self._lock():
            return super().send(*args)

    def shutdown(self, how: int) -> None:
        with self._lock():
            super().shutdown(how)

    def _real_close(self) -> None:
        with self._lock():
            with suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)  # or who waits in select() would not notice
            super()._real_close()

    def recv(self, *args: Any) -> bytes:
        while True:
            with self._lock():
                if self.fileno() < 0:
                    return b""
                if self.pending() or select.select([self], [], [], 0)[0]:
                    return super().recv(*args)
            try:
                came = select.select([self], [], [], self.gettimeout())[0]
            except (ValueError, OSError):  # closed meanwhile
                continue
            if not came:
                raise TimeoutError("timed out")


class Client(socketio.Client):
    """One that keeps what it is told."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.told: queue.Queue[tuple[str, Any]] = queue.Queue()
        context = client_context()
        context.sslsocket_class = _SharedTLSSocket
        super().__init__(
            reconnection=False,
            handle_sigint=False,
            http_session=site.session(),
            websocket_extra_options={"sslopt": {"context": context}} if site.tls else None,
        )
        for name in EVENTS:
            self.on(name, lambda data, name=name: self.told.put((name, data)))
        self.on("disconnect", lambda reason: self.told.put(("disconnect", reason)))
        self.on("question", lambda question: 42)

    def next(self) -> tuple[str, Any]:
        return self.told.get(timeout=PATIENCE)

    def ask(self, event: str, data: Any = None) -> Any:
        return self.call(event, data, timeout=PATIENCE)

    def transport_there(self) -> str:
        """What the server has it for."""
        return self.site.get(f"/transport/{self.get_sid()}").text


@contextmanager
def _connected(site: Site, transports: list[str]) -> Iterator[Client]:
    client = Client(site)
    try:
        client.connect(site.url, transports=transports, wait_timeout=PATIENCE)
        ws = client.eio.ws
        yield client
        client.disconnect()
        # Where the server was first, the client leaves its socket open, and a thread that waits for packets.
        client.eio.queue.put(None)
        if ws is not None:
            ws.shutdown()
    finally:
        client.eio.http.close()


@pytest.fixture(scope="module", params=["plain", "tls"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving_app(APP, tmp_path_factory.mktemp("site"), tls=request.param == "tls") as site:
        yield site


@pytest.fixture(params=[POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "upgrade"])
def transports(request: pytest.FixtureRequest) -> list[str]:
    return request.param


class TestEachTransport:
    def test_is_what_was_asked_for(self, site: Site, transports: list[str]) -> None:
        with _connected(site, transports) as client:
            client.ask("ask", 1)  # by now it has been upgraded
            assert client.transport() == transports[-1]

    @pytest.mark.parametrize(
        "data", ["text", "ä日", {"a": [1, None, True]}, b"\0\xff" * 50_000, {"b": [b"1", b"2"]}, []]
    )
    def test_emit_both_ways(self, site: Site, transports: list[str], data: Any) -> None:
        with _connected(site, transports) as client:
            client.emit("echo", data)
            assert client.next() == ("echoed", data)

    def test_in_order(self, site: Site, transports: list[str]) -> None:
        with _connected(site, transports) as client:
            # A payload of polling holds 16 packets at most: more would be refused by python-engineio.
            for number in range(10):
                client.emit("echo", number)
            assert sorted(client.next()[1] for _ in range(10)) == list(range(10))
            client.emit("count", 10)
            assert [client.next() for _ in range(10)] == [("counted", number) for number in range(10)]

    def test_send(self, site: Site, transports: list[str]) -> None:
        with _connected(site, transports) as client:
            client.send("hello")
            assert client.next() == ("message", "hello")

    def test_acknowledgements_both_ways(self, site: Site, transports: list[str]) -> None:
        with _connected(site, transports) as client:
            assert client.ask("ask", b"what") == {"answer": b"what"}
            client.emit("ask me")
            assert client.next() == ("thanks", 42)

    def test_rooms(self, site: Site, transports: list[str]) -> None:
        with ExitStack() as stack:
            one, two, other = (stack.enter_context(_connected(site, transports)) for _ in range(3))
            for client in (one, two):
                assert client.ask("join", "here") == "here"
            one.emit("say", ("here", b"hi"))
            assert two.next() == ("said", b"hi")
            two.ask("leave", "here")
            one.emit("say", ("here", "again"))
            for client in (one, two, other):
                client.emit("echo", "the next")
                assert client.next() == ("echoed", "the next")

    def test_broadcast_and_from_a_request(self, site: Site, transports: list[str]) -> None:
        with ExitStack() as stack:
            # Whoever is connected hears them, by whichever transport.
            others = [stack.enter_context(_connected(site, kind)) for kind in (POLLING, WEBSOCKET, UPGRADE)]
            client = stack.enter_context(_connected(site, transports))
            client.emit("shout", "ho")
            assert [one.next() for one in [*others, client]] == [("shouted", "ho")] * 4
            assert site.post("/announce", "news of today").text == "told"
            assert [one.next() for one in [*others, client]] == [("news", "news of today")] * 4

    def test_disconnect_by_the_client(self, site: Site, transports: list[str]) -> None:
        with _connected(site, transports) as client:
            client.ask("ask", 1)
            sid = client.get_sid()
            client.eio.queue.join()  # what it has still to send would be lost
        eventually(
            lambda: sid in [one for one, _ in site.get("/ended").json()], "the server's disconnect event"
        )

    def test_disconnect_by_the_server(self, site: Site, transports: list[str]) -> None:
        with _connected(site, transports) as client:
            sid = client.get_sid()
            client.emit("throw me out")
            assert client.next() == ("disconnect", "server disconnect")
        assert [sid, "server disconnect"] in site.get("/ended").json()

    def test_a_client_that_is_refused(self, site: Site, transports: list[str]) -> None:
        client = Client(site)
        try:
            with pytest.raises(socketio.exceptions.ConnectionError):
                client.connect(
                    site.url, auth={"unwanted": True}, transports=transports, wait_timeout=PATIENCE
                )
        finally:
            client.disconnect()
            client.eio.http.close()

    def test_python_socketio_alone(self, tmp_path: Path, transports: list[str]) -> None:
        with (
            serving_app("tests.server.frameworks.socketio_app:app", tmp_path) as site,
            _connected(site, transports) as client,
        ):
            assert client.ask("echo", [b"1", "2"]) == [b"1", "2"]
            assert client.next() == ("echoed", [b"1", "2"])


def test_upgraded_the_server_knows_it(site: Site) -> None:
    with _connected(site, UPGRADE) as client:
        client.ask("ask", 1)
        assert client.transport_there() == "websocket"
    with _connected(site, POLLING) as client:
        client.ask("ask", 1)
        assert client.transport_there() == "polling"


def test_a_websocket_that_breaks_is_a_disconnect(site: Site) -> None:
    with _connected(site, WEBSOCKET) as client:
        sid = client.get_sid()
        client.eio.ws.sock.shutdown(socket.SHUT_RDWR)  # close() alone waits for the thread that reads it
        eventually(lambda: [sid, "transport close"] in site.get("/ended").json(), "the disconnect event")


def test_a_hundred_at_once_leave_nothing_behind(site: Site) -> None:
    def settled() -> Any:
        # Once the threads of pings have woken up and found nobody.
        eventually(
            lambda: not [one for one in site.left()["parked"] if one.startswith("sleep")], "the last ping"
        )
        return site.left()

    with _connected(site, UPGRADE) as client:
        client.ask("ask", 1)
    before = settled()

    def talk(number: int) -> list[Any]:
        with _connected(site, (POLLING, WEBSOCKET, UPGRADE)[number % 3]) as client:
            client.ask("join", "all")
            return [client.ask("ask", [number, step]) for step in range(5)]

    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(AT_ONCE // 4):  # and some that are connected all the while
            stack.enter_context(_connected(site, WEBSOCKET))
        found = list(threads.map(talk, range(AT_ONCE)))
    assert found == [[{"answer": [number, step]} for step in range(5)] for number in range(AT_ONCE)]
    eventually(lambda: len(settled()["parked"]) <= len(before["parked"]), "the end of all green threads")
    eventually(lambda: site.left()["descriptors"] <= before["descriptors"], "the end of all descriptors")


def test_a_stop_disconnects_all(tmp_path: Path, transports: list[str]) -> None:
    with serving_app(APP, tmp_path) as site, _connected(site, transports) as client:
        client.ask("ask", 1)
        site.program.signal(signal.SIGTERM)
        assert client.next()[0] == "disconnect"
        assert site.program.ended() == 0
        assert "ended after graceful_timeout" not in site.program.text
        assert "Traceback" not in site.program.text


def test_requests_are_served_beside_it(site: Site) -> None:
    with _connected(site, WEBSOCKET), _connected(site, POLLING):
        for _ in range(10):
            assert site.get("/hello").text == "hello"
