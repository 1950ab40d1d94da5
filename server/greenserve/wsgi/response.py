"""The response to one request: the head with the first bytes, pieces, files, the end; or an error.

Has the functions that the app calls (PEP 3333), and puts what they are given into bytes for a Link, with the functions
of http1/. Made and led by an Exchange. The invariants: only one head goes out, its length is kept or the connection
closes, and nothing follows the end.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenserve.errors import AppError, PeerGone
from greenserve.http1 import (
    AppHead,
    RequestHead,
    ResponseHead,
    check_head,
    chunk,
    encode_error,
    hints_head,
    response_head,
    with_field,
)
from greenserve.logs.request_ids import RequestIds
from greenserve.wsgi.content import exact_bytes
from greenserve.wsgi.environ.file_wrapper import FileWrapper
from greenserve.wsgi.environ.forwarding import is_of_proxies
from greenserve.wsgi.input import RequestInput
from greenserve.wsgi.link import Link
from greenserve.wsgi.service import Service

log = logging.getLogger("greenserve.error")

_EVENTS: Final = re.compile(rb"\r\ncontent-type:[ \t]*text/event-stream[ \t]*[;\r]", re.IGNORECASE)


class Response:
    """The response to one request. Its methods raise AppError if the app breaks PEP 3333, and the errors of a Link."""

    __slots__ = (
        "_failure",
        "_given",
        "_is_full",
        "body",
        "bytes_sent",
        "head",
        "is_cut_off",
        "is_over",
        "keep_alive",
        "kept_lines",
        "link",
        "request",
        "service",
        "status",
    )

    _failure: BaseException | None  # the app's, after an upgrade; known from then on

    def __init__(self, service: Service, link: Link, request: RequestHead, body: RequestInput | None) -> None:
        """`body` is the request's: one that the app leaves unread may cost the connection. None: it has none."""
        self.service = service
        self.link = link
        self.request = request
        self.body = body
        self.keep_alive = request.keep_alive
        self.head: ResponseHead | None = None  # completed; sent with the first bytes of content
        self.status = 0  # the status code that was sent; 0 before that
        self.bytes_sent = 0  # of content, without heads and chunk sizes
        self.is_over = False  # its end was sent, or never will be
        self.is_cut_off = False  # a part is sent, and the client can't see that the rest is missing
        self.kept_lines = b""  # whole lines that the head gets as well if the connection stays open
        self._given: AppHead | None = None  # by the app, through start_response
        self._is_full = False  # no more content may be sent: the length is reached, or no content is allowed

    @property
    def is_upgraded(self) -> bool:
        """Return True if the connection has left HTTP: the app's response is ignored."""
        return self.status == 101

    # What the app calls ----------------------------------------------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable". Switches: never.

        Checks and copies status and headers, so that an error points to the app's own line, and only checked values
        are sent.
        """
        if self.is_over and self.is_upgraded:
            if status.startswith("5"):  # a framework has turned the view's error into this
                self._failure = AppError(f"the app answered {status} after the upgrade")
            return self.write
        if exc_info is not None:
            try:
                if self.head is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame
        elif self._given is not None:
            raise AppError("start_response() called a second time without exc_info (PEP 3333)")
        self._given = check_head(status, headers)
        return self.write

    def write(self, data: bytes) -> None:
        """The imperative way to send (PEP 3333, "The write() Callable").

        Switches: if the client reads slowly.
        """
        if type(data) is not bytes:
            data = exact_bytes(data)
        if self.is_over:
            if self.is_upgraded:
                return
            raise AppError("write() was called after the end of the response (PEP 3333)")
        if data:
            self._send(data)

    def early_hints(self, headers: list[tuple[str, str]]) -> None:
        """Send a 103 with these fields at once (RFC 8297); environ["wsgi.early_hints"]. May be called repeatedly.

        Sends nothing to HTTP/1.0, which has no interim responses, nor after the response has begun: late hints are
        useless, but no reason to fail (as in gunicorn). A client that mistakes a 103 for the response would match each
        later response to the wrong request, so the connection closes after this one, unless a browser asked.

        Switches: if the client reads slowly. Raises AppError for fields that cannot be sent, PeerGone.
        """
        head = hints_head(headers)
        if self.request.http11 and self.head is None and not self.is_over:
            self.keep_alive = self.keep_alive and self._is_from_a_browser()
            self.link.send_interim(head)

    def _is_from_a_browser(self) -> bool:
        """Return True if a browser asks for a page, and no proxy in between shows."""
        fields = [(name.lower(), value) for name, value in self.request.fields]
        modes = [value for name, value in fields if name == "sec-fetch-mode"]
        return (
            modes == ["navigate"]  # no script can set it
            and self.link.peer != ""  # a unix socket's other end is a proxy
            and not any(name == "via" or is_of_proxies(name) for name, _ in fields)
        )

    # What the Exchange calls -----------------------------------------------------------------------------

    def send_whole(self, content: bytes, at_once: object) -> None:
        """Send a response with all its content: at once if `at_once` is true, else when the exchange is over."""
        if type(content) is not bytes:
            content = exact_bytes(content)
        size = len(content)
        head = self._begin(size)
        self.status = head.status
        if head.length == size:
            self.bytes_sent = size
        elif head.bodyless:
            content = b""
        else:
            assert head.length is not None
            content = self._cut(content, head.length)
            self.bytes_sent = len(content)
            self._check_length(head.length)
        if not at_once:
            self.link.send_last(head.data, content)  # one send, which need not wait for a green thread
        elif content:
            self.link.send_pieces(head.data, content)
        else:
            self.link.send(head.data)

    def send_each(self, pieces: Iterable[bytes], at_once: object, may_cut: bool = False) -> None:
        """Send each piece of content as it comes. `may_cut`: to the end or to the length, whichever comes first.

        Frameworks give most responses as one piece, in an iterable that they close: unless `at_once` is true, it goes
        out as the list of other apps does, and not before what other requests of this turn have to send.
        """
        sized = getattr(pieces, "__len__", None)
        known = sized is not None and sized() == 1
        for piece in pieces:
            if self.is_over:
                continue  # the iterable has upgraded the connection: it runs to its end, but nothing more is sent
            if type(piece) is not bytes:
                piece = exact_bytes(piece)
            if piece:
                if self.head is None:
                    size = len(piece)
                    head = self._begin(size if known else None)
                    if head.length == size and not at_once:
                        self.status = head.status
                        self.bytes_sent = size
                        self.link.send_soon(head.data, piece)
                        continue
                self._send(piece, may_cut)
                if self._is_full:
                    return  # or an endless iterable would run for ever, without a wait for the client

    def send_file(self, wrapper: FileWrapper, at_once: object = True) -> None:
        """Send a file, to its end or that of the length: by sendfile(2) where possible, else block by block."""
        region = wrapper.region() if self.service.sendfile and self.head is None else None
        # A size of 0: the file is empty, or one in /proc, where sizes are unknown.
        if region is None or not region[2]:
            self.send_each(wrapper, at_once, may_cut=True)  # PEP 3333, "File Handling"
            return
        fd, offset, count = region
        head = self._begin(count)
        if head.bodyless:
            return
        assert head.length is not None
        self.status = head.status
        self.link.send(head.data)
        try:
            self.bytes_sent = self.link.send_file(fd, offset, min(count, head.length))
        except OSError as error:
            if isinstance(error, PeerGone):
                raise
            # The head is out with its length; the file's blocks follow in the ordinary way.
            self.send_each(wrapper, at_once, may_cut=True)

    def end(self, at_once: object) -> None:
        """Send the rest of the framing; the app has given all content. `at_once` as in send_whole."""
        if self.is_over:
            return
        head = self.head
        if head is None:
            head = self._begin(0)
            self.status = head.status
            if at_once:
                self.link.send(head.data)
            else:
                self.link.send_soon(head.data, b"")
        elif not self.status:
            self.status = head.status
            self.link.send(head.data)
        elif head.chunked:
            self.link.send(b"0\r\n\r\n")
        if head is not None and head.length is not None:
            self._check_length(head.length)
        self.is_over = True  # bytes that the iterable's close() writes would be read as the next response

    def flush(self) -> None:
        """Send the head, before there is any content; its length is unknown then, unless the app has said it.

        Switches: if the client reads slowly.
        """
        if not self.status and not self.is_over:
            head = self.head or self._begin(None)
            self.status = head.status
            self.link.send(head.data)

    @property
    def is_event_stream(self) -> bool:
        """Return True if a stream of server-sent events has begun (HTML, "Server-sent events")."""
        return self.status == 200 and self.head is not None and _EVENTS.search(self.head.data) is not None

    def end_stream(self) -> None:
        """End a response that its app would not end, so that its client sees an end and no failure. Raises nothing."""
        if self.status and not self.is_over and not (self.head and self.head.length):
            try:
                self.is_cut_off = False
                self.end(True)
            except BaseException as error:  # the client is gone, or a stop has lost its patience
                log.debug("%s %s: could not end: %r", self.request.method, self.request.target, error)

    def leave(self) -> None:
        """Note that the connection has left HTTP, with a 101."""
        self.is_over = True
        self.status = 101
        self.keep_alive = False
        self._failure = None

    def fail(self, error: BaseException) -> None:
        """Note that the app failed: no more content comes, and the response may be cut off."""
        self.keep_alive = False
        if self.is_upgraded:
            self._failure = error
        head = self.head
        if self.status and head is not None and not head.bodyless and not self.is_over:
            self.is_cut_off = head.length is None and not head.chunked

    def take_failure(self) -> BaseException | None:
        """Return what the app has raised, or answered, after an upgrade, and forget it: its traceback holds much."""
        failure, self._failure = self._failure, None
        return failure

    def send_error(self, status: int, reason: str, *extra: tuple[str, str]) -> None:
        """Send an error in place of the response, unless a part of that is sent. Raises nothing."""
        if self.status:
            return  # the client sees that the response ends too early
        self.status = status
        service = self.service
        server_line = service.server_line
        if service.request_ids is not None:
            server_line += service.request_ids.line()
        head_only = self.request.method == "HEAD"
        head, content = encode_error(
            status, reason, service.date_line(), server_line, head_only=head_only, extra=extra
        )
        self.bytes_sent = len(content)
        try:
            self.link.send(head + content)
        except BaseException as error:  # the client is gone, or the time has run out a second time
            log.debug(
                "%s %s: could not send the %d: %r", self.request.method, self.request.target, status, error
            )

    # Below ------------------------------------------------------------------------------------------------

    def _send(self, data: bytes, may_cut: bool = False) -> None:
        """Send a piece of content at once, with the head if it is the first."""
        head = self.head
        start = b""
        if head is None:
            head = self._begin(None)
        if not self.status:
            self.status = head.status
            start = head.data
        if head.bodyless or self._is_full:
            self._is_full = True
            self.link.send(start)  # even if it is empty: write() in a loop has to let others run
            return
        if head.length is not None and self.bytes_sent + len(data) > head.length:
            data = self._cut(data, head.length - self.bytes_sent, may_cut)
        self.bytes_sent += len(data)
        if head.chunked and data:
            data = chunk(data)
        if start:
            self.link.send_pieces(start, data)
        elif data:
            self.link.send(data)

    def _begin(self, length: int | None) -> ResponseHead:
        """Make the head. `length` is that of the content in bytes, if it is known."""
        given = self._given
        if given is None:
            raise AppError("the app sent content before it called start_response() (PEP 3333)")
        service = self.service
        request = self.request
        keep_alive = self.keep_alive and service.keep_alive
        if self.body is not None:
            keep_alive = self._leave_body(self.body, keep_alive)
        self.head = head = response_head(
            given,
            request.method,
            request.http11,
            keep_alive,
            length,
            service.date_line(),
            service.server_line,
        )
        if service.request_ids is not None:
            self.head = head = _with_id(head, service.request_ids)
        self.keep_alive = head.keep_alive
        if self.kept_lines and head.keep_alive:
            self.head = head = with_field(head, b"\r\nkeep-alive:", self.kept_lines)
        return head

    def _leave_body(self, body: RequestInput, keep_alive: bool) -> bool:
        """The final head goes out. Return True if the connection can be kept after what of the body is not read."""
        keep_alive = (
            keep_alive and not body.is_unusable and not body.has_more_than(self.service.discard_limit)
        )
        body.response_begun()
        return keep_alive

    def _cut(self, data: bytes, room: int, may_cut: bool = False) -> bytes:
        if len(data) > room:
            # The client would read the excess as the next response.
            self._is_full = True
            if not may_cut:
                log.error(
                    "%s %s: the app sent more than its Content-Length of %d: cut off, the connection closes",
                    self.request.method,
                    self.request.target,
                    self.bytes_sent + room,
                )
                self.keep_alive = False
        return data[:room]

    def _check_length(self, length: int) -> None:
        if self.bytes_sent < length:
            log.error(
                "%s %s: the app sent %d bytes, less than its Content-Length of %d; the connection closes",
                self.request.method,
                self.request.target,
                self.bytes_sent,
                length,
            )
            self.keep_alive = False


def _with_id(head: ResponseHead, ids: RequestIds) -> ResponseHead:
    """Return the head with the field that tells the request's id, if one is sent."""
    line = ids.line()
    return with_field(head, ids.sought, line.encode()) if line else head
