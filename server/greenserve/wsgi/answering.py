"""The answer of one request on its way out: the head with the first bytes, pieces, files, the end; or an error.

The half of an Exchange that sends; exchange.py is the half that calls the app. The invariants: one head goes out and no
second, its length is kept or the connection closes, and nothing follows the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenserve.errors import AppError, PeerGone
from greenserve.http1 import AnswerHead, AppHead, RequestHead, answer_head, chunk, encode_error
from greenserve.wsgi.file_wrapper import FileWrapper
from greenserve.wsgi.forked import end_if_forked
from greenserve.wsgi.input import NO_BODY, RequestInput
from greenserve.wsgi.link import Link
from greenserve.wsgi.service import Service
from greenserve_hub import forks

log = logging.getLogger("greenserve.error")

_JOIN_BELOW: Final = 32 * 1024  # bytes up to which copying is cheaper than a second send


class Answering:
    """What an Exchange sends with, and what of it the connection has to know afterwards. Made by it alone."""

    # Defaults on the class: few exchanges touch them.
    status = 0  # as it went out; 0 while nothing has
    bytes_sent = 0  # content, without heads and chunk sizes
    answer: AnswerHead | None = None
    is_cut_off = False  # part of an answer is out whose end the client cannot tell from its middle
    _given: AppHead | None = None  # by start_response
    _is_full = False  # the client takes no more content: the length is reached, or none is due
    _is_over = False  # the answer has its end, or never will
    _may_cut = False  # a file's end is its end or that of the length, whichever comes first

    service: Service
    link: Link
    head: RequestHead
    input: RequestInput
    keep_alive: bool
    posthooks: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]]

    def _answer(self, result: Iterable[bytes]) -> None:
        """Send what the app returned, and close it on every path."""
        try:
            if result is None:
                raise AppError("the app returned None instead of an iterable of bytes (PEP 3333)")
            if type(result) is FileWrapper:
                self._send_file(result)
            else:
                self._send_each(result)
            self._end()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _send_each(self, result: Iterable[bytes]) -> None:
        sized = getattr(result, "__len__", None)
        known = sized is not None and sized() == 1
        for piece in result:
            if self._is_over:
                continue  # upgraded by the iterable itself, which runs on to its end: what it yields is for nobody
            if type(piece) is not bytes:
                piece = exact_bytes(piece)  # the same, without a class of its own
            if piece:
                if known and self.answer is None:
                    self._begin(len(piece))
                self._send(piece)
                if self._is_full:
                    return  # an endless iterable would go on for ever, with nothing that waits for the client

    def _begin(self, length: int | None) -> AnswerHead:
        """Make the head; it goes out with the first bytes of the body."""
        given = self._given
        if given is None:
            raise AppError("the app sent content before it called start_response() (PEP 3333)")
        service = self.service
        date_line = service.date_line
        head = self.head
        keep_alive = self.keep_alive and service.keep_alive
        if self.input is not NO_BODY:
            keep_alive = (
                keep_alive
                and not self.input.is_unusable
                and not self.input.has_more_than(service.discard_limit)
            )
            self.input.answer_begun()
        self.answer = answer = answer_head(
            given, head.method, head.http11, keep_alive, length, date_line(), service.server_line
        )
        self.keep_alive = answer.keep_alive
        return answer

    def _send_whole(self, body: bytes) -> None:
        """The whole answer is there: one send, which need not wait for a green thread."""
        if type(body) is not bytes:
            body = exact_bytes(body)
        size = len(body)
        answer = self._begin(size)
        self.status = answer.status
        length = answer.length
        if answer.bodyless:
            body = b""
        elif length != size:
            assert length is not None
            body = self._cut(body, length)
            self.bytes_sent = len(body)
            self._check_length(length)
        else:
            self.bytes_sent = size
        if not self.posthooks:
            self.link.send_last(answer.data, body)
        elif body:
            self.link.send_pieces(answer.data, body)
        else:
            self.link.send(answer.data)

    def _send(self, data: bytes) -> None:
        """One piece, flushed at once, with the head if it is the first."""
        answer = self.answer
        start = b""
        if answer is None:
            answer = self._begin(None)
        if not self.status:
            self.status = answer.status
            start = answer.data
        if answer.bodyless or self._is_full:
            self._is_full = True
            self.link.send(start)  # of nothing too: write() in a loop has to give way now and then
            return
        if answer.length is not None and self.bytes_sent + len(data) > answer.length:
            data = self._cut(data, answer.length - self.bytes_sent)
        self.bytes_sent += len(data)
        if answer.chunked and data:
            data = chunk(data)
        if len(data) < _JOIN_BELOW:
            if start or data:
                self.link.send(start + data)
        elif start:
            self.link.send_pieces(start, data)
        else:
            self.link.send(data)

    def _end(self) -> None:
        """The iterable is exhausted: send what is still owed."""
        if forks.last is not None:
            end_if_forked(self)
        if self._is_over:
            return
        answer = self.answer
        if answer is None:
            self._send_whole(b"")
        elif not self.status:
            self.status = answer.status
            self.link.send(answer.data)
        elif answer.chunked:
            self.link.send(b"0\r\n\r\n")
        if answer is not None and answer.length is not None:
            self._check_length(answer.length)
        self._is_over = True  # what close() might write would be read as the next answer

    def _cut(self, data: bytes, room: int) -> bytes:
        if len(data) > room:
            # More would be read as the next answer.
            self._is_full = True
            if not self._may_cut:
                log.error(
                    "%s %s: the app sent more than its Content-Length of %d; cut, and the connection closed",
                    self.head.method,
                    self.head.target,
                    self.bytes_sent + room,
                )
                self.keep_alive = False
        return data[:room]

    def _check_length(self, length: int) -> None:
        if self.bytes_sent < length:
            log.error(
                "%s %s: the app sent %d bytes, less than its Content-Length of %d; connection closed",
                self.head.method,
                self.head.target,
                self.bytes_sent,
                length,
            )
            self.keep_alive = False

    def _send_file(self, wrapper: FileWrapper) -> None:
        """A file, to its end or that of the length: by sendfile(2) where that is to be had, else block by block."""
        self._may_cut = True  # PEP 3333, "File Handling"
        region = wrapper.region() if self.service.sendfile and self.answer is None else None
        # Without a size: empty, or one of those in /proc, which don't know theirs.
        if region is None or not region[2]:
            self._send_each(wrapper)
            return
        fd, offset, count = region
        answer = self._begin(count)
        if answer.bodyless:
            return
        assert answer.length is not None
        self.status = answer.status
        self.link.send(answer.data)
        try:
            self.bytes_sent = self.link.send_file(fd, offset, min(count, answer.length))
        except OSError as error:
            if isinstance(error, PeerGone):
                raise
            # The head is out with its length; the file's blocks follow in the ordinary way.
            self._send_each(wrapper)

    def _send_error(self, status: int, reason: str, *extra: tuple[str, str]) -> None:
        if self.status:
            return  # part of another answer is out: the client sees it end too early
        self.status = status
        service = self.service
        head_only = self.head.method == "HEAD"
        head, content = encode_error(
            status, reason, service.date_line(), service.server_line, head_only=head_only, extra=extra
        )
        self.bytes_sent = len(content)
        try:
            self.link.send(head + content)
        except BaseException as error:  # client gone, or time run out a second time
            log.debug("%s %s: not answered %d: %r", self.head.method, self.head.target, status, error)


def join(pieces: list[bytes]) -> bytes:
    """The pieces of a list as one. Raises AppError."""
    if {*map(type, pieces)} <= {bytes}:
        return b"".join(pieces)
    return b"".join(map(exact_bytes, pieces))  # join itself takes any buffer


def exact_bytes(piece: object) -> bytes:
    """The bytes of an object that is bytes, without what a class of its own makes of them. Raises AppError."""
    if not issubclass(type(piece), bytes):
        raise AppError(f"the app gave {type(piece).__name__} {_short(piece)} where PEP 3333 wants bytes")
    return bytes.__bytes__(piece)  # type: ignore[arg-type]  # seen above


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
