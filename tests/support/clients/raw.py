"""A client that sends exactly the bytes it is told to, and reads answers one by one.

Over TLS too: with a context, or everywhere in a test that runs over_tls().
Stands on a blocking socket and nothing of greenserve's, so that the server is not judged by its own code; only where a
client shares the server's hub, and its fake clock, is it a green one.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.support import flavours
from tests.support.times import PATIENCE

from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenio.tls_sockets import GreenSSLSocket


@dataclass
class Answer:
    """One response as it came."""

    status: int
    line: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)  # the chunks, of a chunked body

    def __getitem__(self, name: str) -> str:
        """The one value of a field."""
        (value,) = (v for n, v in self.fields if n.lower() == name.lower())
        return value

    def __contains__(self, name: str) -> bool:
        return any(n.lower() == name.lower() for n, _ in self.fields)

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        return "connection" in self and self["connection"].lower() == "close"


class RawClient:
    """A connection to a server's `address`, in a `with`. `green`: for a client in the server's own hub."""

    def __init__(
        self,
        address: Any,
        *,
        receive_buffer: int = 0,
        green: bool = False,
        tls: ssl.SSLContext | None = None,
        server_name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if not isinstance(address, str) and ":" in address[0]:
            family = socket.AF_INET6
        self.sock = (GreenSocket if green else socket.socket)(family, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(None if green else PATIENCE)
            if receive_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.connect(address)
            tls = tls or flavours.client
            if tls is not None:
                tls.sslsocket_class = GreenSSLSocket if green else ssl.SSLSocket
                # An end without TLS's closing alert is an error: the server has to send it.
                self.sock = tls.wrap_socket(
                    self.sock, server_hostname=server_name, suppress_ragged_eofs=False, session=session
                )
        except BaseException:
            self.sock.close()
            raise
        self.ahead = bytearray()

    # Out ------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> Self:
        self.sock.sendall(data)
        return self

    def get(self, path: str = "/", *fields: str) -> Answer:
        """A whole GET on the open connection."""
        lines = "".join(f"{line}\r\n" for line in fields)
        return self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()).answer()

    # In -------------------------------------------------------------------------------------------------

    def more(self) -> bytes:
        """Take one read's worth; fails at the end."""
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(f"closed after {bytes(self.ahead[:200])!r}")
        self.ahead += data
        return data

    def take_ahead(self, count: int) -> None:
        """Receive so much more, and leave it for what is asked for next."""
        count += len(self.ahead)
        while len(self.ahead) < count:
            self.more()

    def take(self, count: int) -> bytes:
        while len(self.ahead) < count:
            self.more()
        data = bytes(self.ahead[:count])
        del self.ahead[:count]
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while mark not in self.ahead:
            self.more()
        return self.take(self.ahead.index(mark) + len(mark))

    def head(self) -> Answer:
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return Answer(int(lines[0].split(" ")[1]), lines[0], fields)

    def answer(self, method: str = "GET") -> Answer:
        """The next response, whole."""
        answer = self.head()
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        if "transfer-encoding" in answer:
            assert answer["transfer-encoding"] == "chunked"
            while piece := self.chunk():
                answer.pieces.append(piece)
            answer.body = b"".join(answer.pieces)
        elif "content-length" in answer:
            answer.body = self.take(int(answer["content-length"]))
        else:
            answer.body = self.rest()
        return answer

    def chunk(self) -> bytes:
        """The content of the next chunk, b"" for the last."""
        size = int(self.until(b"\r\n"), 16)
        data = self.take(size)
        assert self.take(2) == b"\r\n"
        return data

    def rest(self) -> bytes:
        """Everything until the server closes."""
        pieces = [bytes(self.ahead)]
        self.ahead.clear()
        while data := self.sock.recv(65536):
            pieces.append(data)
        return b"".join(pieces)

    def is_silent(self) -> bool:
        """Whether nothing has come, not even the end."""
        if isinstance(self.sock, ssl.SSLSocket):
            # A new session's ticket is no answer.
            before = self.sock.gettimeout()
            self.sock.settimeout(0)
            try:
                self.ahead += self.sock.recv(65536)
            except ssl.SSLWantReadError:
                return not self.ahead
            finally:
                self.sock.settimeout(before)
            return False
        return not self.ahead and not select.select([self.sock], [], [], 0)[0]

    # The end ----------------------------------------------------------------------------------------------

    def finish_sending(self) -> Self:
        socket.socket.shutdown(self.sock, socket.SHUT_WR)  # SSLSocket's would end TLS both ways
        return self

    def reset(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def request(path: str = "/", method: str = "GET", body: bytes = b"", *fields: str) -> bytes:
    """The bytes of one request; Content-Length comes by itself."""
    lines = list(fields)
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return head.encode() + body


def ask(address: Any, data: bytes) -> Answer:
    """One request on a connection of its own: its answer."""
    with RawClient(address) as client:
        return client.send(data).answer(data.split(b" ", 1)[0].decode("latin-1"))
