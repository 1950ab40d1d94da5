"""wsgi.input: the body of a request as a file that ends where the body does.

Reads through a framing (http1/) from a Link, only as much as the app asks for. Sends the 100 Continue that a client
waits for at the app's first read, or when the app says so. The invariant: no byte behind the body is ever returned or
lost; the framing keeps it in `rest`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from greenserve.errors import BodyError, PeerGone, ProtocolError
from greenserve.http1 import CONTINUE, BodyFraming, ChunkedFraming, LengthFraming, continue_head
from greenserve.wsgi.link import Link


class RequestInput:
    """The body of one request. Every read switches if the requested bytes have not come yet.

    Reads raise BodyError (an OSError) if the body is malformed, too long or too slow, and PeerGone (a ConnectionError)
    if the client went away; the connection closes after either.
    """

    __slots__ = ("_ahead", "_at", "_buffer", "_continue", "_framing", "_link", "failed", "received")

    def __init__(self, link: Link, framing: BodyFraming, ahead: bytes, expects_continue: bool) -> None:
        """`ahead`: the bytes of the body that came with the head."""
        self._link = link
        self._framing = framing
        self._ahead = ahead
        self._buffer = b""  # content that was received; the app has read it up to `_at`
        self._at = 0
        # Sent before the first wait for a byte; None once it is sent, or if the client asked for none.
        self._continue: bytes | None = CONTINUE if expects_continue and not ahead else None
        self.failed: BodyError | PeerGone | None = None
        self.received = 0  # bytes of content so far

    # PEP 3333 --------------------------------------------------------------------------------------

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes, fewer only at the end of the body; the whole rest if negative or None."""
        missing = -1 if size is None or size < 0 else size
        start = self._at
        if 0 <= missing <= len(self._buffer) - start:
            self._at = start + missing
            return self._buffer[start : self._at]
        pieces = [self._take_buffer()]
        missing -= len(pieces[0])
        try:
            while (size is None or size < 0 or missing > 0) and (piece := self._next()):
                pieces.append(piece)
                missing -= len(piece)
        except BaseException:
            self._buffer = b"".join(pieces)  # the app's own Timeout: the app may read on
            raise
        if size is None or size < 0 or missing >= 0:
            return b"".join(pieces)
        # The last piece has more bytes than needed.
        self._buffer = pieces[-1]
        self._at = len(self._buffer) + missing
        pieces[-1] = self._buffer[: self._at]
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """Up to and with the next newline, at most `size` bytes."""
        missing = -1 if size is None or size < 0 else size
        pieces: list[bytes] = []
        while True:
            start = self._at
            stop = len(self._buffer) if missing < 0 else start + missing
            end = self._buffer.find(b"\n", start, stop) + 1
            if not end and 0 <= missing <= len(self._buffer) - start:
                end = stop
            if end or missing == 0:
                self._at = end or start
                pieces.append(self._buffer[start : self._at])
                return b"".join(pieces)
            pieces.append(self._take_buffer())
            if missing > 0:
                missing -= len(pieces[-1])
            try:
                self._buffer = self._next()
            except BaseException:
                self._buffer = b"".join(pieces)
                raise
            if not self._buffer:
                return b"".join(pieces)

    def _take_buffer(self) -> bytes:
        rest = self._buffer[self._at :]
        self._buffer = b""
        self._at = 0
        return rest

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """The remaining lines; about `hint` bytes of them if that is positive."""
        lines: list[bytes] = []
        length = 0
        try:
            while line := self.readline():
                lines.append(line)
                length += len(line)
                if hint is not None and 0 < hint <= length:
                    break
        except BaseException:
            lines.append(self._take_buffer())
            self._buffer = b"".join(lines)  # the app's own Timeout: the app may read on
            raise
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the lines."""
        while line := self.readline():
            yield line

    # 100 Continue -------------------------------------------------------------------------------------

    def set_hundred_continue_response_headers(self, headers: list[tuple[str, str]]) -> None:
        """Put these fields into the 100 Continue that the first read sends. Switches: never."""
        head = continue_head(headers)
        if self._continue:
            self._continue = head

    def send_hundred_continue_response(self) -> None:
        """Send the 100 Continue now, unless the client waits for none or has it already.

        Switches: if the peer reads slowly.
        """
        if self._continue:
            head, self._continue = self._continue, None
            self._link.send_interim(head)

    def send_continue(self, headers: list[tuple[str, str]]) -> None:
        """Send a 100 Continue with these fields, whether the client waits for one, has one already, or asked for none.

        For protocols in several steps: behind a chunked body that was read to its end, another one is read then. Not
        to HTTP/1.0, which has no interim responses. Switches: if the peer reads slowly. Raises AppError for fields that
        can't be sent.
        """
        self._continue = None
        self._link.send_interim(continue_head(headers))
        framing = self._framing
        if isinstance(framing, ChunkedFraming) and framing.done:
            self._ahead = framing.restart()

    @property
    def is_unusable(self) -> bool:
        """Return True if the bytes that follow are unknown: the body failed, or the client was never told to send it.

        RFC 9110 §10.1.1: such a client may send the body or not.
        """
        return self.failed is not None or self._continue is not None

    def has_more_than(self, limit: int) -> bool:
        """Return True if more than `limit` bytes of the body are known to be still to come."""
        return self._framing.wants() - len(self._ahead) > limit

    def end(self) -> None:
        """The request is over: a later read must not get bytes of the next request."""
        if self.failed is None:
            self.failed = PeerGone("the request is over: its body can be read no more")

    def response_begun(self) -> None:
        """The final head goes out: no interim response can follow it."""
        # b"" and not None: a client that was never told to continue makes the connection unusable (RFC 9110 §10.1.1).
        if self._continue is not None:
            self._continue = b""

    # Below -----------------------------------------------------------------------------------------

    @property
    def framing(self) -> BodyFraming:
        """The framing, for discarding the part of the body that the app did not read."""
        return self._framing

    def take_ahead(self) -> bytes:
        """Take the bytes that were received and not given to the framing yet."""
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
            self.failed = BodyError(408, "the body came too slowly (body_timeout, body_min_rate)")
            raise self.failed from None
        except ProtocolError as error:
            self.failed = BodyError(error.status, error.reason)
            raise self.failed from error
        except PeerGone as error:
            self.failed = error
            raise
        return b""


class _EmptyInput(RequestInput):
    """The body of a request without one."""

    __slots__ = ()

    def _next(self) -> bytes:
        return b""


# One for all requests: it has no state, and never reads from its link.
NO_BODY: Final[RequestInput] = _EmptyInput(None, LengthFraming(0), b"", False)  # type: ignore[arg-type]
