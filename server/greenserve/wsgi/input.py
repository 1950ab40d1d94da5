"""wsgi.input: the body of a request as a file that ends where the body does.

Reads through a framing (http1/) from a Link, as the app asks and never ahead of it. Sends the 100 Continue
that a client waits for at
the app's first read, or when the app says so. The invariant: not a byte past the body is ever handed out or
swallowed; what
came behind it is in `rest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from greenserve.errors import BodyError, PeerGone, ProtocolError
from greenserve.http1 import CONTINUE, BodyFraming, continue_head
from greenserve.wsgi.link import Link


class RequestInput:
    """The body of one request. Every read switches when the bytes asked for have not come yet.

    Reads raise BodyError (an OSError) when the body is malformed, too long or too slow, and PeerGone (a
    ConnectionError) when
    the client went away; the connection is closed after either.
    """

    __slots__ = ("_ahead", "_buffer", "_continue", "_framing", "_link", "failed", "received")

    def __init__(self, link: Link, framing: BodyFraming, ahead: bytes, expects_continue: bool) -> None:
        """`ahead`: what was received behind the head already."""
        self._link = link
        self._framing = framing
        self._ahead = ahead
        self._buffer = b""
        # What to send before the first byte is waited for; None once sent, or when nobody asked.
        self._continue: bytes | None = CONTINUE if expects_continue and not ahead else None
        self.failed: BodyError | PeerGone | None = None
        self.received = 0  # bytes of content so far

    # PEP 3333 --------------------------------------------------------------------------------------

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes, fewer only at the end of the body; all of it when negative or None."""
        buffer = self._buffer
        if size is None or size < 0:
            pieces = [buffer]
            self._buffer = b""
            while piece := self._next():
                pieces.append(piece)
            return b"".join(pieces)
        if len(buffer) < size:
            pieces = [buffer]
            missing = size - len(buffer)
            self._buffer = b""
            while missing > 0 and (piece := self._next()):
                pieces.append(piece)
                missing -= len(piece)
            buffer = pieces[-1] if not pieces[0] and len(pieces) == 2 else b"".join(pieces)
        self._buffer = buffer[size:]
        return buffer[:size]

    def readline(self, size: int | None = -1) -> bytes:
        """Up to and with the next newline, at most `size` bytes."""
        limit = -1 if size is None or size < 0 else size
        buffer = self._buffer
        searched = 0
        pieces: list[bytes] = []
        length = 0
        while True:
            end = buffer.find(b"\n", searched) + 1
            if limit >= 0 and length + (end or len(buffer)) >= limit:
                end = limit - length
            if end or (limit == length and limit >= 0):
                pieces.append(buffer[:end])
                self._buffer = buffer[end:]
                return b"".join(pieces)
            pieces.append(buffer)
            length += len(buffer)
            self._buffer = b""
            buffer = self._next()
            if not buffer:
                return b"".join(pieces)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """The lines that are left; about `hint` bytes of them if that is positive."""
        lines: list[bytes] = []
        length = 0
        while line := self.readline():
            lines.append(line)
            length += len(line)
            if hint is not None and 0 < hint <= length:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Line by line."""
        while line := self.readline():
            yield line

    # 100 Continue -------------------------------------------------------------------------------------

    def set_hundred_continue_response_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Put these fields into the 100 Continue that the first read sends. Switches: never."""
        head = continue_head(headers)
        if self._continue:
            self._continue = head

    def send_hundred_continue_response(self) -> None:
        """Send the 100 Continue now. Nothing happens when the client waits for none or has it.

        Switches: when the peer reads slowly.
        """
        if self._continue:
            head, self._continue = self._continue, None
            self._link.send_interim(head)

    @property
    def is_unusable(self) -> bool:
        """Whether nobody can tell what follows: the body failed, or its client was never told to send it.

        RFC 9110 §10.1.1: whether it will come all the same is open.
        """
        return self.failed is not None or self._continue is not None

    def answer_begun(self) -> None:
        """Told when the final head goes out: an interim one can't follow it any more."""
        # Kept apart from None: a client that was never told to go on makes the connection unusable (RFC 9110
        # §10.1.1).
        if self._continue is not None:
            self._continue = b""

    # Below -----------------------------------------------------------------------------------------

    @property
    def framing(self) -> BodyFraming:
        """Where the body ends; for whoever discards what the app left."""
        return self._framing

    def take_ahead(self) -> bytes:
        """What was received and not given to the framing yet."""
        ahead, self._ahead = self._ahead, b""
        return ahead

    def _next(self) -> bytes:
        """The next piece of content, b"" at the end of the body."""
        framing = self._framing
        if self.failed is not None:
            raise self.failed
        try:
            while not framing.done:
                data = self.take_ahead()
                if not data:
                    if self._continue:
                        self.send_hundred_continue_response()
                    data = self._link.receive()
                    if not data:
                        raise PeerGone("the client closed in the middle of the body")
                content = framing.feed(data)
                if content:
                    self.received += len(content)
                    return content
        except TimeoutError:
            self.failed = BodyError(408, "the body came too slowly (body_timeout)")
            raise self.failed from None
        except ProtocolError as error:
            self.failed = BodyError(error.status, error.reason)
            raise self.failed from error
        except PeerGone as error:
            self.failed = error
            raise
        return b""


class EmptyInput(RequestInput):
    """The body of a request that has none; one for all of them."""

    __slots__ = ()

    def _next(self) -> bytes:
        return b""
