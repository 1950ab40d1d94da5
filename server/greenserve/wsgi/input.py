"""wsgi.input: the body of a request as a file that ends where the body does.

Reads through a framing (http1/) from a Link, as the app asks and never ahead of it. Sends the 100 Continue
that a client waits for at the app's first read, or when the app says so. The invariant: not a byte past the
body is ever handed out or swallowed; what came behind it is in `rest`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from greenserve.errors import BodyError, PeerGone, ProtocolError
from greenserve.http1 import CONTINUE, BodyFraming, LengthFraming, continue_head
from greenserve.wsgi.link import Link


class RequestInput:
    """The body of one request. Every read switches when the bytes asked for have not come yet.

    Reads raise BodyError (an OSError) when the body is malformed, too long or too slow, and PeerGone (a
    ConnectionError) when the client went away; the connection is closed after either.
    """

    __slots__ = ("_ahead", "_at", "_buffer", "_continue", "_framing", "_link", "failed", "received")

    def __init__(self, link: Link, framing: BodyFraming, ahead: bytes, expects_continue: bool) -> None:
        """`ahead`: what was received behind the head already."""
        self._link = link
        self._framing = framing
        self._ahead = ahead
        self._buffer = b""  # content that came, of which the app has read up to `_at`
        self._at = 0
        # What to send before the first byte is waited for; None once sent, or when nobody asked.
        self._continue: bytes | None = CONTINUE if expects_continue and not ahead else None
        self.failed: BodyError | PeerGone | None = None
        self.received = 0  # bytes of content so far

    # PEP 3333 --------------------------------------------------------------------------------------

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes, fewer only at the end of the body; all of it when negative or None."""
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
            self._buffer = b"".join(pieces)  # a Timeout of the app's own: it may read on
            raise
        if size is None or size < 0 or missing >= 0:
            return b"".join(pieces)
        # The last piece holds more than was asked for.
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
        """The lines that are left; about `hint` bytes of them if that is positive."""
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
            self._buffer = b"".join(lines)  # a Timeout of the app's own: it may read on
            raise
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Line by line."""
        while line := self.readline():
            yield line

    # 100 Continue -------------------------------------------------------------------------------------

    def set_hundred_continue_response_headers(self, headers: list[tuple[str, str]]) -> None:
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

    def has_more_than(self, limit: int) -> bool:
        """Whether more than `limit` bytes of the body are still to come, as far as that is known."""
        return self._framing.wants() - len(self._ahead) > limit

    def end(self) -> None:
        """Told when the request is over: what an app still reads then would be the next request's."""
        if self.failed is None:
            self.failed = PeerGone("the request is over: its body can be read no more")

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
    """The body of a request that has none."""

    __slots__ = ()

    def _next(self) -> bytes:
        return b""


# One for all requests: it holds nothing, and never reads from its link.
NO_BODY: Final[RequestInput] = _EmptyInput(None, LengthFraming(0), b"", False)  # type: ignore[arg-type]
