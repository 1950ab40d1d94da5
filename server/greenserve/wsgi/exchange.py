"""One request and its response: calls the app, has its Response send what the app gives, and survives every error.

Runs on a green thread of the pool. Knows PEP 3333, and neither a socket nor the bytes of a protocol: these are the
Response's. net/ makes an Exchange for each request, and after `run` it reads whether the connection can serve another.

Invariants: exactly one head goes out, or none and the connection closes; the iterable's close() is called on every path
(PEP 3333); `run` raises nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import GreenletExit

from greenserve.errors import AppError, PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, RequestHead
from greenserve.logs.record import Record, T
from greenserve.wsgi.content import join
from greenserve.wsgi.environ.file_wrapper import FileWrapper
from greenserve.wsgi.environ.forwarding import Peer
from greenserve.wsgi.forked import end_if_forked
from greenserve.wsgi.input import NO_BODY, RequestInput
from greenserve.wsgi.link import Link
from greenserve.wsgi.response import Response
from greenserve.wsgi.service import Service
from greenserve_hub import forks
from greenserve_hub.loop.current import get_hub

log = logging.getLogger("greenserve.error")


class RequestTimeout(BaseException):
    """Raised in the green thread of a request that took longer than `request_timeout`, or than its set_timeout().

    It is not an Exception, so an app's `except Exception` lets it pass.
    """


class RequestCancelled(BaseException):
    """Raised in the green thread of a request whose client has left (`cancel_on_disconnect`). Not an Exception."""


class StreamEnded(GreenletExit):
    """Raised in the green thread of an event stream that the server ends as it stops: its client comes back."""


class Exchange:
    """One request and its response."""

    __slots__ = (
        "__weakref__",  # by which tests see that nothing holds it for longer than its request
        "environ",
        "posthooks",
        "response",
    )

    def __init__(
        self,
        service: Service,
        link: Link,
        head: RequestHead,
        environ: dict[str, Any],
        framing: BodyFraming | None = None,
        ahead: bytes = b"",
    ) -> None:
        """`framing` is None for a request without a body; `ahead` are the bytes of the body that came with the head."""
        body = None
        if framing is None:
            environ["wsgi.input"] = NO_BODY
        else:
            environ["wsgi.input"] = body = RequestInput(link, framing, ahead, head.expect_continue)
            environ["greenserve.trailers"] = framing.trailers
        self.environ = environ
        self.response = response = Response(service, link, head, body)  # which keeps what both need
        self.posthooks: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        environ["greenserve.posthooks"] = self.posthooks
        environ["greenserve.client_disconnected"] = link.is_peer_gone
        environ["greenserve.set_timeout"] = link.set_timeout
        environ["wsgi.early_hints"] = response.early_hints
        if "HTTP_UPGRADE" in environ:
            environ["greenserve.upgrade"] = self.upgrade
            environ["greenserve.websocket"] = service.websocket_options
            if framing is None:
                link.offer(environ)

    @property
    def head(self) -> RequestHead:
        """Of the request."""
        return self.response.request

    @property
    def link(self) -> Link:
        """The connection."""
        return self.response.link

    @property
    def input(self) -> RequestInput:
        """The request's body, an empty one if it has none."""
        return self.response.body or NO_BODY

    def __str__(self) -> str:
        """For logs."""
        return f"{self.head.method} {self.head.target}"

    # For logs and dumps ----------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The client's address, as trusted proxies tell it."""
        peer: Peer | None = self.environ.get("greenserve.peer")
        return self.link.peer if peer is None else peer.client

    @property
    def peer_port(self) -> str:
        """The client's port, "" if it is unknown."""
        peer: Peer | None = self.environ.get("greenserve.peer")
        return self.link.peer_port if peer is None else peer.client_port

    def record(self, began: float, seconds: float) -> Record:
        """Return the record for the access log."""
        return self.tell(Record, began, seconds)

    def tell(self, take: Callable[..., T], began: float, seconds: float) -> T:
        """See Finished."""
        response, environ = self.response, self.environ
        head, link, body = response.request, response.link, response.body
        peer: Peer | None = environ.get("greenserve.peer")
        return take(
            link.peer if peer is None else peer.client,
            link.peer_port if peer is None else peer.client_port,
            head.method,
            head.target,
            "HTTP/1.1" if head.http11 else "HTTP/1.0",
            response.status,
            response.bytes_sent,
            0 if body is None else body.received,
            began,
            seconds,
            None,
            environ,
        )

    def upgrade(self, head: bytes, make: Callable[[Any, bytes], Any]) -> Any:
        """Leave HTTP; environ["greenserve.upgrade"] of a request that asks for it. See Link.upgrade.

        The app's response is ignored then. Raises AppError after the response has begun, ProtocolError, PeerGone.
        """
        if self.response.head is not None or self.response.is_over:
            begun = "it is upgraded already" if self.response.is_upgraded else "the response has begun"
            raise AppError(f"{begun}: the connection can't be upgraded any more")

        def begin(connection: Any, ahead: bytes) -> Any:
            self.response.leave()
            self.environ.pop("werkzeug.socket", None)  # the library has it already, or needs none
            return make(connection, ahead)

        return self.link.upgrade(head, begin)

    def offer_socket(self) -> Any:
        """Return the connection as a socket, for code that takes it over, whatever the request asks for.

        Until it is first used the request is HTTP. Only for green threads of the server's hub; in a program without
        green threads in place of OS threads too. Switches: never. Raises ProtocolError, also for a request with a body.
        """
        environ = self.environ
        if "werkzeug.socket" not in environ:
            environ["greenserve.upgrade"] = self.upgrade
            self.link.offer(environ, to_any=True)
        sock = environ["werkzeug.socket"]
        sock.waits_green = True
        return sock

    # The run -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Call the app, send its response, run the post-hooks. Switches: if the app does. Raises nothing."""
        response = self.response
        service = response.service
        environ = self.environ
        if service.request_ids is not None:
            service.request_ids.begin(environ)
        try:
            app = service.app if service.app_of is None else service.app_of(self)
            result = app(environ, response.start_response)
            if forks.last is not None:
                end_if_forked(self)
            if response.is_over:  # it has left HTTP
                _close(result)
            elif type(result) is list and response.head is None:  # the common case: all content, in one list
                response.send_whole(result[0] if len(result) == 1 else join(result), self.posthooks)
            else:
                self._send(result)
                if forks.last is not None:  # by the iterable's close()
                    end_if_forked(self)
        except BaseException as error:  # BaseException too: one request must not end the others
            self._failed(error)
        response.is_over = True
        if self.posthooks:
            self._run_posthooks()
        body = response.body
        if body is not None:
            if body.is_unusable:
                # It is unknown where the body ends, or if it comes (RFC 9110 §10.1.1).
                response.keep_alive = False
            body.end()
        if "greenserve.upgrade" in environ:
            self._end_of_upgrade()

    def _send(self, result: Iterable[bytes]) -> None:
        """Send what the app returned, and close that on every path."""
        try:
            if result is None:
                raise AppError("the app returned None instead of an iterable of bytes (PEP 3333)")
            if type(result) is FileWrapper:
                self.response.send_file(result, self.posthooks)
            else:
                self.response.send_each(result, self.posthooks)
            if forks.last is not None:
                end_if_forked(self)
            self.response.end(self.posthooks)
        finally:
            _close(result)

    def _end_of_upgrade(self) -> None:
        environ = self.environ
        del environ["greenserve.upgrade"]  # or exchange and environ would hold each other
        environ.pop("werkzeug.socket", None)
        environ["wsgi.early_hints"] = _too_late  # a WebSocket keeps environ, and need not keep the response

    def _run_posthooks(self) -> None:
        for hook in self.posthooks:
            try:
                fn, args, kwargs = hook
                fn(self.environ, *args, **kwargs)
                if forks.last is not None:
                    end_if_forked(self)
            except BaseException as error:
                end_if_forked(self, error)
                _pass_on_interrupt(error)
                log.exception("post-hook %r of %s %s failed", hook, self.head.method, self.head.target)

    # Errors ------------------------------------------------------------------------------------------------

    def _is_an_end(self, error: BaseException) -> bool:
        """Return True if this error is the normal end of an upgraded connection, and not a failure of the app."""
        is_upgraded = self.response.is_upgraded
        if not is_upgraded or isinstance(error, StopIteration):
            return is_upgraded
        if type(error) is ConnectionError and not error.args:
            return True  # engineio raises it at every end, even if the client is still there
        return (
            isinstance(error, ConnectionError) and self.link.is_peer_gone()
        )  # otherwise it may come from a database

    def _failed(self, error: BaseException) -> None:
        end_if_forked(self, error)
        self.response.fail(error)
        _pass_on_interrupt(error)
        if isinstance(error, PeerGone) or self._is_an_end(error):
            log.debug("%s: client gone: %s", self, error)
            return
        if isinstance(error, ProtocolError):
            log.info("%s: %s", self, error)
            self.response.send_error(error.status, error.reason, *error.headers)
        elif isinstance(error, RequestTimeout):
            log.error("%s: %s, and was ended", self, error, exc_info=error)
            self.response.send_error(504, "The request took too long.")
        elif isinstance(error, RequestCancelled):
            log.info("%s: the client has left, and the app was ended", self, exc_info=error)
        elif isinstance(error, StreamEnded):
            self.response.end_stream()
        elif isinstance(error, GreenletExit):
            self.response.send_error(503, "The server is stopping.")
        else:
            log.error("%s: error in the app", self, exc_info=error)
            self.response.send_error(500, "")


def _close(result: object) -> None:
    close = getattr(result, "close", None)
    if close is not None:
        close()


def _pass_on_interrupt(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        get_hub().throw_main(error)  # Ctrl-C is for the program, whichever green thread was running


def _too_late(headers: list[tuple[str, str]]) -> None:
    """wsgi.early_hints after an upgrade: does nothing."""
