"""One request and its answer: calls the app, sends what it gives, and survives whatever it does.

Runs on a green thread of the pool; knows a Link and no socket. net/ makes one for each request and reads from
it, when `run` is over, whether the connection can serve another.

Invariants: exactly one head goes out, or none and the connection closes; the iterable's close() is called on
every path (PEP 3333); `run` raises nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit

from greenserve.errors import AppError, PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, RequestHead, check_head, hints_head
from greenserve.wsgi.answering import Answering, exact_bytes, join
from greenserve.wsgi.forked import end_if_forked
from greenserve.wsgi.forwarding import Peer, is_of_proxies
from greenserve.wsgi.input import NO_BODY, RequestInput
from greenserve.wsgi.link import Link
from greenserve.wsgi.service import Service
from greenserve_hub import forks
from greenserve_hub.loop.hub import get_hub

log = logging.getLogger("greenserve.error")


class RequestTimeout(BaseException):
    """Raised in the green thread of a request that took longer than `request_timeout`.

    No Exception, so that an app's `except Exception` lets it pass.
    """


class Exchange(Answering):
    """One request and its answer."""

    messages = None  # of a WebSocket, for the access log
    is_upgraded = False  # the connection has left HTTP: whatever the app answers is for nobody
    failure: BaseException | None = None  # what the app has raised behind an upgrade

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
        if framing is None:
            self.input = NO_BODY
        else:
            self.input = RequestInput(link, framing, ahead, head.expect_continue)
            environ["greenserve.trailers"] = framing.trailers
        self.posthooks = []
        environ["wsgi.input"] = self.input
        environ["greenserve.posthooks"] = self.posthooks
        environ["greenserve.client_disconnected"] = link.is_peer_gone
        environ["wsgi.early_hints"] = self.early_hints
        if "HTTP_UPGRADE" in environ:
            environ["greenserve.upgrade"] = self.upgrade
            environ["greenserve.websocket"] = service.websocket_options
            if framing is None:
                link.offer(environ)

    def __str__(self) -> str:
        """For logs."""
        return f"{self.head.method} {self.head.target}"

    # What the access log reads --------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The client's address, as trusted proxies tell it."""
        peer: Peer | None = self.environ.get("greenserve.peer")
        return self.link.peer if peer is None else peer.client

    @property
    def peer_port(self) -> str:
        """The client's port, "" where it is not known."""
        peer: Peer | None = self.environ.get("greenserve.peer")
        return self.link.peer_port if peer is None else peer.client_port

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
        """PEP 3333, "The start_response() Callable". Switches: never.

        The status and the headers are checked and copied here, so that the error of one which cannot be sent comes
        from the app's own line, and what is sent is what was checked.
        """
        if self.is_upgraded:
            if status.startswith("5"):  # a framework has caught what its view has raised
                self.failure = AppError(f"the app answered {status} behind the upgrade")
            return self.write
        if exc_info is not None:
            try:
                if self.answer is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame
        elif self._given is not None:
            raise AppError("start_response() called a second time without exc_info (PEP 3333)")
        self._given = check_head(status, headers)
        return self.write

    def write(self, data: bytes) -> None:
        """The imperative way to send (PEP 3333, "The write() Callable").

        Switches: when the client reads slowly.
        """
        if type(data) is not bytes:
            data = exact_bytes(data)
        if self._is_over:
            if self.is_upgraded:
                return
            raise AppError("write() was called after the answer's end (PEP 3333)")
        if data:
            self._send(data)

    def early_hints(self, headers: list[tuple[str, str]]) -> None:
        """Send a 103 with these fields at once (RFC 8297); environ["wsgi.early_hints"]. As often as the app likes.

        Nothing is sent to HTTP/1.0, which knows no interim answers, nor once the answer has begun: hints help, and
        an app is not made to fail for help that comes too late. gunicorn has it so. A client that takes a 103 for the
        answer would take each answer behind it for the next one's: the connection closes after this one, unless a
        browser is at its other end.

        Switches: when the client reads slowly. Raises AppError for fields that cannot be sent, PeerGone.
        """
        head = hints_head(headers)
        if self.head.http11 and self.answer is None and not self._is_over:
            self.keep_alive = self.keep_alive and self._is_from_a_browser()
            self.link.send_interim(head)

    def _is_from_a_browser(self) -> bool:
        """Return True if a browser asks for a page, with no proxy in between that could be told from it."""
        return (
            self.environ.get("HTTP_SEC_FETCH_MODE") == "navigate"  # no script can set it
            and self.link.peer != ""  # a unix socket's other end is a proxy
            and not any(name.lower() == "via" or is_of_proxies(name) for name, _ in self.head.fields)
        )

    def upgrade(self, head: bytes, make: Callable[[Any, bytes], Any]) -> Any:
        """Leave HTTP; environ["greenserve.upgrade"] of a request that asks for it. See Link.upgrade.

        What the app answers after it is ignored. Raises AppError once the answer has begun, ProtocolError, PeerGone.
        """
        if self.answer is not None or self._is_over:
            begun = "it is upgraded already" if self.is_upgraded else "the answer has begun"
            raise AppError(f"{begun}: the connection can't be upgraded any more")

        def begin(connection: Any, ahead: bytes) -> Any:
            self.is_upgraded = self._is_over = True
            self.status = 101
            self.keep_alive = False
            self.environ.pop("werkzeug.socket", None)  # who upgrades has it, or needs none
            return make(connection, ahead)

        return self.link.upgrade(head, begin)

    # The run -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Call the app, send its answer, run the post-hooks. Switches: as the app does. Raises nothing."""
        try:
            app = self.service.app
            result = app(self.environ, self.start_response)
            if forks.last is not None:
                end_if_forked(self)
            if self.is_upgraded:
                self._drop(result)
            elif type(result) is list and self.answer is None:  # the common case: the whole body, in one list
                self._send_whole(result[0] if len(result) == 1 else join(result))
            else:
                self._answer(result)
                if forks.last is not None:  # by the iterable's close()
                    end_if_forked(self)
        except BaseException as error:  # also what is no Exception: one request must not end the others
            self._failed(error)
        self._is_over = True
        if self.posthooks:
            self._run_posthooks()
        self.environ["wsgi.early_hints"] = _too_late  # or exchange and environ would hold each other
        if "greenserve.upgrade" in self.environ:
            del self.environ["greenserve.upgrade"]  # likewise
            self.environ.pop("werkzeug.socket", None)
        if self.input is not NO_BODY:
            if self.input.is_unusable:
                # Nobody can tell where the body ends, or if it comes (RFC 9110 §10.1.1).
                self.keep_alive = False
            self.input.end()

    def _drop(self, result: object) -> None:
        close = getattr(result, "close", None)
        if close is not None:
            close()

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

    # When it went wrong ------------------------------------------------------------------------------------

    def _is_an_end(self, error: BaseException) -> bool:
        """Whether an app ends so what it has upgraded: told that the connection is closed, or telling us (engineio)."""
        if not self.is_upgraded or isinstance(error, StopIteration):
            return self.is_upgraded
        if type(error) is ConnectionError and not error.args:
            return True  # engineio's: at every end, and while its client is there too
        return isinstance(error, ConnectionError) and self.link.is_peer_gone()  # else it is a database's, say

    def _failed(self, error: BaseException) -> None:
        end_if_forked(self, error)
        self.keep_alive = False
        if self.is_upgraded:
            self.failure = error
        answer = self.answer
        if self.status and answer is not None and not answer.bodyless and not self._is_over:
            self.is_cut_off = answer.length is None and not answer.chunked
        _pass_on_interrupt(error)
        if isinstance(error, PeerGone) or self._is_an_end(error):
            log.debug("%s %s: client gone: %s", self.head.method, self.head.target, error)
            return
        if isinstance(error, ProtocolError):
            log.info("%s %s: %s", self.head.method, self.head.target, error)
            self._send_error(error.status, error.reason, *error.headers)
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


def _pass_on_interrupt(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        get_hub().throw_main(error)  # Ctrl-C is for the program, whoever was running


def _too_late(headers: list[tuple[str, str]]) -> None:
    """What wsgi.early_hints is when the answer is out."""
