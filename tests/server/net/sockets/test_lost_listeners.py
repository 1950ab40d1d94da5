"""A listening socket that fails for good: it was shut down, closed by other code, or never listened.

A server that has no other ends with the error.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command
from tests.support.servers.apps import path
from tests.support.servers.running import own_hub, serving
from tests.support.times import PATIENCE, eventually

import greenserve
from greenserve import GreenSocket, Server, Timeout, kill, sleep, spawn, wsgi_server


def plain(folder: Path) -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def green(folder: Path) -> socket.socket:
    return greenserve.listen(("127.0.0.1", 0))


def unix(folder: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(folder / "socket"))
    sock.listen()
    return sock


def shut_down(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_RDWR)


def closed(sock: socket.socket) -> None:
    sock.close()


def closed_by_number(sock: socket.socket) -> None:
    os.close(sock.fileno())


def given_to_another(sock: socket.socket) -> None:
    reader, writer = os.pipe()
    os.dup2(reader, sock.fileno())
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("make", [plain, green, unix])
@pytest.mark.parametrize("lose", [shut_down, closed, closed_by_number, given_to_another])
def test_wsgi_server_ends_with_the_error(
    make: Callable[[Path], socket.socket],
    lose: Callable[[socket.socket], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if make is green and lose in (closed_by_number, given_to_another):
        pytest.skip("of a green socket close() is heard of, and not os.close() behind its back")
    with own_hub():
        sock = make(tmp_path)
        address = sock.getsockname()
        number = sock.fileno()
        running = spawn(wsgi_server, sock, path, log_output=False)
        sleep()
        with RawClient(address, green=True) as client:
            assert client.get("/x").body == b"/x"
        lose(sock)
        with (
            Timeout(PATIENCE),
            pytest.raises(OSError, match=r"Invalid argument|Bad file descriptor") as raised,
        ):
            running.wait()
        assert "other code" in str(raised.value)
        if lose is given_to_another:
            assert os.fstat(number)  # not ours to close
            os.close(number)
        if lose is closed_by_number or lose is given_to_another:
            sock.detach()
    assert [record.message for record in caplog.records if "no longer accepting" in record.message]


@pytest.mark.parametrize("kind", [socket.socket, GreenSocket])
def test_one_that_never_listened(kind: Any, tmp_path: Path) -> None:
    with own_hub(), kind(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        running = spawn(wsgi_server, sock, path, log_output=False)
        with Timeout(PATIENCE), pytest.raises(OSError, match=r"Invalid argument: .*call its listen\(\)"):
            running.wait()


def test_two_that_accept_from_one_green_socket() -> None:
    with own_hub(), greenserve.listen(("127.0.0.1", 0)) as sock:
        other = spawn(sock.accept)
        sleep()
        running = spawn(wsgi_server, sock, path, log_output=False)
        with Timeout(PATIENCE), pytest.raises(greenserve.ConcurrentUseError):
            running.wait()
        kill(other)


def test_running_requests_are_finished_first() -> None:
    gate = greenserve.Event()

    def app(environ: Any, start_response: Any) -> Any:
        gate.wait()
        return path(environ, start_response)

    with own_hub(), greenserve.listen(("127.0.0.1", 0)) as sock:
        running = spawn(wsgi_server, sock, app, log_output=False)
        client = RawClient(sock.getsockname(), green=True)
        client.send(request("/x"))
        sleep(0.01)
        sock.close()
        sleep(0.01)
        assert not running.dead
        gate.send()
        assert client.answer().body == b"/x"
        with Timeout(PATIENCE), pytest.raises(OSError, match="closed the socket"):
            running.wait()
        client.close()


def test_as_long_as_one_is_left_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with serving(path, bind=["127.0.0.1:0", "127.0.0.1:0"]) as server:
        first, second = server.listeners
        server.hub.call_from_thread(first.sock.shutdown, socket.SHUT_RDWR)
        eventually(lambda: first.is_lost)
        assert ask(second.name, request("/still")).body == b"/still"
        assert "no longer accepting" in caplog.text


def test_serve_raises_it_at_the_end() -> None:
    servers: list[Server] = []

    def lose() -> None:
        with serving(path) as server:
            servers.append(server)
            server.hub.call_from_thread(server.listeners[0].sock.shutdown, socket.SHUT_RDWR)
            eventually(server._end.has_come)

    with pytest.raises(OSError, match="does not listen"):
        lose()
    servers[0].stop()  # which raises nothing
    with pytest.raises(OSError, match="does not listen"):
        servers[0].wait()


_SHUTS = """
import os
from greenserve import original

socket = original("socket")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/shut":
        for name in os.listdir("/proc/self/fd"):
            try:
                sock = socket.socket(fileno=int(name))
            except OSError:
                continue
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                sock.shutdown(socket.SHUT_RDWR)
            sock.detach()
    start_response("200 OK", [("Content-Length", "4")])
    return [b"fine"]
"""


def test_the_command_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_SHUTS)
    with command("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", folder=tmp_path) as running:
        host, port = running.until(r"http://([\d.]+):(\d+)").groups()
        with RawClient((host, int(port))) as client:
            assert client.get("/").body == b"fine"
            assert client.get("/shut").body == b"fine"
        assert running.ended() == 1
    assert "no longer accepting: [Errno 22] Invalid argument: the socket does not listen" in running.text
    assert "stopped" in running.text
    assert "Traceback" not in running.text


def test_a_signal_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_SHUTS)
    with command("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", folder=tmp_path) as running:
        running.until(r"runs as process")
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
