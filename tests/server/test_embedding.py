"""embedding: serve() in a program that does other things as well, and leaves nothing behind in it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import Gate, becomes_quiet, open_files, own_hub
from tests.support.times import MS, PATIENCE

import greenserve
from greenserve import ConfigError, Server, serve, spawn
from greenserve_hub.greenio.serving import listen


class TestServe:
    def test_a_server_for_a_block(self) -> None:
        with serve(path) as server:
            assert isinstance(server, Server)
            assert server.url == f"http://127.0.0.1:{server.port}"
            assert server.address == ("127.0.0.1", server.port)
            assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"
            assert server.stats.requests == 1
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url, timeout=PATIENCE)

    def test_an_app_by_its_name(self) -> None:
        with serve("tests.support.servers.apps:path") as server:
            assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"

    def test_several_at_once(self) -> None:
        with serve(path) as one, serve(path, pool=1) as other, serve(path, bind="[::1]:0") as third:
            servers = (one, other, third)
            assert len({server.port for server in servers}) == 3
            assert len({id(server.hub) for server in servers}) == 3
            for server in servers:
                assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"
            assert [server.stats.requests for server in servers] == [1, 1, 1]

    def test_one_that_ends_leaves_the_others(self) -> None:
        with serve(path) as outer:
            with serve(path) as inner:
                pass
            assert requests.get(f"{outer.url}/a", timeout=PATIENCE).text == "/a"
            assert inner.port != outer.port

    def test_an_error_in_the_block_passes(self) -> None:
        with pytest.raises(ZeroDivisionError), serve(path) as server:
            raise ZeroDivisionError
        with pytest.raises(ConnectionRefusedError):
            RawClient(server.address)

    def test_what_runs_may_finish(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        client = None
        with serve(app, graceful_timeout=PATIENCE) as server:
            client = RawClient(server.address).send(request("/a"))
            gate.reached()
            threading.Timer(20 * MS, gate.open).start()
        with client:
            assert client.answer().body == b"/a"

    def test_and_is_ended_after_the_time_for_it(self, caplog: pytest.LogCaptureFixture) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with serve(app, graceful_timeout=20 * MS) as server, RawClient(server.address) as client:
            client.send(request("/a"))
            gate.reached()
            server.stop()
            assert client.answer().status == 503
        assert "GET /a" in caplog.text

    def test_it_can_be_stopped_inside_the_block(self) -> None:
        with serve(path) as server:
            server.stop()
            with pytest.raises(ConnectionRefusedError):
                RawClient(server.address)

    def test_settings_come_from_keywords_then_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GREENSERVE_POOL", "7")
        monkeypatch.setenv("GREENSERVE_BACKLOG", "9")
        with serve(path, pool=5) as server:
            assert (server.config.pool, server.config.backlog, server.config.access_logfile) == (5, 9, "off")


class TestWithoutABlock:
    """serve() starts at the call; what it returns is a Server."""

    def test_it_serves_until_it_is_stopped(self) -> None:
        before = open_files(), threading.enumerate()
        server = serve(path)
        assert isinstance(server, Server)
        assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"
        assert server.stats.requests == 1
        assert not server.wait(0)
        server.stop()
        assert server.wait(0)
        server.stop()  # repeatable
        assert (open_files(), threading.enumerate()) == before
        with pytest.raises(ConnectionRefusedError):
            RawClient(server.address)

    def test_it_can_be_given_to_a_block_later(self) -> None:
        server = serve(path)
        with server as same:
            assert same is server
            assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"
        assert server.wait(0)

    def test_it_starts_once(self) -> None:
        with serve(path) as server:
            with pytest.raises(ConfigError, match="starts once"):
                server.start()
            assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"

    def test_a_request_may_stop_it(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            spawn(server.stop)
            return path(environ, start_response)

        server = serve(app)
        assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"
        assert server.wait(PATIENCE)
        server.stop()
        assert "greenserve" not in [thread.name for thread in threading.enumerate()]

    def test_its_errors_are_raised_by_the_call(self) -> None:
        before = open_files(), threading.enumerate()
        with pytest.raises(ConfigError, match="no such address"):
            serve(path, bind="192.0.2.1:80")
        assert (open_files(), threading.enumerate()) == before

    def test_a_server_in_this_hub_is_a_context_manager_too(self) -> None:
        with own_hub():
            with Server(path, bind="127.0.0.1:0") as server, RawClient(server.address, green=True) as client:
                assert client.get("/a").body == b"/a"
            assert server.wait(0)

    _PROGRAM = """
import greenserve
{patch}
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]

server = greenserve.serve(app)
{use}
"""

    @pytest.mark.parametrize("patch", ["", "greenserve.monkey_patch()"])
    def test_a_program_that_ends_at_once_is_told_so(self, tmp_path: Path, patch: str) -> None:
        (tmp_path / "program.py").write_text(self._PROGRAM.format(patch=patch, use=""))
        with command("program.py", folder=tmp_path) as process:
            assert process.ended() == 0
        (line,) = process.said
        assert (
            "ends with its program, and no client has connected: wait() keeps serving until the server is stopped"
            in line
        )

    @pytest.mark.parametrize("patch", ["", "greenserve.monkey_patch()"])
    @pytest.mark.parametrize("end", ["", "server.stop()", "import os; os.fork() or os._exit(0); os.wait()"])
    def test_one_that_has_used_it_ends_without_a_word(self, tmp_path: Path, patch: str, end: str) -> None:
        use = f"import urllib.request\nassert urllib.request.urlopen(server.url).read() == b'x'\n{end}"
        (tmp_path / "program.py").write_text(self._PROGRAM.format(patch=patch, use=use))
        with command("-W", "ignore", "program.py", folder=tmp_path) as process:
            assert process.ended() == 0
        assert process.said == []


class TestAddresses:
    """Where it listens, as programs like to say it."""

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"bind": "127.0.0.1:0"},
            {"bind": 0},
            {"bind": ("127.0.0.1", 0)},
            {"bind": [("127.0.0.1", 0)]},
            {"port": 0},
            {"host": "127.0.0.1"},
            {"host": "127.0.0.1", "port": 0},
            {"host": "127.0.0.1", "port": "0"},
        ],
    )
    def test_of_ipv4(self, given: dict[str, Any]) -> None:
        with serve(path, **given) as server:
            assert server.address == ("127.0.0.1", server.port)
            assert server.port > 0

    @pytest.mark.parametrize(
        "given", [{"host": "::1"}, {"host": "[::1]"}, {"bind": ("::1", 0)}, {"bind": ("::1", 0, 0, 0)}]
    )
    def test_of_ipv6(self, given: dict[str, Any]) -> None:
        with serve(path, **given) as server:
            assert server.address == ("::1", server.port)

    def test_several(self, tmp_path: Path) -> None:
        with serve(path, [("127.0.0.1", 0), 0, f"unix:{tmp_path}/socket"]) as server:
            assert len(server.urls) == 3

    def test_a_port_that_is_known(self) -> None:
        with serve(path) as server:
            port = server.port
        for given in ({"bind": port}, {"port": port}, {"host": "localhost", "port": port}):
            with serve(path, **given) as server:
                assert server.port == port

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"bind": ":0", "port": 1}, "give bind, or host and port, not both"),
            ({"bind": ":0", "host": "x"}, "give bind, or host and port, not both"),
            ({"port": "many"}, "a port is a number from 0 to 65535"),
            ({"port": 65536}, "a port is a number from 0 to 65535"),
            ({"host": "a b"}, "is not a host name"),
            ({"bind": 3.5}, "not an address"),
            ({"bind": True}, "not an address"),
        ],
    )
    def test_what_is_none(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            serve(path, **given)

    def test_run_and_server_take_them_too(self) -> None:
        assert greenserve.Config.from_settings({}, port=81).bind == ("127.0.0.1:81",)
        assert greenserve.Config.from_settings({}, host="0.0.0.0").bind == ("0.0.0.0:8000",)
        assert greenserve.Config.from_settings({}, bind=81).bind == ("127.0.0.1:81",)
        assert Server(path, port=82).config.bind == ("127.0.0.1:82",)


def test_eventlets_serve_is_told_where_it_is() -> None:
    def handle(sock: Any, address: Any) -> None: ...

    with listen(("127.0.0.1", 0)) as sock, socket.create_server(("127.0.0.1", 0)) as plain:
        for call in (
            lambda: serve(sock, handle),
            lambda: serve(plain, handle, 100),
            lambda: serve(sock, handle, concurrency=100),
        ):
            with pytest.raises(
                ConfigError, match=r"greenserve_hub\.serve\(sock, handle\).*greenserve\.wsgi_server"
            ):
                call()  # type: ignore[no-untyped-call]


class TestUnpatched:
    """In a program that is not patched a call that waits holds all others: that is said, and none waits for itself."""

    _HELD = "a green thread holds the hub"

    def test_an_app_that_sleeps_is_told_of_once(self, caplog: pytest.LogCaptureFixture) -> None:
        def is_told() -> bool:
            return any(self._HELD in message for message in caplog.messages)

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            again = is_told()
            limit = time.monotonic() + (400 * MS if again else PATIENCE)
            while time.monotonic() < limit and (again or not is_told()):
                time.sleep(MS)
            return path(environ, start_response)

        with serve(app, block_threshold=0.05) as server:
            for _ in range(2):
                assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"
        (told,) = [message for message in caplog.messages if self._HELD in message]
        assert "time.sleep(MS)" in told
        assert "nothing in this program is patched" in told
        assert "greenserve.monkey_patch()" in told
        assert "(told once)" in told

    def test_nobody_is_told_where_nobody_watches(self, caplog: pytest.LogCaptureFixture) -> None:
        """For as long as it takes another server, which watches, to tell of the same."""

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/b":
                began.wait(PATIENCE)
            began.set()
            limit = time.monotonic() + PATIENCE
            while time.monotonic() < limit and not told:
                time.sleep(MS)
                told.extend(message for message in caplog.messages if self._HELD in message)
            return path(environ, start_response)

        told: list[str] = []
        began = threading.Event()
        with (
            serve(app, block_threshold="off") as unwatched,
            serve(app, block_threshold=0.05) as watched,
            ThreadPoolExecutor(2) as pool,
        ):
            urls = [f"{unwatched.url}/a", f"{watched.url}/b"]
            found = list(pool.map(lambda url: requests.get(url, timeout=PATIENCE).text, urls))
        assert found == ["/a", "/b"]
        (of_the_watched,) = caplog.messages
        assert self._HELD in of_the_watched

    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
    @pytest.mark.parametrize("client", ["requests", "urllib", "socket"])
    def test_an_app_that_calls_its_own_url_is_not_held_for_ever(
        self, host: str, client: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def call() -> object:
            if client == "requests":
                return requests.get(f"{server.url}/inner", timeout=10 * PATIENCE)
            if client == "urllib":
                return urllib.request.urlopen(f"{server.url}/inner").read()
            with socket.create_connection(server.address) as sock:
                sock.sendall(request("/inner"))
                if not sock.recv(100):
                    raise ConnectionError("closed")
                return None

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/outer":
                try:
                    call()
                except OSError as error:  # requests' and urllib's are
                    environ["PATH_INFO"] = f"/cut off: {type(error).__name__}"
            return path(environ, start_response)

        with serve(app, host=host) as server:
            assert requests.get(f"{server.url}/outer", timeout=PATIENCE).text.startswith("/cut off")
            assert requests.get(f"{server.url}/after", timeout=PATIENCE).text == "/after"
        told = [message for message in caplog.messages if "calls its own server" in message]
        assert len(told) == 1
        assert "greenserve.threads.execute()" in told[0]

    def test_an_os_thread_may_make_the_call(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/outer":
                answer = greenserve.threads.execute(requests.get, f"{server.url}/inner", timeout=PATIENCE)
                environ["PATH_INFO"] = f"/outer{answer.text}"
            return path(environ, start_response)

        with serve(app) as server:
            assert requests.get(f"{server.url}/outer", timeout=PATIENCE).text == "/outer/inner"

    def test_nobody_elses_call_is_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        """Of another server, by the app, and of this one, by others."""

        def slow(environ: Environ, start_response: Start) -> Iterable[bytes]:
            time.sleep(100 * MS)
            return path(environ, start_response)

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["PATH_INFO"] = requests.get(f"{other.url}/other", timeout=PATIENCE).text
            return path(environ, start_response)

        watched = {"block_threshold": 20 * MS}
        with serve(slow, **watched) as other, serve(app, **watched) as server, ThreadPoolExecutor(4) as pool:
            urls = [f"{server.url}/a"] * 2 + [f"{other.url}/other"] * 2
            found = list(pool.map(lambda url: requests.get(url, timeout=PATIENCE).text, urls))
        assert found == ["/other"] * 4
        assert not [message for message in caplog.messages if "calls its own server" in message]


class TestErrors:
    """All of them in the caller, who then has nothing to clean up."""

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"poool": 1}, "poool"),
            ({"pool": "many"}, "pool"),
            ({"bind": "nonsense"}, "nonsense"),
            ({"bind": "192.0.2.1:80"}, "no such address"),
            ({"access_logfile": "/none/log"}, "access_logfile"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, Any], said: str) -> None:
        before = open_files()
        with pytest.raises(ConfigError, match=said), serve(path, **settings):
            raise AssertionError("not reached")
        assert open_files() == before

    def test_a_port_in_use(self) -> None:
        with serve(path) as server:
            bind = f"127.0.0.1:{server.port}"
            with pytest.raises(ConfigError, match=bind), serve(path, bind=bind):
                raise AssertionError("not reached")
            assert requests.get(f"{server.url}/a", timeout=PATIENCE).text == "/a"

    @pytest.mark.parametrize("app", [None, "no.such.module:app", 7])
    def test_what_is_no_app(self, app: Any) -> None:
        with pytest.raises(ConfigError), serve(app):
            raise AssertionError("not reached")


class TestLeavesNothingBehind:
    def test_no_thread_socket_or_signal_handler(self) -> None:
        def facts() -> tuple[Any, ...]:
            handlers = [
                signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
            ]
            logs = [logging.getLogger(name).handlers[:] for name in ("", "greenserve.error", "greenserve")]
            return open_files(), threading.enumerate(), handlers, logs, sys.excepthook, threading.excepthook

        with serve(path):  # what is imported or opened once for all
            pass
        before = facts()
        for _ in range(5):
            with serve(path) as server:
                during = facts()
                assert during[2:] == before[2:]
                with RawClient(server.address) as client:
                    client.get()
                    RawClient(server.address).send(b"GET / HT").close()
                    RawClient(server.address).send(request() * 9).close()
                    assert ask(server.address, b"BAD\r\n\r\n").status == 400
        assert facts() == before

    def test_no_object(self) -> None:
        watched: list[weakref.ref[Any]] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            watched.append(weakref.ref(greenserve.getcurrent()))
            return path(environ, start_response)

        for _ in range(3):
            with serve(app) as server, RawClient(server.address) as client:
                client.get()
                watched += [weakref.ref(server), weakref.ref(server.hub), weakref.ref(server.listeners[0])]
            del server, client
        gc.collect()
        assert [one() for one in watched if one() is not None] == []

    def test_no_green_thread_of_an_app(self) -> None:
        ended: list[str] = []

        def tick() -> None:
            try:
                greenserve.sleep(PATIENCE)
            finally:
                ended.append("tick")

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            spawn(tick)
            return path(environ, start_response)

        with serve(app) as server:
            ask(server.address, request())
        assert ended == ["tick"]

    def test_it_says_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        with serve(path) as server:
            ask(server.address, request())
        assert capfd.readouterr() == ("", "")

    def test_what_was_asked_for_is_said(self, capfd: pytest.CaptureFixture[str]) -> None:
        with serve(path, access_logfile="-") as server:
            ask(server.address, request("/a"))
        assert '"GET /a HTTP/1.1" 200 2' in capfd.readouterr().out


class TestBesideOthers:
    def test_beside_asyncio_in_another_thread(self) -> None:
        async def get(server: Server, number: int) -> bytes:
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(request(f"/{number}", "GET", b"", "Connection: close"))
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
            return data.rpartition(b"\r\n")[2]

        async def main() -> list[bytes]:
            with serve(path) as server:
                return await asyncio.gather(*(get(server, number) for number in range(20)))

        assert asyncio.run(main()) == [b"/%d" % number for number in range(20)]

    def test_in_a_thread_that_is_not_the_main_one(self) -> None:
        found: list[str] = []

        def run() -> None:
            with serve(path) as server:
                found.append(requests.get(f"{server.url}/a", timeout=PATIENCE).text)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(PATIENCE)
        assert found == ["/a"]

    def test_in_a_program_that_runs_on_the_hub_already(self) -> None:
        with own_hub() as hub:
            server = Server(path, bind="127.0.0.1:0")
            server.start()
            assert server.hub is hub
            ticks: list[int] = []
            ticking = spawn(lambda: [(greenserve.sleep(), ticks.append(number)) for number in range(99)])
            with RawClient(server.address, green=True) as client:
                assert client.get("/a").body == b"/a"
            ticking.wait()
            assert len(ticks) == 99
            server.stop()

    def test_two_servers_in_one_hub(self) -> None:
        with own_hub():
            servers = [Server(path, bind="127.0.0.1:0") for _ in range(2)]
            for server in servers:
                server.start()
            servers[0].stop(0)
            with RawClient(servers[1].address, green=True) as client:
                assert client.get("/a").body == b"/a"
            servers[1].stop(0)


def test_the_file_of_a_unix_socket_goes(tmp_path: Path) -> None:
    with serve(path, bind=f"unix:{tmp_path}/socket") as server:
        assert ask(server.address, request("/a")).body == b"/a"
        becomes_quiet(server)
    assert list(tmp_path.iterdir()) == []


def test_run_belongs_into_the_main_thread() -> None:
    before = open_files()
    caught: list[BaseException] = []

    def run() -> None:
        try:
            greenserve.run(path, bind="127.0.0.1:0", access_logfile="off")
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert isinstance(caught[0], ConfigError)
    assert "main thread" in str(caught[0])
    assert open_files() == before
