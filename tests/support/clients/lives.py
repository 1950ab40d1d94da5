"""The lives that a request can have: what a client sends and when, in the hub of the server, step by step.

Each life is a function of a Client. Run without a fault it tells which calls the server makes on its socket; a test can
then have each of them fail in turn.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.support.clients.raw import request
from tests.support.servers.apps import Environ, Routes, Start
from tests.support.times import MS

from greenserve import Server
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, wait_all_blocked

LARGE = bytes(range(256)) * 2_000  # more than the buffers of a pair hold together


class App(Routes):
    """Answers of every kind; `seen` is what its calls on the server raised."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[BaseException] = []
        self.bodies: list[bytes] = []
        self.gate = Event()
        self.files: dict[str, Path] = {}
        for name, content in (("small", b"a small file"), ("large", LARGE)):
            self.files[name] = folder / name
            self.files[name].write_bytes(content)

    def echo(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            body = environ["wsgi.input"].read()
        except BaseException as error:
            self.seen.append(error)
            raise
        self.bodies.append(body)
        start_response("200 OK", [])
        return [body]

    def stream(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        for piece in (b"one", b"two", b"three"):
            try:
                yield piece
            except GeneratorExit as error:
                self.seen.append(error)
                raise
            sleep(0)

    def write(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        try:
            for piece in (b"one", b"two"):
                write(piece)
                sleep(0)
        except OSError as error:
            self.seen.append(error)
            raise
        return [b"three"]

    def large(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [LARGE]

    def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return (LARGE[at : at + 100_000] for at in range(0, len(LARGE), 100_000))

    def file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](self.files["small"].open("rb"))
        return wrapped

    def large_file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](self.files["large"].open("rb"))
        return wrapped

    def holds(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.gate.wait()
        return self.index(environ, start_response)


class Client:
    """The other end of a socket of the server's, in the same hub: after each step the server has done all it can."""

    def __init__(self, sock: socket.socket, server: Server, clock: FakeClock, app: App) -> None:
        self.sock = sock
        self.server = server
        self.clock = clock
        self.app = app
        self.taken = bytearray()
        self.is_ended = False
        self.descriptor: Descriptor | None = None  # the server's
        sock.setblocking(False)

    def begin(self) -> None:
        """What comes before HTTP: nothing."""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the server may have left
            self.sock.sendall(data)
        self.settle()

    def settle(self) -> None:
        wait_all_blocked()
        while self._is_on_its_way():
            wait_all_blocked()

    def _is_more_to_come(self) -> bool:
        # TCP tells of the room that a read has made in its own time.
        descriptor = self.descriptor
        waits = descriptor is not None and not descriptor.closed and descriptor.writer is not None
        if waits and self.sock.family != socket.AF_UNIX:
            select.select([self.sock], [], [], MS)
            return True
        return False

    def _is_on_its_way(self) -> bool:
        """Whether something that was sent has not reached the server's end: on loopback TCP it takes a moment."""
        if self.sock.family == socket.AF_UNIX or self.sock.fileno() < 0:
            return False
        unacknowledged: int = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]
        return bool(unacknowledged) and self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != bytes(
            [_TCP_CLOSE]
        )

    def take(self) -> None:
        """Read until the server says no more."""
        while True:
            self.settle()
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                if not self._is_more_to_come():
                    return
                continue
            except OSError:
                data = b""
            if not data:
                self.is_ended = True
                return
            self._received(data)

    def _received(self, data: bytes) -> None:
        self.taken += data

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        sleep(0)
        self.settle()


class ProxiedClient(Client):
    """The same behind a proxy that sends a header first, in pieces."""

    def begin(self) -> None:
        self.send(b"PROXY TCP4 192.0.2.7 ")
        self.send(b"192.0.2.8 1234 443\r\n")


class TLSClient(Client):
    """The same over TLS, which is done in memory."""

    context: ssl.SSLContext
    session: ssl.SSLSession | None = None  # one to resume, which costs a third of a handshake

    def begin(self) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(
            self._in, self._out, server_hostname="localhost", session=self.session
        )
        self._is_open = False
        while not self._is_open and not self.is_ended:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                self._is_open = True
            super().send(self._out.read())
            self.take()
            if not self._is_open and not self._in.pending:
                return  # the server says no more

    def send(self, data: bytes) -> None:
        if self._is_open:
            with contextlib.suppress(ssl.SSLError):  # it has ended already
                self.tls.write(data)
            data = self._out.read()
        super().send(data)

    def _received(self, data: bytes) -> None:
        self._in.write(data)
        if self._is_open:
            try:
                while piece := self.tls.read(1 << 16):
                    self.taken += piece
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:  # a record is missing, that the fault has swallowed: the client knows it
                self.is_ended = True


_TCP_CLOSE = 7  # after a reset

Life = Callable[[Client], None]


def whole_get(client: Client) -> None:
    client.send(request("/a"))


def get_in_pieces(client: Client) -> None:
    data = request("/a")
    for piece in (data[:5], data[5:20], data[20:]):
        client.send(piece)


def last_get(client: Client) -> None:
    client.send(request("/a", "GET", b"", "Connection: close"))


def two_gets(client: Client) -> None:
    """The connection is parked in between."""
    client.send(request("/a"))
    client.take()
    client.send(request("/b"))


def pipelined_gets(client: Client) -> None:
    client.send(request("/a") + request("/b"))


def body_with_a_length(client: Client) -> None:
    data = request("/echo", "POST", b"one two three")
    for piece in (data[:-10], data[-10:-4], data[-4:]):
        client.send(piece)


def chunked_body(client: Client) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhel")
    client.send(b"lo\r\n0\r\nX-Sum: x\r")
    client.send(b"\n\r\n")


def expects_continue(client: Client) -> None:
    client.send(request("/echo", "POST", b"hello", "Expect: 100-continue")[:-5])
    client.take()
    client.send(b"hello")


def streamed(client: Client) -> None:
    client.send(request("/stream"))


def written(client: Client) -> None:
    client.send(request("/write"))


def large_answer(client: Client) -> None:
    client.send(request("/large"))
    client.take()


def large_pieces(client: Client) -> None:
    client.send(request("/pieces"))
    client.take()


def small_file(client: Client) -> None:
    client.send(request("/file"))


def large_file(client: Client) -> None:
    client.send(request("/large_file"))
    client.take()


def discarded(client: Client) -> None:
    """The app leaves the body; the next request is behind it."""
    data = request("/a", "POST", b"unread body")
    client.send(data[:-6])
    client.send(data[-6:] + request("/b"))


def lingering(client: Client) -> None:
    """The app leaves a body that is too long to be discarded."""
    client.send(request("/a", "POST", bytes(100_000))[:-80_000])
    client.send(bytes(1000))
    client.take()


def refused(client: Client) -> None:
    client.send(b"NO HTTP\r\n\r\n")
    client.take()
    client.send(b"more")


def too_slow(client: Client) -> None:
    client.send(b"GET / HT")
    client.pass_time(11)


def queued(client: Client) -> None:
    """All slots are taken when it comes."""
    with _holding_the_slots(client):
        client.send(request("/a"))


def refused_in_line(client: Client) -> None:
    with _holding_the_slots(client):
        client.send(request("/a"))
        client.pass_time(11)


def ended_in_line(client: Client) -> None:
    """It closes its sending side together with its request."""
    with _holding_the_slots(client):
        client.send(request("/a"))
        with contextlib.suppress(OSError):
            client.sock.shutdown(socket.SHUT_WR)
        client.settle()


def draining(client: Client) -> None:
    """The server stops while a body comes."""
    data = request("/echo", "POST", b"hello")
    client.send(data[:-2])
    client.server._stop.begin(5, 0, False)
    client.settle()
    client.send(data[-2:])


@contextlib.contextmanager
def _holding_the_slots(client: Client) -> Iterator[None]:
    mine, other = socket.socketpair()
    with mine, other:
        for end in (mine, other):
            end.setblocking(False)
        open_connection(client.server, other)
        holder = type(client)(mine, client.server, client.clock, client.app)
        holder.begin()
        holder.send(request("/holds"))
        assert client.server.stats.active == 1
        try:
            yield
        finally:
            client.app.gate.send(None)
            wait_all_blocked()
            client.app.gate.reset()
    wait_all_blocked()


def open_connection(server: Server, sock: socket.socket, stream: Any = None) -> Any:
    """As the listener does with what it has accepted."""
    from greenserve.net.sockets.stream import Stream

    made = stream or Stream(server.hub, socket.socket(fileno=sock.detach()))
    taker: Any = server.listeners[0]._taker
    return taker.open(made, "192.0.2.1", "4711")


LIVES: list[Life] = [
    whole_get,
    get_in_pieces,
    last_get,
    two_gets,
    pipelined_gets,
    body_with_a_length,
    chunked_body,
    expects_continue,
    streamed,
    written,
    large_answer,
    large_pieces,
    small_file,
    large_file,
    discarded,
    lingering,
    refused,
    too_slow,
    queued,
    refused_in_line,
    ended_in_line,
    draining,
]
