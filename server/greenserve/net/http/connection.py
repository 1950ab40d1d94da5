"""One client's connection, from accept to close: a state machine that needs a green thread only while an app runs.

Heads and the beginnings of bodies are read, idle time is spent, and what an app left unread is thrown away from hub
callbacks, under one Deadline; a slow or idle client so costs this object and no slot of the pool. The server decides
when a request runs; `run` is what its green thread does. Drawn in server/README.md from TRANSITIONS.

Invariants: each callback (the descriptor's reader, or a call_soon, which can't be taken back) looks whether the state
that it was made for still holds, so that of several that are due the first counts; a closed connection stays closed.
"""

from __future__ import annotations

import logging
from typing import Final

from greenlet import GreenletExit, getcurrent

from greenserve.errors import LimitExceeded, PeerGone, ProtocolError
from greenserve.http1 import (
    BodyFraming,
    ChunkedFraming,
    HeadReader,
    LengthFraming,
    RequestHead,
    read_whole_head,
)
from greenserve.net.http.endpoint import Endpoint
from greenserve.net.http.services import Services
from greenserve.net.http.states import State
from greenserve.net.http.upgrading import Upgrading
from greenserve.net.opening.opening import FIRST_REQUEST_TIME
from greenserve.net.sockets.stream import HEAD_SIZE, Stream
from greenserve.wsgi import Exchange, RequestTimeout, make_environ

log = logging.getLogger("greenserve.error")

# Seconds from a request to the end of its client's sending within which that is a half-close: `nc -N` and its like. A
# later one comes from somebody who has waited and given up.
_HALF_CLOSE_TIME: Final = 1.0

# An enum's member is looked up by Python code, and these are asked for with every request.
(
    _PREFACE,
    _HANDSHAKE,
    _HEAD,
    _BODY,
    _QUEUED,
    _RUNNING,
    _UPGRADED,
    _SENDING,
    _PARKED,
    _DISCARDING,
    _LINGERING,
    _CLOSED,
) = State

_MAY_ASK: Final = (_PREFACE, _HANDSHAKE, _HEAD, _PARKED, _DISCARDING)


class Connection(Upgrading):
    """A client. Made by a listener; it is the Link of its exchanges."""

    __slots__ = ("_exchange", "_queued_at")

    def __init__(
        self, services: Services, endpoint: Endpoint, stream: Stream, peer: str, peer_port: str
    ) -> None:
        """Begins to read at once."""
        super().__init__(services, endpoint, stream, peer, peer_port)
        self._reader = None
        self._head = None
        self._framing = None
        self._exchange: Exchange | None = None
        self._upgraded_at = 0.0
        self._deadline = services.hub.make_deadline(self._on_deadline)
        self._open()

    def __repr__(self) -> str:
        """For dumps and logs."""
        request = ""
        if self._head is not None:
            request = f" {self._head.method} {self._head.target}"
        elif self._upgraded is not None:
            request = f" {self._upgraded.path}"
        return f"<{self.peer or 'unix'}:{self.peer_port} {self.state.value}{request}>"

    # Heads: HEAD and PARKED --------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self._head is not None or (self.state is not _HEAD and self.state is not _PARKED):
            return  # _take_late() was first: what is there now belongs to a body or to the next request
        try:
            data = self._stream.receive_now(HEAD_SIZE)
            if data:
                self._take(data)
            else:
                self.close()
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_readable)
        except PeerGone:
            self.close()
        except Exception:
            self.broke()

    def _take_ahead(self) -> None:
        data, self._rest = self._rest, b""
        try:
            self._take(data)
        except Exception:
            self.broke()

    def _take(self, data: bytes) -> None:
        """Read the next head, or some more of it."""
        if self.state is _CLOSED:
            return
        assert self._head is None, "the next head is read when this request is over"
        services = self.services
        try:
            whole = read_whole_head(data, services.head_limits) if self._reader is None else None
            if whole is None:
                whole = self._read_slowly(data)
                if whole is None:
                    return
            self._head, self._rest = head, _ = whole
            if head.chunked or head.content_length:
                self._framing = self._frame(head)
                if self._gather(head):
                    return
        except ProtocolError as error:
            self.refuse(error)
            return
        self.endpoint.submit(self)

    def _read_slowly(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        reader = self._reader
        if reader is None:
            reader = self._reader = HeadReader(self.services.head_limits)
            if self.state is _PARKED:
                self.state = _HEAD
                self._arm(self.services.timeouts.head_timeout)
        rest = reader.feed(data)
        if rest is None:
            self._stream.when_readable(self._on_readable)
            return None
        self._reader = None
        assert reader.head is not None
        return reader.head, rest

    def _frame(self, head: RequestHead) -> BodyFraming:
        limit = self.services.limit_request_body
        if head.chunked:
            limits = self.services.head_limits
            return ChunkedFraming(limit, limits.field_size, limits.fields)
        assert head.content_length is not None
        if limit and head.content_length > limit:
            raise LimitExceeded(413, f"body longer than {limit} bytes (limit_request_body)")
        return LengthFraming(head.content_length)

    # The request: QUEUED and RUNNING --------------------------------------------------------------------

    def queue(self) -> bool:
        """See Job."""
        if self.state is _QUEUED:
            return False
        if self.state is _CLOSED:
            return True
        self.state = _QUEUED
        self._queued_at = self.services.hub.now
        self._arm(self.services.timeouts.queue_timeout)
        return True

    def _has_given_up(self) -> bool:
        """Whether it has left while it stood in line: nobody can read the answer, or probably nobody will."""
        stream = self._stream
        return stream.is_reset() or stream.descriptor.hung_up_at > self._queued_at + _HALF_CLOSE_TIME

    def run(self) -> None:
        """Run the request and see what comes after. In a green thread of the pool; switches as the app does."""
        if self.state is _CLOSED:
            return
        if self.state is _QUEUED and self._has_given_up():
            self.close()
            return
        services = self.services
        head = self._head
        assert head is not None
        self.state = _RUNNING
        self._worker = getcurrent()
        began = services.hub.now
        self._deadline.arm(began + services.timeouts.request_timeout)
        framing = self._framing
        ahead = b""
        if framing is not None:
            ahead, self._rest = self._rest, b""
        try:
            environ = make_environ(self.environ, head, self.peer, self.peer_port, services.forwarding)
            self._exchange = exchange = Exchange(services.service, self, head, environ, framing, ahead)
        except ProtocolError as error:
            self._worker = None
            self.refuse(error, *error.headers)
            return
        try:
            services.context.copy().run(exchange.run)
        except BaseException as error:  # killed while it dealt with the app's own error
            if self._upgraded_at:
                self._leave(exchange, error)
            raise
        self._worker = None
        if self._upgraded_at:  # is_upgraded, without the call
            self._leave(exchange, exchange.failure)
            return
        if services.log_access is not None:
            services.log_access(exchange, began)
        if self.state is not _CLOSED:
            if self._unsent is None:
                self._answered()
            else:
                self.state = _SENDING
                (first, second), self._unsent = self._unsent, None
                services.batch.add(self, first, second)

    def _leave(self, exchange: Exchange, error: BaseException | None) -> None:
        self._worker = None
        self._exchange = None
        exchange.failure = None  # its traceback holds the exchange
        self._app_left(error)

    # The answer is out ----------------------------------------------------------------------------------

    def _answered(self) -> None:
        exchange = self._exchange
        if exchange is None:
            self.linger()  # it was a refusal
            return
        self._exchange = None
        framing = self._framing
        if self._is_broken or exchange.is_cut_off:
            self._stream.reset_on_close()  # or the client might take it for the whole
            self.close()
        elif not exchange.keep_alive:
            unread = self._rest or (framing is not None and not framing.done) or self._stream.has_unread()
            if exchange.status and unread:
                self.linger()  # closing over unread bytes would reset the connection and lose the answer
            else:
                self.close()
        elif framing is None:
            self._next(self._rest)
        elif framing.done:
            self._next(framing.rest)
        else:
            self._discard(exchange.input.take_ahead(), framing)

    def _next(self, rest: bytes) -> None:
        """Ready for another request."""
        services = self.services
        hub = services.hub
        self._head = None
        self._framing = None
        self._body_pace = None
        self._send_pace = None
        if rest:
            # Back into the line: a client that pipelines gets no second turn before the others had theirs.
            self._rest = rest  # until _take_ahead(): nothing may be read before it
            self.state = _HEAD
            self._arm(services.timeouts.head_timeout)
            hub.call_soon(self._take_ahead)
        elif not services.service.parks:
            self.close()
        else:
            self.state = _PARKED
            self._deadline.arm(hub.now + services.timeouts.keep_alive)
            stream = self._stream
            if type(stream) is Stream and not stream.descriptor.readable:
                stream.descriptor.on_readable(self._on_readable)  # when_readable(), without the call
            else:
                stream.when_readable(self._on_readable)

    # The end ---------------------------------------------------------------------------------------------

    def _on_deadline(self) -> None:
        try:
            self._expired()
        except Exception:
            self.broke()

    def _expired(self) -> None:
        """The deadline of the state we are in has passed; from the hub."""
        state = self.state
        if state in (_HEAD, _PARKED):
            if state is _HEAD and self._head is None and self._rest:
                self._arm(self.services.timeouts.head_timeout)  # we are the slow ones
            elif self._head is None and not self._take_late():
                self._end_idle()
        elif state is _HANDSHAKE:
            self._open_late()
        elif state is _PREFACE:
            self._preface_late()
        elif state is _QUEUED:
            self.services.queue.unqueue(self)
            self.refuse_busy("the server is busy (queue_timeout)")
        elif state is _RUNNING:
            if self._worker is not None:
                # Again until it ends: an app may have caught the first.
                self._arm(1.0)
                self._worker.throw(RequestTimeout())
        elif state is _BODY:
            self._body_expired()
        elif state is _SENDING:
            self._send_expired()
        elif state is _UPGRADED:
            assert self._upgraded is not None
            self._upgraded.expired()
        else:
            self.close()

    def _end_idle(self) -> None:
        if self._reader is not None and self._reader.begun:
            self.refuse(ProtocolError(408, "the head of the request came too slowly (head_timeout)"))
        else:
            self.close()

    def _take_late(self) -> bool:
        """Take what has come in time but lies in the socket still, since an app held the hub; whether that helped."""
        was_slow = self._reader is not None or self.state is _HEAD  # then the deadline is the head's own
        self._stream.descriptor.stop_waiting_to_read()
        try:
            data = self._stream.receive_now(HEAD_SIZE)
        except (BlockingIOError, PeerGone):
            return False
        if not data:
            return False
        self._take(data)
        return not was_slow or self._reader is None

    @property
    def idle_until(self) -> float | None:
        """When keep_alive ends, if it is idle between requests: the sooner, the longer it has been."""
        # With a head it is in line already: it stays PARKED until the line moves.
        return self._deadline.when if self.state is _PARKED and self._head is None else None

    def make_way(self, until: float) -> bool:
        """Close for a newcomer, if still idle as when `idle_until` was `until`; whether it did. Switches: never."""
        if self.idle_until != until:
            return False
        try:
            if self._take_late():
                return False
            self.close()
        except Exception:
            self.broke()
        return True

    @property
    def may_ask(self) -> bool:
        """Whether its client may send a request: it was not told that the connection ends."""
        exchange = self._exchange
        if exchange is None:
            return self.state in _MAY_ASK
        return exchange.has_begun and exchange.keep_alive

    def drain(self) -> None:
        """The server stops: close unless a request is under way, or about to come. Switches: never."""
        if self._reader is not None or self._head is not None:
            return
        try:
            self._drain()
        except Exception:
            self.broke()

    def _drain(self) -> None:
        if self._upgraded is not None:
            self._upgraded.drain()
        elif self.state is _PARKED:
            if not self._take_late():
                self.close()
        elif self.state in (_PREFACE, _HANDSHAKE, _HEAD):
            # It was opened for a request that may be on its way; one that was served has had its turn.
            self._deadline.arm(min(self._deadline.when, self.services.hub.now + FIRST_REQUEST_TIME))

    def refuse_stopping(self) -> None:
        """The server stops and this request has not begun: say so. For the request queue. Switches: never."""
        self.refuse_busy("the server is stopping")

    def refuse_busy(self, reason: str) -> None:
        """There is no slot to be had in time: say so. For the request queue. Switches: never."""
        if self.state is not _CLOSED:
            self.refuse(ProtocolError(503, reason), ("Retry-After", "1"))

    def end(self) -> str | None:
        """The time to stop gracefully is over: end what runs; what that was, for the log. From the hub."""
        told = repr(self) if self.state in (_BODY, _RUNNING, _QUEUED, _SENDING, _UPGRADED) else None
        if self.state is _BODY:
            self.refuse_stopping()
            return told
        if self._worker is not None:
            self._worker.throw(GreenletExit())
        self.close()
        return told
