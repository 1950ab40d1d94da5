"""One request and its answer: calls the app, sends what it gives, and survives whatever it does.

Runs on a green thread of the pool; knows a Link and no socket. net/ makes one for each request and reads from
it, when `run` is over, whether the connection can serve another.

Invariants: exactly one head goes out, or none and the connection closes; the iterable's close() is called on
every path (PEP 3333); `run` raises nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenlet import GreenletExit

from greenserve.errors import AppError, PeerGone, ProtocolError
from greenserve.http1 import AnswerHead, BodyFraming, RequestHead, answer_head, chunk, encode_error
from greenserve.wsgi.file_wrapper import FileWrapper
from greenserve.wsgi.input import NO_BODY, RequestInput
from greenserve.wsgi.link import Link
from greenserve.wsgi.service import Service
from greenserve_hub.loop import get_hub

log = logging.getLogger("greenserve.error")

_JOIN_BELOW: Final = 32 * 1024  # bytes up to which copying is cheaper than a second send


class RequestTimeout(BaseException):
    """Raised in the green thread of a request that took longer than `request_timeout`.

    No Exception, so that an app's `except Exception` lets it pass.
    """


class Exchange:
    """One request and its answer."""

    # Defaults on the class: few exchanges touch them.
    status = 0  # as it went out; 0 while nothing has
    bytes_sent = 0  # content, without heads and chunk sizes
    began = 0.0
    seconds = 0.0
    _fields: list[tuple[str, str]]
    input: RequestInput
    _is_full = False  # the client takes no more content: the length is reached, or none is due
    _is_over = False

    def __init__(
        self,
        service: Service,
        link: Link,
        head: RequestHead,
        environ: dict[str, Any],
        framing: BodyFraming | None,
        ahead: bytes,
    ) -> None:
        """`framing` is None for a request without a body; `ahead` is what was received of it already."""
        self.service = service
        self.link = link
        self.head = head
        self.environ = environ
        self.keep_alive = head.keep_alive
        self.answer: AnswerHead | None = None
        self.is_cut_off = False  # part of an answer is out whose end the client cannot tell from its middle
        self._status: str | None = None
        if framing is None:
            self.input = NO_BODY
        else:
            self.input = RequestInput(link, framing, ahead, head.expect_continue)
            environ["greenserve.trailers"] = framing.trailers
        self.posthooks: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        environ["wsgi.input"] = self.input
        environ["greenserve.posthooks"] = self.posthooks
        environ["greenserve.client_disconnected"] = link.is_peer_gone

    # What the access log reads, besides `began` and `seconds`, which the server sets for it ---------------

    @property
    def peer(self) -> str:
        """The client's address."""
        return self.link.peer

    @property
    def peer_port(self) -> str:
        """The client's port."""
        return self.link.peer_port

    @property
    def method(self) -> str:
        """As sent."""
        return self.head.method

    @property
    def target(self) -> str:
        """As sent."""
        return self.head.target

    @property
    def version(self) -> str:
        """HTTP/1.0 or HTTP/1.1."""
        return "HTTP/1.1" if self.head.http11 else "HTTP/1.0"

    @property
    def bytes_received(self) -> int:
        """Content that the app has read."""
        return self.input.received

    # PEP 3333 ------------------------------------------------------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable". Switches: never."""
        if exc_info is not None:
            try:
                if self.answer is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame
        elif self._status is not None:
            raise AppError("start_response() called a second time without exc_info (PEP 3333)")
        if not isinstance(status, str):
            raise AppError(f"status must be a str like '200 OK', not {type(status).__name__} (PEP 3333)")
        self._status = status
        self._fields = headers
        return self.write

    def write(self, data: bytes) -> None:
        """The imperative way to send (PEP 3333, "The write() Callable").

        Switches: when the client reads slowly.
        """
        _check_bytes(data)
        if self._is_over:
            raise AppError("write() was called after the request's end (PEP 3333)")
        if data:
            self._send(data)

    # The run -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Call the app, send its answer, run the post-hooks. Switches: as the app does. Raises nothing."""
        try:
            app = self.service.app
            result = app(self.environ, self.start_response)
            if type(result) is list and self.answer is None:  # the common case: the whole body, in one list
                self._send_whole(result[0] if len(result) == 1 else _join(result))
            else:
                self._answer(result)
        except BaseException as error:  # also what is no Exception: one request must not end the others
            self._failed(error)
        if self.posthooks:
            self._run_posthooks()
        self._is_over = True
        if self.input is not NO_BODY:
            if self.input.is_unusable:
                # Nobody can tell where the body ends, or if it comes (RFC 9110 §10.1.1).
                self.keep_alive = False
            self.input.end()

    def _run_posthooks(self) -> None:
        for hook in self.posthooks:
            try:
                fn, args, kwargs = hook
                fn(self.environ, *args, **kwargs)
            except BaseException as error:
                _pass_on_interrupt(error)
                log.exception("post-hook %r of %s %s failed", hook, self.head.method, self.head.target)

    def _answer(self, result: Iterable[bytes]) -> None:
        """Send what the app returned, and close it on every path."""
        try:
            if type(result) is FileWrapper and self._send_file(result):
                pass
            elif result is None:
                raise AppError("the app returned None instead of an iterable of bytes (PEP 3333)")
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
            if type(piece) is not bytes:
                _check_bytes(piece)
            if piece:
                if known and self.answer is None:
                    self._begin(len(piece))
                self._send(piece)
                if self._is_full:
                    return  # an endless iterable would go on for ever, with nothing that waits for the client

    def _begin(self, length: int | None) -> AnswerHead:
        """Make the head; it goes out with the first bytes of the body."""
        if self._status is None:
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
            self._status,
            self._fields,
            head.method,
            head.http11,
            keep_alive,
            length,
            date_line(),
            service.server_line,
        )
        self.keep_alive = answer.keep_alive
        return answer

    def _send_whole(self, body: bytes) -> None:
        """The whole answer is there: one send, which need not wait for a green thread."""
        if type(body) is not bytes:
            _check_bytes(body)
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
        answer = self.answer
        if answer is None:
            self._send_whole(b"")
            return
        if not self.status:
            self.status = answer.status
            self.link.send(answer.data + (b"0\r\n\r\n" if answer.chunked else b""))
        elif answer.chunked:
            self.link.send(b"0\r\n\r\n")
        if answer.length is not None and not answer.bodyless:
            self._check_length(answer.length)

    def _cut(self, data: bytes, room: int) -> bytes:
        if len(data) > room:
            # More would be read as the next answer.
            log.error(
                "%s %s: the app sent more than its Content-Length; cut", self.head.method, self.head.target
            )
            self.keep_alive = False
            self._is_full = True
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

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send a file by sendfile(2); False where that is not to be had and nothing was sent."""
        region = wrapper.region() if self.service.sendfile else None
        if region is None or self.status:
            return False
        fd, offset, count = region
        if not count:
            return False  # empty, or one of those in /proc, which don't know their size
        answer = self.answer or self._begin(count)
        if answer.bodyless or answer.chunked:
            return answer.bodyless
        if answer.length is not None:
            count = min(count, answer.length)
        self.status = answer.status
        self.link.send(answer.data)
        try:
            self.bytes_sent = self.link.send_file(fd, offset, count)
        except OSError as error:
            if isinstance(error, PeerGone):
                raise
            # The head is out with its length; the file's blocks follow in the ordinary way.
            self._send_each(wrapper)
        return True

    # When it went wrong ------------------------------------------------------------------------------------

    def _failed(self, error: BaseException) -> None:
        self.keep_alive = False
        answer = self.answer
        if self.status and answer is not None and not answer.bodyless:
            self.is_cut_off = answer.length is None and not answer.chunked
        _pass_on_interrupt(error)
        if isinstance(error, PeerGone):
            log.debug("%s %s: client gone: %s", self.head.method, self.head.target, error)
            return
        if isinstance(error, ProtocolError):
            log.info("%s %s: %s", self.head.method, self.head.target, error)
            self._send_error(error.status, error.reason)
        elif isinstance(error, RequestTimeout):
            log.error(
                "%s %s: ended after request_timeout", self.head.method, self.head.target, exc_info=error
            )
            self._send_error(504, "The request took too long.")
        elif isinstance(error, GreenletExit):
            self._send_error(503, "The server is stopping.")
        else:
            log.error("%s %s: error in the app", self.head.method, self.head.target, exc_info=error)
            self._send_error(500, "")

    def _send_error(self, status: int, reason: str) -> None:
        if self.status:
            return  # part of another answer is out: the client sees it end too early
        self.status = status
        service = self.service
        data = encode_error(
            status, reason, service.date_line(), service.server_line, head_only=self.head.method == "HEAD"
        )
        self.bytes_sent = len(data) - data.index(b"\r\n\r\n") - 4
        try:
            self.link.send(data)
        except BaseException as error:  # client gone, or time run out a second time
            log.debug("%s %s: not answered %d: %r", self.head.method, self.head.target, status, error)


def _join(pieces: Iterable[bytes]) -> bytes:
    try:
        return b"".join(pieces)
    except TypeError:
        for piece in pieces:
            _check_bytes(piece)
        raise


def _pass_on_interrupt(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        get_hub().throw_main(error)  # Ctrl-C is for the program, whoever was running


def _check_bytes(piece: object) -> None:
    if not isinstance(piece, bytes):
        raise AppError(f"the app gave {type(piece).__name__} {_short(piece)} where PEP 3333 wants bytes")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
