"""Reads answers from a socket, one by one, fast and without trust.

Nothing of greenserve's, so that the server is not judged by its own code. Whatever is not an answer as RFC 9112 has it
is an Unexpected.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nConnection: close\r\n", re.IGNORECASE)
_PROOF = re.compile(rb"\r\nX-Soak: ([^\r]*)\r\n")
_SIZE = re.compile(rb"([0-9a-fA-F]+)\r\n")


class Unexpected(Exception):
    """Not what the server owed; the text says what came."""


@dataclass(slots=True)
class Answer:
    status: int
    proof: str
    body: bytes
    closes: bool
    is_whole: bool = True  # else a chunked body ended without its last chunk


class Answers:
    """The answers of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = b""
        self._at = 0
        self.ended = False

    def _more(self) -> None:
        data = self._sock.recv(1 << 18)
        if not data:
            self.ended = True
            raise Unexpected(f"the connection ended behind {self._data[self._at : self._at + 100]!r}")
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def _take(self, count: int) -> bytes:
        while len(self._data) - self._at < count:
            self._more()
        start, self._at = self._at, self._at + count
        return self._data[start : self._at]

    def next(self, method: str) -> Answer:
        """The next answer, whole."""
        while (end := self._data.find(b"\r\n\r\n", self._at)) < 0:
            self._more()
        head = self._take(end + 4 - self._at)
        if head[:9] != b"HTTP/1.1 " or not head[9:12].isdigit():
            raise Unexpected(f"no answer: {head[:100]!r}")
        status = int(head[9:12])
        found = _PROOF.search(head)
        answer = Answer(status, found[1].decode() if found else "", b"", bool(_CLOSE.search(head)))
        if method == "HEAD" or status in (204, 304) or status < 200:
            return answer
        lengths = _LENGTH.findall(head)
        if len(lengths) == 1 and not _CHUNKED.search(head):
            answer.body = self._take(int(lengths[0]))
        elif _CHUNKED.search(head) and not lengths:
            self._take_chunks(answer)
        elif not lengths:
            answer.body = self.rest()
        else:
            raise Unexpected(f"nobody can tell where this ends: {head!r}")
        return answer

    def _take_chunks(self, answer: Answer) -> None:
        pieces = []
        try:
            while True:
                while (end := self._data.find(b"\r\n", self._at)) < 0:
                    self._more()
                line = self._take(end + 2 - self._at)
                size = _SIZE.fullmatch(line)
                if not size:
                    raise Unexpected(f"no chunk size: {line!r}")
                piece = self._take(int(size[1], 16))
                if self._take(2) != b"\r\n":
                    raise Unexpected("a chunk without its end")
                if not piece:
                    break
                pieces.append(piece)
        except Unexpected:
            if not self.ended:
                raise
            answer.is_whole = False
        answer.body = b"".join(pieces)

    @property
    def has_more(self) -> bool:
        """Whether something has come that nobody has taken."""
        return self._at < len(self._data)

    def rest(self) -> bytes:
        """All until the server closes."""
        pieces = [self._data[self._at :]]
        self._data, self._at = b"", 0
        while data := self._sock.recv(1 << 18):
            pieces.append(data)
        self.ended = True
        return b"".join(pieces)
