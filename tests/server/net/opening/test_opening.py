"""opening: from accept to the first request, where the client speaks TLS, or pretends to, or does not."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import path
from tests.support.servers.certificates import client_context
from tests.support.servers.running import becomes_quiet, in_one_hub, serving
from tests.support.times import eventually

from greenserve import Server, sleep, spawn
from greenserve_hub.greenio.sockets import GreenSocket


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    with serving(path, certfile=str(certificate)) as server:
        yield server


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = _client_hello()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request(server: Server, version: ssl.TLSVersion) -> None:
    context = client_context(minimum_version=version, maximum_version=version)
    with RawClient(server.address, tls=context) as client:
        for number in range(3):
            assert client.get(f"/{number}").body == b"/%d" % number
    becomes_quiet(server)
    assert server.stats.handshake_errors == 0
    assert server.url == f"https://127.0.0.1:{server.port}"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_handshake_in_pieces(server: Server, size: int) -> None:
    with socket.create_connection(server.address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            data = outgoing.read()
            for start in range(0, len(data), size):
                sock.sendall(data[start : start + size])
            incoming.write(sock.recv(65536))
        tls.write(request("/slow"))
        sock.sendall(outgoing.read())
        answer = b""
        while b"/slow" not in answer:
            incoming.write(sock.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += tls.read(65536)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HELLO[:1],
        HELLO[: len(HELLO) // 2],
        HELLO,
        b"\x16\x03\x01\x00\x05hello",
        b"\x16" * 3000,
        bytes(range(128, 256)),
        b"\0" * 100,
        b"\x80\x2e\x01\x00\x02",  # SSL 2
    ],
)
def test_whoever_gives_up_is_closed_and_counted(
    server: Server, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(server.address) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
    becomes_quiet(server)
    assert (server.stats.handshake_errors, server.stats.requests) == (1, 0)
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]
    with RawClient(server.address, tls=client_context()) as client:
        assert client.get().status == 200


def test_a_reset_at_any_time(server: Server) -> None:
    for count in range(0, len(HELLO) + 1, 29):
        client = socket.create_connection(server.address)
        client.sendall(HELLO[:count])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    becomes_quiet(server)
    with RawClient(server.address, tls=client_context()) as client:
        assert client.get().status == 200


@pytest.mark.parametrize("name", [b"\xfflocalhos", b"local\r\nho", b"\0\0\0\0\0\0\0\0\0"])
def test_a_name_that_is_none_is_not_heard(server: Server, name: bytes) -> None:
    # RFC 6066 §3: it is the client's to choose. The ssl module would print one that is no ASCII.
    with socket.create_connection(server.address) as sock:
        sock.sendall(HELLO.replace(b"localhost", name))
        assert sock.recv(1000)[:1] in (b"\x15", b"\x16")  # an alert or a greeting, as OpenSSL sees it
    with RawClient(server.address, tls=client_context()) as client:
        assert client.get().status == 200


class TestPlainHTTP:
    """On a port that speaks TLS."""

    @pytest.mark.parametrize("data", [request("/"), b"G", b"get", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    def test_is_told_so(self, server: Server, data: bytes) -> None:
        with RawClient(server.address) as client:
            answer = client.send(data).answer()
            assert (answer.status, answer.closes) == (400, True)
            assert b"https://" in answer.body
            assert client.rest() == b""
        becomes_quiet(server)
        assert (server.stats.refused, server.stats.requests) == (1, 0)

    def test_sees_the_answer_though_it_is_still_sending(self, server: Server) -> None:
        with RawClient(server.address) as client:
            client.send(request("/", "POST", b"x" * 200_000))
            assert client.answer().status == 400


def test_tls_to_a_plain_port_is_a_bad_request(caplog: pytest.LogCaptureFixture) -> None:
    with serving(path) as server:
        with RawClient(server.address) as client:
            answer = client.send(HELLO).answer()
            assert (answer.status, answer.closes) == (400, True)
            assert b"not TLS" in answer.body
        with pytest.raises(ssl.SSLError):
            RawClient(server.address, tls=client_context())
        becomes_quiet(server)
    assert not caplog.records


class TestTheDeadline:
    """tls_handshake_timeout."""

    @pytest.mark.parametrize("sent", [b"", HELLO[:1], HELLO[:200], HELLO])
    def test_ends_a_handshake_that_stands_still(self, sent: bytes, certificate: Path, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, certfile=str(certificate), tls_handshake_timeout=7) as (
            server,
            clock,
        ):
            with GreenSocket(socket.AF_UNIX) as client:
                client.connect(server.address)
                began = clock()
                client.sendall(sent)
                while client.recv(65536):
                    pass
                assert clock() - began == 7
                # With TLS begun it lingers, so that an alert arrives; without it there is nobody to tell.
                becomes_quiet_in_hub(server)
            assert server.stats.handshake_errors == 1

    def test_is_not_put_off_by_a_byte(self, certificate: Path, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, clock):
            with GreenSocket(socket.AF_UNIX) as client:
                client.connect(server.address)
                began = clock()
                with contextlib.suppress(OSError):
                    for byte in HELLO:
                        client.sendall(bytes([byte]))
                        sleep(1)
                assert clock() - began <= 14
            assert server.stats.handshake_errors == 1

    def test_does_not_hold_for_what_follows(self, certificate: Path, tmp_path: Path) -> None:
        settings = {"certfile": str(certificate), "tls_handshake_timeout": 7, "head_timeout": 60}
        with (
            in_one_hub(path, tmp_path, **settings) as (server, _),
            RawClient(server.address, green=True, tls=client_context()) as client,
        ):
            sleep(20)
            assert client.get().status == 200

    def test_whoever_was_in_time_is_not_ended_by_an_app_that_held_the_hub(
        self, certificate: Path, tmp_path: Path
    ) -> None:
        with in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, clock):
            opening = spawn(RawClient, server.address, green=True, tls=client_context())
            sleep(0)
            sleep(0)
            clock.advance(60)
            with opening.wait() as client:
                assert client.get().status == 200


def becomes_quiet_in_hub(server: Server) -> None:
    for _ in range(100):
        if not server.stats.connections:
            return
        sleep(0.1)
    raise AssertionError(server.stats)


class TestStopping:
    def test_a_handshake_that_stands_still_does_not_hold_a_stop(
        self, certificate: Path, tmp_path: Path
    ) -> None:
        with (
            in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, clock),
            GreenSocket(socket.AF_UNIX) as client,
        ):
            client.connect(server.address)
            client.sendall(HELLO)
            sleep(0.1)
            began = clock()
            server.stop(30)
            assert clock() - began < 4

    def test_one_that_is_under_way_gets_its_answer(self, certificate: Path, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, _):
            opening = spawn(RawClient, server.address, green=True, tls=client_context())
            sleep(0)
            stopping = spawn(server.stop, 30)
            with opening.wait() as client:
                answer = client.get()
                assert (answer.status, answer.closes) == (200, True)
            stopping.wait()


def test_a_flood_of_handshakes_leaves_others_their_turns(certificate: Path, tmp_path: Path) -> None:
    # Each turn of the hub makes a few milliseconds of them; a clock that stands still would make all at once.
    with in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, clock):
        line = server.handshakes
        turns: list[int] = []

        class Slow:
            def shake(self) -> None:
                clock.advance(0.002)
                turns.append(turn)

        for _ in range(10):
            line.put(Slow())  # type: ignore[arg-type]
        turn = 0
        while len(turns) < 10:
            turn += 1
            sleep(0)
        assert max(turns.count(one) for one in set(turns)) == 2


def test_a_bad_handshake_does_not_stop_the_line(certificate: Path, tmp_path: Path) -> None:
    with in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, _):
        broken: list[object] = []

        class Bad:
            def shake(self) -> None:
                raise ValueError

            def broke(self) -> None:
                broken.append(self)

        server.handshakes.put(Bad())  # type: ignore[arg-type]
        with RawClient(server.address, green=True, tls=client_context()) as client:
            assert client.get().status == 200
        assert len(broken) == 1


def test_many_at_once(server: Server, tmp_path: Path) -> None:
    clients = [socket.create_connection(server.address) for _ in range(50)]
    for client in clients:
        client.sendall(HELLO)
    with RawClient(server.address, tls=client_context()) as client:
        assert client.get().status == 200
    for one in clients:
        assert one.recv(5)[:1] == b"\x16"
        one.close()
    eventually(lambda: server.stats.handshake_errors == 50)
    becomes_quiet(server)


@pytest.mark.parametrize("sent", [b"", HELLO[:5], HELLO[:-1]])
def test_half_a_greeting_has_no_tls(server: Server, sent: bytes) -> None:
    # A session of OpenSSL's is ten times a connection; who does not say all gets none.
    with socket.create_connection(server.address) as sock:
        sock.sendall(sent)
        eventually(lambda: server.stats.connections == 1)
        (connection,) = server.connections
        eventually(lambda: connection.activity._ahead == sent)
        assert type(connection.stream).__name__ == "Stream"


@pytest.mark.parametrize("size", [1, 20, 400])
def test_a_greeting_in_many_records(server: Server, size: int) -> None:
    # RFC 8446 §5.1. Some clients do this so that a censor does not see the name.
    body = HELLO[5:]
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    with socket.create_connection(server.address) as sock:
        sock.sendall(b"".join(HELLO[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces))
        assert sock.recv(5)[:1] == b"\x16"
