"""One client's connection, from accept to close: a state machine that needs a green thread only while an app runs.

Heads are read, idle time is spent, and what an app left unread is thrown away from hub callbacks, under one
Deadline; a slow
or idle client so costs this object and no slot of the pool. The server decides when a request runs; `run` is
what its
green thread does. Drawn in server/README.md from TRANSITIONS.

Invariants: in each state at most one callback is due (the descriptor's reader, or one call_soon); a closed
connection stays
closed, and whatever still calls back finds it so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve.errors import LimitExceeded, PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, ChunkedFraming, HeadReader, LengthFraming, RequestHead
from greenserve.net.refusals import Refusal
from greenserve.net.stream import HEAD_SIZE, JOIN_BELOW, READ_SIZE, Stream
from greenserve.wsgi import Exchange, RequestTimeout, make_environ
from greenserve_hub.greenthreads import sleep

if TYPE_CHECKING:
    from greenserve.net.listener import Listener
    from greenserve.net.server import Server

log = logging.getLogger("greenserve.error")

_LINGER_TIME: Final = (
    2.0  # seconds for the client to take an error answer and close (RFC 9112 §9.6); nginx has 5
)
_LINGER_BYTES: Final = 1 << 20  # of its upload that are thrown away meanwhile
_TURN: Final = 0.01  # seconds that an answer may be sent without giving way to the others


class State(Enum):
    """What a connection is doing."""

    HEAD = "reading a head"
    QUEUED = "waiting for a slot"
    RUNNING = "in the app"
    SENDING = "sending the rest of an answer"
    PARKED = "idle between requests"
    DISCARDING = "throwing away an unread body"
    LINGERING = "waiting for the client to close"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.HEAD: frozenset({State.QUEUED, State.RUNNING, State.LINGERING, State.CLOSED}),
    State.QUEUED: frozenset({State.RUNNING, State.LINGERING, State.CLOSED}),
    State.RUNNING: frozenset(
        {State.SENDING, State.PARKED, State.HEAD, State.DISCARDING, State.LINGERING, State.CLOSED}
    ),
    State.SENDING: frozenset({State.PARKED, State.HEAD, State.DISCARDING, State.LINGERING, State.CLOSED}),
    State.PARKED: frozenset({State.HEAD, State.QUEUED, State.RUNNING, State.LINGERING, State.CLOSED}),
    State.DISCARDING: frozenset({State.PARKED, State.HEAD, State.LINGERING, State.CLOSED}),
    State.LINGERING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}

# An enum's member is looked up by Python code, and these are asked for with every request.
_HEAD, _QUEUED, _RUNNING, _SENDING, _PARKED, _DISCARDING, _LINGERING, _CLOSED = State


class Connection:
    """A client. Made by a listener; it is the Link of its exchanges."""

    __slots__ = (
        "_deadline",
        "_discard_left",
        "_exchange",
        "_framing",
        "_head",
        "_reader",
        "_rest",
        "_stream",
        "_unsent",
        "_worker",
        "listener",
        "peer",
        "peer_port",
        "server",
        "state",
    )

    def __init__(self, server: Server, listener: Listener, stream: Stream, peer: str, peer_port: str) -> None:
        """Begins to read at once."""
        self.server = server
        self.listener = listener
        self.peer = peer
        self.peer_port = peer_port
        self.state = _HEAD
        self._stream = stream
        self._reader: HeadReader | None = None
        self._head: RequestHead | None = None
        self._rest = b""
        self._framing: BodyFraming | None = None
        self._exchange: Exchange | None = None
        self._unsent: tuple[bytes | memoryview, bytes | memoryview] | None = None
        self._discard_left = 0
        self._worker: greenlet | None = None
        self._deadline = server.hub.make_deadline(self._expired)
        self._arm(server.config.head_timeout)
        # No read is tried: registering has the kernel tell of what is there already.
        stream.descriptor.on_readable(self._on_readable)

    def __repr__(self) -> str:
        """For dumps and logs."""
        request = f" {self._head.method} {self._head.target}" if self._head is not None else ""
        return f"<{self.peer or 'unix'}:{self.peer_port} {self.state.value}{request}>"

    def _arm(self, seconds: float) -> None:
        """Due in `seconds`; 0 is never."""
        if seconds:
            self._deadline.arm(self.server.hub.now + seconds)
        else:
            self._deadline.disarm()

    def _call_when_readable(self, callback: Callable[[], None]) -> None:
        descriptor = self._stream.descriptor
        if descriptor.readable:
            self.server.hub.call_soon(callback)  # in a turn of its own, after the others
        else:
            descriptor.on_readable(callback)

    # Heads: HEAD and PARKED --------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self.state is _CLOSED:
            return
        try:
            data = self._stream.receive_now(HEAD_SIZE)
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_readable)
            return
        except PeerGone:
            self.close()
            return
        if data:
            self._take(data)
        else:
            self.close()

    def _take(self, data: bytes) -> None:
        """Feed the next head."""
        if self.state is _CLOSED:
            return
        server = self.server
        reader = self._reader or HeadReader(server.head_limits)
        try:
            rest = reader.feed(data)
            if rest is None:
                self._read_slowly(reader)
                return
            self._reader = None
            self._rest = rest
            self._head = head = reader.head
            assert head is not None
            if head.chunked or head.content_length:
                self._framing = self._frame(head)
        except ProtocolError as error:
            self.refuse(error)
            return
        server.submit(self)

    def _read_slowly(self, reader: HeadReader) -> None:
        if self._reader is None:
            self._reader = reader
            if self.state is _PARKED:
                self.state = _HEAD
                self._arm(self.server.config.head_timeout)
        self._call_when_readable(self._on_readable)

    def _frame(self, head: RequestHead) -> BodyFraming:
        config = self.server.config
        limit = config.limit_request_body
        if head.chunked:
            return ChunkedFraming(limit, config.limit_request_field_size)
        assert head.content_length is not None
        if limit and head.content_length > limit:
            raise LimitExceeded(413, f"body longer than {limit} bytes (limit_request_body)")
        return LengthFraming(head.content_length)

    # The request: QUEUED and RUNNING --------------------------------------------------------------------

    def queue(self) -> None:
        """The pool is full: wait for a turn. For the server."""
        self.state = _QUEUED
        self._arm(self.server.config.queue_timeout)

    def run(self) -> None:
        """Run the request and see what comes after. In a green thread of the pool; switches as the app does."""
        server = self.server
        head = self._head
        assert head is not None
        self.state = _RUNNING
        self._worker = getcurrent()
        began = server.hub.now
        framing = self._framing
        ahead = b""
        if framing is not None:
            ahead, self._rest = self._rest, b""
        environ = make_environ(self.listener.environ, head, self.peer, self.peer_port)
        self._exchange = exchange = Exchange(server.service, self, head, environ, framing, ahead)
        server.context.copy().run(exchange.run)
        self._worker = None
        if server.access_log is not None:
            server.log_access(exchange, began)
        if self.state is not _CLOSED:
            if self._unsent is None:
                self._answered()
            else:
                self.state = _SENDING
                server.send_soon(self)
        server.slot_is_free()

    def watch(self) -> None:
        """The app has given way before it ended: from now on a deadline matters. For the server."""
        assert self._exchange is not None
        self._arm(0 if self._exchange.status else self.server.config.request_timeout)

    # Link --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """See Link."""
        hub = self.server.hub
        if hub.clock() - hub.now > _TURN:
            sleep(0)
        self._deadline.disarm()  # request_timeout: the answer has begun
        self._stream.send(data, self.server.send_timeout)

    def send_interim(self, data: bytes) -> None:
        """See Link."""
        self._stream.send(data, self.server.send_timeout)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """See Link."""
        self._deadline.disarm()
        self._stream.send_pieces(first, second, self.server.send_timeout)

    def send_last(self, head: bytes, body: bytes) -> None:
        """See Link."""
        self._unsent = (head + body, b"") if len(body) < JOIN_BELOW else (head, body)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See Link."""
        return self._stream.send_file(fd, offset, count, self.server.send_timeout)

    def receive(self) -> bytes:
        """See Link."""
        return self._stream.receive(READ_SIZE, self.server.body_timeout)

    def is_peer_gone(self) -> bool:
        """See Link; environ["greenserve.client_disconnected"]."""
        return self.state is not _RUNNING or self._stream.is_peer_gone()

    # The answer is made: SENDING ------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what the kernel takes of a whole answer; the rest when it takes more. Switches: never."""
        if self.state is not _SENDING:
            return
        assert self._unsent is not None
        first, second = self._unsent
        try:
            sent = self._stream.send_now(first, second)
        except PeerGone as error:
            log.debug("%r: client gone: %s", self, error)
            self.close()
            return
        if sent == len(first) + len(second):
            self._unsent = None
            self._answered()
            return
        if sent < len(first):
            self._unsent = memoryview(first)[sent:], second
        else:
            self._unsent = memoryview(second)[sent - len(first) :], b""
        # A slow reader costs what is left to send, and no slot.
        self._arm(self.server.config.send_timeout)
        self._stream.descriptor.on_writable(self.flush)

    def _answered(self) -> None:
        """What comes after the answer."""
        exchange = self._exchange
        assert exchange is not None
        self._exchange = None
        framing = self._framing
        if not exchange.keep_alive:
            if exchange.status and (self._rest or (framing is not None and not framing.done)):
                self._linger()  # closing over unread bytes would reset the connection and lose the answer
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
        self._head = None
        self._framing = None
        server = self.server
        if not server.service.keep_alive:
            self.close()
        elif rest:
            # Back into the line: a client that pipelines gets no second turn before the others had theirs.
            self._rest = b""
            self.state = _HEAD
            self._arm(server.config.head_timeout)
            server.hub.call_soon(self._take, rest)
        else:
            self.state = _PARKED
            self._deadline.arm(server.hub.now + server.config.keep_alive)
            self._call_when_readable(self._on_readable)

    # What is left unread: DISCARDING and LINGERING ------------------------------------------------------

    def _discard(self, ahead: bytes, framing: BodyFraming) -> None:
        """Throw away what the app left of the body, if it is little, so that the connection can go on."""
        limit = self.server.config.limit_request_discard
        if framing.wants() > limit:
            self._linger()
            return
        self.state = _DISCARDING
        self._discard_left = limit
        self._arm(self.server.config.body_timeout)
        self._throw_away(ahead)

    def _throw_away(self, data: bytes) -> None:
        framing = self._framing
        assert framing is not None
        try:
            self._discard_left -= len(framing.feed(data)) if data else 0
        except ProtocolError:
            self._linger()
            return
        if framing.done:
            self._next(framing.rest)
        elif self._discard_left < 0:
            self._linger()
        else:
            self._call_when_readable(self._on_discardable)

    def _on_discardable(self) -> None:
        if self.state is not _DISCARDING:
            return
        try:
            data = self._stream.receive_now(READ_SIZE)
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_discardable)
            return
        except PeerGone:
            data = b""
        if data:
            self._throw_away(data)
        else:
            self.close()

    def refuse(self, error: ProtocolError, *extra: tuple[str, str]) -> None:
        """Answer with an error of the server's own, from a hub callback, and close. Switches: never."""
        server = self.server
        server.counts.refused += 1
        refusal = Refusal(self, error, self._head)
        try:
            self._stream.send_now(refusal.encode(server.service, extra))
        except PeerGone:
            self.close()
            return
        finally:
            if server.access_log is not None:
                server.log_access(refusal, server.hub.now)
        self._reader = None
        self._linger()

    def _linger(self) -> None:
        """Say that no more will come, and read until the client has closed too, within a bound (RFC 9112 §9.6)."""
        self.state = _LINGERING
        self._stream.shut_sending()
        self._discard_left = _LINGER_BYTES
        self._arm(_LINGER_TIME)
        self._on_lingering()

    def _on_lingering(self) -> None:
        if self.state is not _LINGERING:
            return
        try:
            data = self._stream.receive_now(READ_SIZE)
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_lingering)
            return
        except PeerGone:
            data = b""
        self._discard_left -= len(data)
        if not data or self._discard_left < 0:
            self.close()
        else:
            self._call_when_readable(self._on_lingering)

    # The end ---------------------------------------------------------------------------------------------

    def _expired(self) -> None:
        """The deadline of the state we are in has passed; from the hub."""
        state = self.state
        if state is _HEAD and self._reader is not None and self._reader.begun:
            self.refuse(ProtocolError(408, "the head of the request came too slowly (head_timeout)"))
        elif state is _QUEUED:
            self.server.unqueue(self)
            self.refuse(ProtocolError(503, "the server is busy (queue_timeout)"), ("Retry-After", "1"))
        elif state is _RUNNING:
            if self._worker is not None:
                # Again until it ends: an app may have caught the first.
                self._arm(1.0)
                self._worker.throw(RequestTimeout())
        else:
            if state is _SENDING:
                self._stream.reset_on_close()
            self.close()

    def drain(self) -> None:
        """The server stops: close unless a request is under way. Switches: never."""
        if self.state is _PARKED or (self.state is _HEAD and self._reader is None and not self._head):
            self.close()

    def end(self) -> str | None:
        """The time to stop gracefully is over: end what runs; what that was, for the log. From the hub."""
        told = repr(self) if self.state in (_RUNNING, _QUEUED, _SENDING) else None
        if self._worker is not None:
            self._worker.throw(GreenletExit())
        self.close()
        return told

    def close(self) -> None:
        """Close now; repeatable. Switches: never."""
        if self.state is not _CLOSED:
            if self.state is _QUEUED:
                self.server.unqueue(self)
            self.state = _CLOSED
            self._deadline.cancel()
            self._stream.close()
            self._reader = None
            self._unsent = None
            self.server.forget(self)
