"""A connection that is none: what an Exchange sends stays in a list, and what it receives comes from one."""

from __future__ import annotations

import os
from typing import Any
from wsgiref.validate import validator

from tests.support.protocols.heads import raw, read

from greenserve.errors import PeerGone
from greenserve.http1 import BodyFraming, ChunkedFraming, LengthFraming
from greenserve.wsgi import Exchange, Service, base_environ, make_environ

DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


class FakeLink:
    """`incoming` are the pieces that will be received, and the errors in between; after them comes the end."""

    peer = "192.0.2.1"
    peer_port = "4711"

    def __init__(self, *incoming: bytes | BaseException) -> None:
        self.incoming = list(incoming)
        self.sent: list[bytes] = []
        self.gone = False
        self.file_error: OSError | None = None
        self.files = 0

    def send(self, data: bytes) -> None:
        if self.gone:
            raise PeerGone("reset")
        self.sent.append(bytes(data))

    send_interim = send

    def send_last(self, head: bytes, body: bytes) -> None:
        if not self.gone:
            self.sent.append(head + body)

    def send_soon(self, head: bytes, body: bytes) -> None:
        self.send(head + body)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        self.send(first + second)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        if self.file_error is not None:
            raise self.file_error
        self.files += 1
        data = os.pread(fd, count, offset)
        self.send(data)
        return len(data)

    def receive(self) -> bytes:
        piece = self.incoming.pop(0) if self.incoming else b""
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def is_peer_gone(self) -> bool:
        return self.gone

    def set_timeout(self, seconds: float | None) -> None: ...

    def offer(self, environ: dict[str, Any], to_any: bool = False) -> None: ...

    def upgrade(self, head: bytes, make: Any) -> Any:
        self.send(head)
        return make(self, b"".join(one for one in self.incoming if isinstance(one, bytes)))

    @property
    def out(self) -> bytes:
        """All that was sent."""
        return b"".join(self.sent)


def exchange(
    app: Any,
    line: str = "GET / HTTP/1.1",
    *fields: str,
    link: FakeLink | None = None,
    validated: bool = True,
    sendfile: bool = True,
    keep_alive: bool = True,
    limit: int = 0,
) -> Exchange:
    """Run one request through `app`; its body is what `link` receives. With PEP 3333's own checker in between."""
    head, ahead = read(raw(line, *fields))
    service = Service(
        validator(app) if validated else app,
        lambda: DATE,
        "Server: greenserve\r\n",
        sendfile,
        keep_alive,
        discard_limit=1 << 16,
    )
    framing: BodyFraming | None = None
    if head.has_body:
        framing = ChunkedFraming(limit) if head.chunked else LengthFraming(head.content_length or 0)
    link = link or FakeLink()
    base = base_environ("http", "server.example", "8000", "greenserve/0", _Errors())
    x = Exchange(service, link, head, make_environ(base, head, link.peer, link.peer_port), framing, ahead)
    x.run()
    return x


class _Errors:
    """A wsgi.errors that nobody reads."""

    def write(self, text: str) -> None: ...

    def writelines(self, lines: list[str]) -> None: ...

    def flush(self) -> None: ...


def sent(x: Exchange) -> bytes:
    """All that an exchange's link has sent."""
    assert isinstance(x.link, FakeLink)
    return x.link.out


def body(x: Exchange) -> bytes:
    """What followed the head."""
    return sent(x).partition(b"\r\n\r\n")[2]


def fields(x: Exchange) -> list[str]:
    """The lines of the head that was sent."""
    return sent(x).partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
