"""GreenSSLSocket: TLS that lets others run."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.times import MS

from greenserve_hub import GreenSocket, create_connection, sleep, spawn
from greenserve_hub.greenio.tls_sockets import GreenSSLSocket

LARGE = bytes(range(256)) * 8000


class Context(ssl.SSLContext):
    """What monkey patching makes of every SSLContext."""

    sslsocket_class = GreenSSLSocket


@pytest.fixture(scope="module")
def contexts() -> tuple[Context, Context]:
    """A client's and a server's."""
    authority = trustme.CA()
    server = Context(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = Context(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return client, server


@pytest.fixture
def listener() -> Iterator[GreenSocket]:
    with GreenSocket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


@contextmanager
def connected(
    contexts: tuple[Context, Context], listener: GreenSocket
) -> Iterator[tuple[GreenSSLSocket, GreenSSLSocket]]:
    """The client's and the server's end."""
    client, server = contexts
    accepting = spawn(lambda: server.wrap_socket(listener.accept()[0], server_side=True))
    raw = create_connection(listener.getsockname())
    with client.wrap_socket(raw, server_hostname="localhost") as near, accepting.wait() as far:
        assert isinstance(near, GreenSSLSocket)
        yield near, far


def test_both_ends_in_one_hub(contexts: tuple[Context, Context], listener: GreenSocket):
    with connected(contexts, listener) as (near, far):
        reading = spawn(far.recv, 100)
        sleep()
        assert not reading.dead
        near.sendall(b"hello")
        assert reading.wait() == b"hello"
        assert near.version() == "TLSv1.3"
        writing = spawn(far.sendall, LARGE)
        with near.makefile("rb") as file:
            assert file.read(len(LARGE)) == LARGE
        writing.wait()
        buffer = bytearray(4)
        spawn(near.send, b"into")
        assert far.recv_into(buffer) == 4
        assert buffer == b"into"


class EncryptedByTheKernel:
    """An SSLSocket's inner half, where the kernel encrypts and has room for a thousand bytes of a file."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._room = 1000

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def uses_ktls_for_send(self) -> bool:
        return True

    def sendfile(self, fd: int, offset: int, count: int) -> int:
        room, self._room = self._room, 0
        if not room:
            raise ssl.SSLWantWriteError
        return self._inner.write(os.pread(fd, room, offset))


def test_a_file(contexts: tuple[Context, Context], listener: GreenSocket, tmp_path: Path):
    (tmp_path / "file").write_bytes(LARGE)
    with connected(contexts, listener) as (near, far), (tmp_path / "file").open("rb") as file:
        for inner in (near._sslobj, EncryptedByTheKernel(near._sslobj)):
            near._sslobj = inner
            with far.makefile("rb") as received:
                reading = spawn(received.read, len(LARGE) - 1)
                assert near.sendfile(file, 1) == len(LARGE) - 1
                assert reading.wait() == LARGE[1:]


def test_reading_and_writing_at_once(contexts: tuple[Context, Context], listener: GreenSocket):
    with connected(contexts, listener) as (near, far):

        def read_all(sock: GreenSSLSocket) -> bytes:
            got = b""
            while len(got) < len(LARGE):
                got += sock.recv(65536)
            return got

        readers = [spawn(read_all, near), spawn(read_all, far)]
        writers = [spawn(near.sendall, LARGE), spawn(far.sendall, LARGE)]
        assert [one.wait() for one in readers] == [LARGE, LARGE]
        assert [one.wait() for one in writers] == [None, None]


def test_time_limits(contexts: tuple[Context, Context], listener: GreenSocket):
    with connected(contexts, listener) as (near, far):
        near.settimeout(2 * MS)
        with pytest.raises(TimeoutError):
            near.recv(1)
        near.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            near.recv(1)
        near.settimeout(None)
        far.send(b"x")
        assert near.recv(1) == b"x"
    silent = create_connection(listener.getsockname())
    silent.settimeout(2 * MS)
    with pytest.raises(TimeoutError):
        contexts[0].wrap_socket(silent, server_hostname="localhost")


def test_a_handshake_of_its_own_time(contexts: tuple[Context, Context], listener: GreenSocket):
    client, server = contexts
    accepting = spawn(lambda: server.wrap_socket(listener.accept()[0], server_side=True))
    raw = create_connection(listener.getsockname())
    with client.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False) as near:
        near.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            near.do_handshake()
        near.do_handshake(block=True)
        assert near.gettimeout() == 0
        accepting.wait().close()


def test_the_end(contexts: tuple[Context, Context], listener: GreenSocket):
    with connected(contexts, listener) as (near, far):
        unwrapping = spawn(far.unwrap)
        assert near.recv(1) == b""
        plain = near.unwrap()
        assert unwrapping.wait() is not None
        plain.sendall(b"plain")
        assert far.recv(5) == b"plain"


def test_a_certificate_that_is_not_trusted(contexts: tuple[Context, Context], listener: GreenSocket):
    def accept() -> None:
        with pytest.raises(ssl.SSLError):
            contexts[1].wrap_socket(listener.accept()[0], server_side=True)

    accepting = spawn(accept)
    raw = create_connection(listener.getsockname())
    with pytest.raises(ssl.SSLCertVerificationError):
        Context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(raw, server_hostname="localhost")
    accepting.wait()


def test_connect_after_wrapping_and_accept_before(contexts: tuple[Context, Context], listener: GreenSocket):
    client, server = contexts
    with server.wrap_socket(listener.dup(), server_side=True) as waiting:
        accepting = spawn(waiting.accept)
        raw = GreenSocket(socket.AF_INET, socket.SOCK_STREAM)
        with client.wrap_socket(raw, server_hostname="localhost") as near:
            near.connect(listener.getsockname())
            far = accepting.wait()[0]
            near.send(b"x")
            assert far.recv(1) == b"x"
            far.close()
