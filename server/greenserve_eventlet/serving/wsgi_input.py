"""wsgi.input with eventlet's methods: it is iterated over as one piece, and a 100 Continue may be sent several times.

Reads from greenserve's own. Knows the exchange that it belongs to: for the socket, and to see that the response has
begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from greenserve.errors import BodyError, PeerGone
from greenserve.wsgi.exchange import Exchange

__all__ = ["ChunkReadError", "Input"]


class ChunkReadError(ValueError):
    """A chunked body is malformed, or ends between two chunks."""


class Input:
    """The body of one request. Every read switches if the requested bytes have not come yet.

    Reads raise ChunkReadError, and OSError if the client is gone, too slow, or sends too much.
    """

    # As the class has them until they change: most requests have no body.
    hundred_continue_headers: list[tuple[str, str]] | None = None
    position = 0  # bytes read
    _has_continued = False  # a 100 Continue was sent

    def __init__(self, exchange: Exchange) -> None:
        """Nothing is read yet."""
        self._exchange = exchange

    # Reading ---------------------------------------------------------------------------------------------

    def read(self, length: int | None = None) -> bytes:
        """Return `length` bytes, fewer only at the end; the whole rest without it."""
        return self._read(self._exchange.input.read, length)

    def readline(self, size: int | None = None) -> bytes:
        """Return up to and with the next newline, at most `size` bytes."""
        return self._read(self._exchange.input.readline, size)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Return the lines of the rest, or about `hint` bytes of them."""
        lines: list[bytes] = []
        size = 0
        while line := self.readline():
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the whole rest, as one piece."""
        return iter(self.read, b"")

    def discard(self, buffer_size: int = 16 << 10) -> None:
        """Read the rest and forget it."""
        while self.read(buffer_size):
            pass

    def _read(self, read: Callable[[int | None], bytes], size: int | None) -> bytes:
        if self.should_send_hundred_continue:
            self.send_hundred_continue_response()
        try:
            data = read(size)
        except BodyError as error:
            if self.chunked_input and error.status == 400:
                raise ChunkReadError(error.reason) from error
            raise
        except PeerGone as error:
            if self.chunked_input and not self._exchange.input.framing.wants():
                raise ChunkReadError("the client closed between two chunks") from error
            raise
        self.position += len(data)
        return data

    # 100 Continue -------------------------------------------------------------------------------------

    def set_hundred_continue_response_headers(
        self, headers: list[tuple[str, str]], capitalize_response_headers: bool = True
    ) -> None:
        """Put these fields into the next 100 Continue. Switches: never."""
        if capitalize_response_headers:
            headers = [
                ("-".join(part.capitalize() for part in name.split("-")), text) for name, text in headers
            ]
        self.hundred_continue_headers = headers

    def send_hundred_continue_response(self) -> None:
        """Send a 100 Continue, also a second one; nothing if the client expects none or the response has begun.

        Behind a chunked body that was read to its end, another one can be read then. Switches: if the client reads
        slowly.
        """
        self._has_continued = True
        if self._exchange.head.expect_continue and self._exchange.response.head is None:
            self._exchange.input.send_continue(self.hundred_continue_headers or [])

    @property
    def is_hundred_continue_response_sent(self) -> bool:
        """Return True if the client waits for no 100 Continue any more."""
        return not self.should_send_hundred_continue

    @property
    def should_send_hundred_continue(self) -> bool:
        """Return True if the next read sends a 100 Continue."""
        return self._exchange.head.expect_continue and not self._has_continued

    # What it is ------------------------------------------------------------------------------------------

    @property
    def content_length(self) -> int | None:
        """The length that the client has told; None of a chunked body."""
        head = self._exchange.head
        return None if head.chunked else head.content_length or 0

    @property
    def chunked_input(self) -> bool:
        """Return True if the body comes in chunks."""
        return self._exchange.head.chunked

    @property
    def headers_sent(self) -> bool:
        """Return True if the response has begun."""
        return self._exchange.response.head is not None

    def get_socket(self) -> Any:
        """Return the connection as a socket, for code that takes it over. Until its first use the request is HTTP.

        Switches: never. Raises ProtocolError for a request with a body, and if limit_websockets is reached.
        """
        return self._exchange.offer_socket()
