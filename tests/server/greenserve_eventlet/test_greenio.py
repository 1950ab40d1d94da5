"""greenio, convenience and green.ssl: where they are otherwise than greenserve's own."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.certificates import issue
from tests.support.times import PATIENCE

import greenserve_eventlet as eventlet
from greenserve_eventlet import greenio
from greenserve_eventlet.green import ssl
from greenserve_eventlet.serving import convenience
from greenserve_hub import Timeout, sleep, spawn


def pair() -> tuple[greenio.GreenSocket, greenio.GreenSocket]:
    with eventlet.listen(("127.0.0.1", 0)) as listener:
        client = eventlet.connect(listener.getsockname())
        return client, listener.accept()[0]


class TestGreenSocket:
    def test_of_another_socket_closes_both(self) -> None:
        first = socket.socket()
        first.settimeout(5)
        green = greenio.GreenSocket(first)
        assert green.gettimeout() == 5
        assert green.fd is green
        assert green.fileno() != first.fileno()
        green.close()
        assert first.fileno() == -1

    def test_accepts_its_own_kind(self) -> None:
        one, other = pair()
        with one, other:
            assert type(other) is greenio.GreenSocket
            assert not other.act_non_blocking

    @pytest.mark.parametrize("into", [False, True])
    def test_a_reset_is_an_end(self, into: bool) -> None:
        one, other = pair()
        with one:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            other.close()
            assert (one.recv_into(bytearray(1)) if into else one.recv(1)) in (b"", 0)

    def test_a_read_of_nothing_waits_for_something(self) -> None:
        one, other = pair()
        with one, other:
            one.settimeout(0.001)
            for read in (lambda: one.recv(0), lambda: one.recv_into(bytearray()), lambda: one.recvfrom(0)):
                with pytest.raises(TimeoutError):
                    read()
            other.sendall(b"a")
            one.settimeout(PATIENCE)
            assert one.recv(0) == b""
            assert one.recv(1) == b"a"

    def test_shutdown_safe(self) -> None:
        one, other = pair()
        greenio.shutdown_safe(one)
        assert other.recv(1) == b""
        one.close()
        greenio.shutdown_safe(one)
        other.close()

        class Connection:
            def shutdown(self) -> None:
                """As pyOpenSSL's, which takes no argument."""

        greenio.shutdown_safe(Connection())

    def test_set_nonblocking(self) -> None:
        read, write = os.pipe()
        with os.fdopen(read, "rb") as file, os.fdopen(write, "wb"), socket.socket() as sock:
            greenio.set_nonblocking(file)
            greenio.set_nonblocking(sock)
            assert not os.get_blocking(read)
            assert sock.gettimeout() == 0

    def test_pyopenssls_errors_have_names_without_it(self) -> None:
        assert issubclass(greenio.SSL.ZeroReturnError, Exception)
        with pytest.raises(AttributeError, match="nothing"):
            greenio.nothing  # noqa: B018


class TestGreenPipe:
    def test_waits_green(self) -> None:
        read, write = os.pipe()
        with greenio.GreenPipe(read, "rb") as reader, greenio.GreenPipe(write, "wb", 0) as writer:
            line = spawn(reader.readline)
            sleep(0)
            writer.write(b"line\n")
            assert line.wait() == b"line\n"

    def test_takes_a_file(self) -> None:
        with tempfile.NamedTemporaryFile() as file, greenio.GreenPipe(open(file.name, "w"), "w") as pipe:
            pipe.write("a")
            pipe.flush()
            assert Path(file.name).read_text() == "a"


class TestListen:
    def test_several_may_share_a_port_that_is_named(self) -> None:
        with eventlet.listen(("127.0.0.1", 0)) as first:
            port = first.getsockname()
        with eventlet.listen(port), eventlet.listen(port):
            pass
        with eventlet.listen(port, reuse_port=False), pytest.raises(OSError, match="in use"):
            eventlet.listen(port, reuse_port=False)

    def test_to_share_port_0_is_warned_of(self) -> None:
        with pytest.warns(convenience.ReuseRandomPortWarning, match="name the port"):
            eventlet.listen(("127.0.0.1", 0), reuse_port=True).close()

    def test_a_system_without_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Any, level: int, option: int, value: int) -> None:
            if option == socket.SO_REUSEPORT:
                raise OSError(22, "Invalid argument")

        with eventlet.listen(("127.0.0.1", 0)) as first:
            port = first.getsockname()
        monkeypatch.setattr(greenio.GreenSocket, "setsockopt", refuse)
        with pytest.warns(convenience.ReusePortUnavailableWarning, match="one process"):
            eventlet.listen(port).close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            eventlet.listen(("127.0.0.1", 0)).close()


class TestTLS:
    def test_a_listener_leaves_the_handshake_to_its_connections(self, tmp_path: Path) -> None:
        file = issue(tmp_path / "pem", "localhost")
        with (
            Timeout(PATIENCE),
            eventlet.wrap_ssl(eventlet.listen(("127.0.0.1", 0)), certfile=file, server_side=True) as listener,
        ):
            silent = eventlet.connect(listener.getsockname())
            accepted = [listener.accept()[0]]
            client = spawn(lambda: eventlet.wrap_ssl(eventlet.connect(listener.getsockname())))
            accepted.append(listener.accept()[0])
            accepted[1].sendall(b"hello")
            assert client.wait().recv(10) == b"hello"
            for sock in (silent, client.wait(), *accepted):
                sock.close()

    def test_serve_does_it_in_the_connections_green_thread(self, tmp_path: Path) -> None:
        file = issue(tmp_path / "pem", "localhost")

        def handle(sock: Any, address: Any) -> None:
            sock.sendall(sock.recv(10))
            raise eventlet.StopServe

        with eventlet.wrap_ssl(
            eventlet.listen(("127.0.0.1", 0)), certfile=file, server_side=True
        ) as listener:
            green = spawn(eventlet.serve, listener, handle)
            with eventlet.connect(listener.getsockname()):
                client = eventlet.wrap_ssl(eventlet.connect(listener.getsockname()))
                client.sendall(b"hello")
                assert client.recv(10) == b"hello"
                client.close()
                green.wait()

    def test_verifies_if_it_is_asked_to(self, tmp_path: Path) -> None:
        file = issue(tmp_path / "pem", "localhost")
        other = issue(tmp_path / "other", "localhost")
        with eventlet.wrap_ssl(
            eventlet.listen(("127.0.0.1", 0)), certfile=file, server_side=True
        ) as listener:
            green = spawn(listener.accept)
            plain = eventlet.connect(listener.getsockname())
            sock, _ = green.wait()
            shaking = spawn(sock.do_handshake)
            with pytest.raises(ssl.SSLCertVerificationError):
                eventlet.wrap_ssl(plain, cert_reqs=ssl.CERT_REQUIRED, ca_certs=other)
            with pytest.raises(ssl.SSLError):
                shaking.wait()
            sock.close()

    def test_contexts_make_green_sockets(self) -> None:
        for context in (ssl.create_default_context(), ssl._create_default_https_context()):
            assert isinstance(context, ssl.SSLContext)
            assert context.check_hostname
            assert context.sslsocket_class is ssl.GreenSSLSocket

    def test_a_server_needs_a_certificate(self) -> None:
        with socket.socket() as sock, pytest.raises(ValueError, match="give certfile"):
            eventlet.wrap_ssl(sock, server_side=True)

    def test_takes_a_plain_socket(self) -> None:
        with eventlet.wrap_ssl(socket.socket()) as sock:
            assert isinstance(sock, ssl.GreenSSLSocket)
