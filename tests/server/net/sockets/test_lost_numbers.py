"""Other code of the program closes a descriptor of the server's: a connection's, a request's own, the listener's.

What can be known is made good: the connection is given up, nothing of it reaches who has its number by then, and the
log says what happened. All over a real server in a thread of its own.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import Gate, becomes_quiet, serving
from tests.support.times import PATIENCE, eventually

from greenserve import Server
from greenserve.net.http.connection import Connection


def _only(server: Server) -> Connection:
    eventually(lambda: server.stats.connections == 1)
    (connection,) = server.connections
    return connection


def _number(connection: Connection) -> int:
    number: int = connection.stream.sock.fileno()
    return number


def test_the_next_client_gets_the_number_of_an_idle_one(caplog: pytest.LogCaptureFixture) -> None:
    with serving(path) as server, RawClient(server.address) as old, socket.socket() as new:
        assert old.get().status == 200
        number = _number(_only(server))
        os.close(number)  # `new` has its own number already, so that the server's end of it gets this one
        new.connect(server.address)
        new.settimeout(PATIENCE)
        for _ in range(2):
            new.sendall(request("/new"))
            assert new.recv(1000).endswith(b"/new")
            assert _number(_only(server)) == number
        assert old.rest() == b""
    (record,) = caplog.records
    assert "look for an os.close() too many" in record.getMessage()


def test_an_answer_never_reaches_who_has_the_number_by_then(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/secret":
            gate.wait()
        return path(environ, start_response)

    with serving(app) as server, RawClient(server.address) as old:
        old.send(request("/secret"))
        gate.reached()
        number = _number(_only(server))
        with socket.socket() as spare:
            spare.connect(server.address)  # before the number is free, so that the server's end gets it
            eventually(lambda: server.stats.connections == 2)
            other = next(one for one in server.connections if _number(one) != number)
            # As if the kernel had given the number to the newcomer: its socket is moved there.
            server.hub.call_from_thread(_move, server, other, number)
            eventually(lambda: _number(other) == number)
            gate.open()
            eventually(lambda: server.stats.connections == 1)
            spare.sendall(request("/own"))
            spare.settimeout(10)
            assert spare.recv(1000).endswith(b"/own")
        becomes_quiet(server)


def _move(server: Server, connection: Connection, number: int) -> None:
    stream = connection.stream
    old = stream.sock
    stream.descriptor.reader = None  # it is not closed, and need not be told so
    assert stream.descriptor.close()
    os.dup2(old.fileno(), number)  # closes what was there, behind everybody's back
    old.close()
    stream.sock = socket.socket(fileno=number)
    stream.sock.setblocking(False)
    stream.descriptor = server.hub.open_descriptor(number, stream.sock)
    stream.descriptor.on_readable(connection._on_readable)


def test_a_file_that_has_the_number_by_then_stays_open(tmp_path: Path) -> None:
    with serving(path, keep_alive=0.2) as server:
        if not server.hub.edge:
            pytest.skip("poll and select cannot tell")
        with RawClient(server.address) as client:
            client.get()
            number = _number(_only(server))
            # A regular file, which epoll does not even take.
            file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
            os.dup2(file, number)
            becomes_quiet(server)  # keep_alive is over
        os.write(number, b"still open")
        assert (tmp_path / "file").read_bytes() == b"still open"
        os.close(number)
        os.close(file)
        assert ask(server.address, request("/still")).body == b"/still"


@pytest.mark.parametrize("how", ["closed", "a file's"])
def test_an_app_closes_the_number_of_its_own_request(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers: list[int] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/closes":
            if how == "closed":
                os.close(numbers[0])
            else:
                file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
                os.dup2(file, numbers[0])
                os.close(file)
        return path(environ, start_response)

    with serving(app) as server:
        with RawClient(server.address) as client:
            client.get()
            numbers.append(_number(_only(server)))
            client.send(request("/closes"))
            with suppress(ConnectionError):
                assert client.rest() == b""
        becomes_quiet(server)
        assert ask(server.address, request("/still")).body == b"/still"
        if how != "closed":
            assert os.fstat(numbers[0]).st_size == 0  # the answer is not in the file, which is still open
            os.close(numbers[0])
    (record,) = caplog.records
    assert "look for an os.close() too many" in record.getMessage()


def test_a_listener_that_is_closed_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with serving(path, bind=["127.0.0.1:0", "127.0.0.1:0"]) as server:
        first, second = server.listeners
        number = first.sock.fileno()
        # Somebody else's socket gets the number and comes to the hub.
        ends = socket.socketpair()
        os.dup2(ends[0].fileno(), number)
        opened: list[object] = []
        server.hub.call_from_thread(lambda: opened.append(server.hub.open_descriptor(number)))
        eventually(lambda: "no longer accepting" in caplog.text)
        assert ask(second.name, request("/still")).body == b"/still"
        server.hub.call_from_thread(lambda: opened[0].close())  # type: ignore[attr-defined]
    os.write(number, b"x")  # nobody has closed it
    assert ends[1].recv(1) == b"x"
    os.close(number)
    for end in ends:
        end.close()


def test_other_threads_open_and_close_files_meanwhile(tmp_path: Path) -> None:
    stop = threading.Event()
    wrong: list[object] = []

    def files(name: str) -> None:
        file = tmp_path / name
        number = 0
        while not stop.is_set():
            number += 1
            text = f"{name} {number}".encode()
            try:
                file.write_bytes(text)
                if (found := file.read_bytes()) != text:
                    wrong.append(found)
            except OSError as error:
                wrong.append(error)

    others = [threading.Thread(target=files, args=(f"file{number}",)) for number in range(3)]
    with serving(path) as server:
        for one in others:
            one.start()
        for number in range(300):
            with RawClient(server.address) as client:
                assert client.get(f"/{number}").body == b"/%d" % number
                if number % 3 == 0:
                    client.reset()
        stop.set()
        for one in others:
            one.join()
        becomes_quiet(server)
    assert wrong == []
