"""listener: it survives every error, and accepts every client."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import run_python
from tests.support.servers.apps import path
from tests.support.servers.running import becomes_quiet, in_one_hub, open_files, serving

from greenserve import Config, Server, sleep
from greenserve_hub.testing import fake_clock, wait_all_blocked


class _Failing(socket.socket):
    """A listening socket whose accept(2) fails as told, and then no more."""

    failures: list[Exception]
    accepted: list[tuple[int, Any]]

    def _accept(self) -> tuple[int, Any]:
        if self.accepted:
            return self.accepted.pop()
        if self.failures:
            raise self.failures.pop(0)
        return super()._accept()


def _failing(path: Path, *numbers: int) -> _Failing:
    sock = _Failing(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.failures = [OSError(number, os.strerror(number)) for number in numbers]
    sock.accepted = []
    sock.bind(str(path / "socket"))
    sock.listen()
    return sock


def _refuse(*args: object) -> None:
    raise OSError("no")


class TestErrors:
    @pytest.mark.parametrize(
        "name", ["ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EOPNOTSUPP", "EPERM"]
    )
    def test_those_of_a_connection_are_passed_over(
        self, name: str, clock_server: Any, tmp_path: Path, caplog: Any
    ) -> None:
        clock, start = clock_server
        server = start(_failing(tmp_path, *[getattr(errno, name)] * 5))
        began = clock()
        with RawClient(server.address, green=True) as client:
            assert client.get().status == 200
        assert server.stats.accept_errors == 5
        assert clock() == began
        assert not caplog.records

    @pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
    def test_those_of_the_machine_are_waited_out_and_told_once(
        self, name: str, clock_server: Any, tmp_path: Path, caplog: Any
    ) -> None:
        clock, start = clock_server
        server = start(_failing(tmp_path, *[getattr(errno, name)] * 8))
        began = clock()
        with RawClient(server.address, green=True) as client:
            assert client.get().status == 200
        # 50, 100, 200, ... ms and at last once a second: neither busy nor asleep for long.
        assert 3 < clock() - began < 10
        (record,) = caplog.records
        assert "lower --limit-connections" in record.getMessage()

    def test_a_connection_that_closes_ends_the_wait(self, clock_server: Any, tmp_path: Path) -> None:
        clock, start = clock_server
        sock = _failing(tmp_path)
        server = start(sock)
        with RawClient(server.address, green=True) as first:
            first.get()
            sock.failures = [OSError(errno.EMFILE, "no descriptors")]
            with RawClient(server.address, green=True):
                wait_all_blocked()
                began = clock()
                assert (server.stats.accepted, server.stats.accept_errors) == (1, 1)
                first.close()
                wait_all_blocked()
                assert server.stats.accepted == 2
                assert clock() == began

    def test_any_other_is_told_and_outlived(self, clock_server: Any, tmp_path: Path, caplog: Any) -> None:
        _, start = clock_server
        server = start(_failing(tmp_path, errno.EIO))
        with RawClient(server.address, green=True) as client:
            assert client.get().status == 200
        assert "cannot accept" in caplog.text

    def test_a_connection_that_cannot_be_taken_up_harms_no_other(
        self, clock_server: Any, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, start = clock_server
        server = start(_failing(tmp_path))
        monkeypatch.setattr("greenserve.net.serving.accepting.Stream", _refuse)
        with RawClient(server.address, green=True) as one:
            assert one.rest() == b""
        monkeypatch.undo()
        with RawClient(server.address, green=True) as other:
            assert other.get().status == 200
        assert "could not set up an accepted connection" in caplog.text

    def test_one_that_never_ends_is_waited_out_and_not_spun_on(
        self, clock_server: Any, tmp_path: Path, caplog: Any
    ) -> None:
        # A sandbox that forbids accept(2) says EPERM for ever, as a firewall does of one connection.
        clock, start = clock_server
        sock = _failing(tmp_path, *[errno.EPERM] * 1100)
        server = start(sock)
        began = clock()
        with RawClient(server.address, green=True) as client:
            assert client.get().status == 200
        assert clock() - began > 60  # the last hundred took a second each
        assert "cannot accept: Operation not permitted" in caplog.text

    @pytest.mark.parametrize("name", ["ENOSPC", "ENOMEM", "EMFILE"])
    def test_the_kernel_cannot_watch_one_more(
        self, name: str, clock_server: Any, tmp_path: Path, caplog: Any
    ) -> None:
        # epoll_ctl(2): fs.epoll.max_user_watches, or no memory; select() past 1024.
        clock, start = clock_server
        server = start(_failing(tmp_path))
        register, refused = server.hub.poller.register, []

        def failing(fd: int) -> None:
            if len(refused) < 3:
                refused.append(fd)
                raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
            register(fd)

        server.hub.poller.register = failing
        files = open_files()
        began = clock()
        for _ in range(3):
            with _Plain(server.address) as client:
                assert client.rest() == b""
        with _Plain(server.address) as client:
            assert client.get().status == 200
        del server.hub.poller.register
        assert clock() - began > 0.3  # 50, 100 and 200 ms
        assert server.stats.accept_errors == 3
        wait_all_blocked()
        assert open_files() == files
        (record,) = caplog.records
        assert "could not set up an accepted connection" in record.getMessage()
        assert "lower --limit-connections" in record.getMessage()

    def test_what_was_accepted_is_no_socket(self, clock_server: Any, tmp_path: Path, caplog: Any) -> None:
        _, start = clock_server
        sock = _failing(tmp_path)
        number, *rest = os.pipe()
        sock.accepted = [(number, "")]
        server = start(sock)
        files = open_files()
        with RawClient(server.address, green=True) as client:
            assert client.get().status == 200
        wait_all_blocked()
        assert set(open_files()) == set(files) - {number}  # given back
        assert "cannot accept" in caplog.text
        for one in rest:
            os.close(one)

    def test_a_stop_takes_up_what_is_behind_a_connection_that_was_reset(
        self, clock_server: Any, tmp_path: Path
    ) -> None:
        _, start = clock_server
        sock = _failing(tmp_path)
        server = start(sock)
        wait_all_blocked()
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(tmp_path / "socket"))
        client.sendall(request("/waited"))
        sock.failures = [OSError(errno.ECONNABORTED, "aborted")]
        server.stop(5)  # before the acceptor has had its turn
        assert client.recv(1000).endswith(b"/waited")
        client.close()

    def test_an_error_that_is_none_of_the_systems_is_outlived(
        self, clock_server: Any, tmp_path: Path, caplog: Any
    ) -> None:
        _, start = clock_server
        sock = _failing(tmp_path)
        sock.failures = [MemoryError()]
        server = start(sock)
        with RawClient(server.address, green=True) as client:
            assert client.get().status == 200
        assert "cannot accept" in caplog.text

    @pytest.mark.parametrize("program", ["_OUT_OF_DESCRIPTORS", "_MANY_OUT_OF_DESCRIPTORS"])
    def test_no_descriptors_for_real(self, program: str, tmp_path: Path) -> None:
        (tmp_path / "run.py").write_text(globals()[program])
        ran = run_python(tmp_path / "run.py")
        assert (ran.returncode, ran.stdout) == (0, "answered\n"), ran.stderr
        assert ran.stderr.count("ulimit -n") == 1


_OUT_OF_DESCRIPTORS = """
import os, resource, socket
from greenserve import serve
from tests.support.servers.apps import path
from tests.support.clients.raw import RawClient
from tests.support.times import eventually

with serve(path) as server:
    client = RawClient(server.address)   # its descriptor is taken before the limit comes
    client.get()
    late = socket.socket()
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, used + 1000))
    fill = []
    try:
        while True:
            fill.append(os.dup(0))
    except OSError:
        pass
    late.connect(server.address)
    eventually(lambda: server.stats.accept_errors > 1)
    assert client.get().status == 200    # those who are in are served
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, used + 1000))
    late.settimeout(20)
    late.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    assert late.recv(100).startswith(b"HTTP/1.1 200")
    late.close()
    client.close()
    for fd in fill:
        os.close(fd)
print("answered")
"""


# Four times as many clients as there are descriptors: each is served when one before it has closed, at once. The app
# finds none for its file either; that is its own error, and nobody else's.
_MANY_OUT_OF_DESCRIPTORS = """
import os, resource, socket, time
from contextlib import suppress
from greenserve import serve
from greenserve.net.sockets import listener
from tests.support.clients.raw import RawClient
from tests.support.times import eventually

opened = []
def app(environ, start_response):
    if environ["PATH_INFO"] == "/file":
        with open(__file__) as file:
            opened.append(file.name)
    start_response("200 OK", [])
    return [b"fine"]

CLIENTS = 40
with serve(app) as server:
    first = RawClient(server.address)
    other = RawClient(server.address)
    first.get("/file")
    other.get("/")
    late = [socket.socket() for _ in range(CLIENTS)]
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    free = CLIENTS // 4
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1 + free, used + 1000))
    fill = []
    with suppress(OSError):
        while True:
            fill.append(os.dup(0))
    for fd in fill[-free:]:
        os.close(fd)
    for one in late:
        one.settimeout(20)
        one.connect(server.address)
        one.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    eventually(lambda: server.stats.accept_errors > 1)
    assert first.get("/file").status == 500      # the app's own open() has failed
    assert other.get("/").status == 200
    before = server.stats.accept_errors
    time.sleep(0.3)
    assert server.stats.accept_errors - before < 9    # 50, 100, 200, ... ms: nothing spins
    listener._FIRST_PAUSE = listener._LONGEST_PAUSE = 3600.0
    for number, one in enumerate(late):
        got = one.recv(1000)
        assert got.startswith(b"HTTP/1.1 200"), (number, got)
        one.close()                              # makes room for the next, and wakes the listener
    first.close()
    other.close()
    for fd in fill[:-free]:
        os.close(fd)
print("answered")
"""


class _Plain(RawClient):
    """Green, and not registered with the hub whose poller is broken: it asks again and again."""

    def __init__(self, address: Any) -> None:
        super().__init__(address)
        self.sock.setblocking(False)

    def more(self) -> bytes:
        while True:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                sleep(0.01)
                continue
            if not data:
                raise EOFError
            self.ahead += data
            return data

    def rest(self) -> bytes:
        with suppress(EOFError):
            while True:
                self.more()
        return bytes(self.ahead)


@pytest.fixture
def clock_server(tmp_path: Path) -> Any:
    """A clock that jumps, and a way to start a server on a socket of one's own."""
    with ExitStack() as stack:
        clock = stack.enter_context(fake_clock())

        def start(sock: socket.socket) -> Server:
            server = Server(path, Config.from_settings(), sockets=[sock])
            server.start()
            stack.callback(server.stop, 0)
            return server

        yield clock, start


class TestEnd:
    def test_nobody_is_accepted_any_more(self) -> None:
        with serving(path) as server:
            address = server.address
            ask(address, request())
        with pytest.raises(ConnectionRefusedError):
            RawClient(address)

    def test_a_unix_sockets_file_goes_with_it(self, tmp_path: Path) -> None:
        file = tmp_path / "socket"
        with serving(path, bind=f"unix:{file}") as server:
            assert file.is_socket()
            assert ask(str(file), request("/a")).body == b"/a"
            assert (server.address, server.port, server.url) == (str(file), 0, f"http+unix:{file}")
        assert not file.exists()

    def test_but_not_what_another_server_has_put_there(self, tmp_path: Path) -> None:
        file = tmp_path / "socket"
        with serving(path, bind=f"unix:{file}"):
            file.unlink()
            other = socket.socket(socket.AF_UNIX)
            other.bind(str(file))
        assert file.is_socket()
        other.close()

    def test_nor_does_a_file_that_is_gone_matter(self, tmp_path: Path) -> None:
        with serving(path, bind=f"unix:{tmp_path / 'socket'}"):
            (tmp_path / "socket").unlink()


def test_a_burst_is_accepted_whole() -> None:
    with serving(path) as server:
        clients = [RawClient(server.address) for _ in range(300)]
        for client in clients:
            client.send(request("/x"))
        assert all(client.answer().body == b"/x" for client in clients)
        assert server.stats.accepted == 300
        for client in clients:
            client.close()
        becomes_quiet(server)


def test_a_unix_sockets_peer_has_no_name(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append((environ["REMOTE_ADDR"], environ["REMOTE_PORT"]))
        return path(environ, start_response)

    with in_one_hub(app, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.get()
    assert seen == [("", "")]
