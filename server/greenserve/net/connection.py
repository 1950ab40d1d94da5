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

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve.errors import LimitExceeded, PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, ChunkedFraming, HeadReader, LengthFraming, RequestHead
from greenserve.net.refusals import Refusal
from greenserve.net.stream import HEAD_SIZE, READ_SIZE, Stream
from greenserve.wsgi import Exchange, RequestTimeout, make_environ
from greenserve_hub.greenthreads import sleep

if TYPE_CHECKING:
    from greenserve.net.listener import Listener
    from greenserve.net.server import Server

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
    PARKED = "idle between requests"
    DISCARDING = "throwing away an unread body"
    LINGERING = "waiting for the client to close"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.HEAD: frozenset({State.QUEUED, State.RUNNING, State.LINGERING, State.CLOSED}),
    State.QUEUED: frozenset({State.RUNNING, State.LINGERING, State.CLOSED}),
    State.RUNNING: frozenset({State.PARKED, State.HEAD, State.DISCARDING, State.LINGERING, State.CLOSED}),
    State.PARKED: frozenset({State.HEAD, State.QUEUED, State.RUNNING, State.LINGERING, State.CLOSED}),
    State.DISCARDING: frozenset({State.PARKED, State.HEAD, State.LINGERING, State.CLOSED}),
    State.LINGERING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


class Connection:
    """A client. Made by a listener; it is the Link of its exchanges."""

    __slots__ = (
        "_began",
        "_deadline",
        "_discard_left",
        "_framing",
        "_head",
        "_reader",
        "_rest",
        "_stream",
        "_worker",
        "listener",
        "peer",
        "peer_port",
        "server",
        "state",
    )

    def __init__(
        self, server: Server, listener: Listener, stream: Stream, peer: str, peer_port: int | str
    ) -> None:
        """Begins to read at once."""
        self.server = server
        self.listener = listener
        self.peer = peer
        self.peer_port = peer_port
        self.state = State.HEAD
        self._stream = stream
        self._reader: HeadReader | None = None
        self._head: RequestHead | None = None
        self._rest = b""
        self._framing: BodyFraming | None = None
        self._discard_left = 0
        self._worker: greenlet | None = None
        self._began = 0.0
        hub = server.hub
        self._deadline = hub.make_deadline(self._expired)
        self._arm(server.config.head_timeout)
        # No read is tried: registering has the kernel tell of what is there already.
        stream.descriptor.on_readable(self._on_readable)

    def __repr__(self) -> str:
        """For dumps and logs."""
        request = f" {self._head.method} {self._head.target}" if self._head is not None else ""
        return f"<{self.peer or 'unix'}:{self.peer_port} {self.state.value}{request}>"

    def _move(self, state: State) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} to {state}"
        self.state = state

    def _arm(self, seconds: float) -> None:
        """Due in `seconds`; 0 is never."""
        if seconds:
            self._deadline.arm(self.server.hub.now + seconds)
        else:
            self._deadline.disarm()

    # Heads: HEAD and PARKED --------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self.state is State.CLOSED:
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
        if self.state is State.CLOSED:
            return
        server = self.server
        reader = self._reader
        if reader is None:
            reader = HeadReader(server.head_limits)
        try:
            rest = reader.feed(data)
            if rest is None:
                if self._reader is None:
                    self._reader = reader
                    self._begin_slow_head()
                self._call_when_readable(self._on_readable)
                return
            head = reader.head
            assert head is not None
            self._reader = None
            self._rest = rest
            self._head = head
            self._framing = self._frame(head) if head.chunked or head.content_length else None
        except ProtocolError as error:
            self.refuse(error)
            return
        server.submit(self)

    def _begin_slow_head(self) -> None:
        if self.state is State.PARKED:
            self._move(State.HEAD)
            self._arm(self.server.config.head_timeout)

    def _call_when_readable(self, callback: Callable[[], None]) -> None:
        descriptor = self._stream.descriptor
        if descriptor.readable:
            self.server.hub.call_soon(callback)  # in a turn of its own, after the others
        else:
            descriptor.on_readable(callback)

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
        self._move(State.QUEUED)
        self._arm(self.server.config.queue_timeout)

    def run(self) -> None:
        """Run the request and see what comes after.

        In a green thread of the pool; switches as the app does.
        """
        server = self.server
        head = self._head
        assert head is not None
        self._move(State.RUNNING)
        self._worker = getcurrent()
        self._arm(server.config.request_timeout)
        self._began = server.hub.now
        framing = self._framing
        ahead = b""
        if framing is not None:
            ahead, self._rest = self._rest, b""
        environ = make_environ(self.listener.environ, head, self.peer, self.peer_port)
        exchange = Exchange(server.service, self, head, environ, framing, ahead)
        server.context.copy().run(exchange.run)
        self._worker = None
        if server.access_log is not None:
            server.log_access(exchange, self._began)
        if self.state is State.CLOSED:
            return
        try:
            if not exchange.keep_alive:
                self._finish(exchange)
            elif framing is not None and not framing.done:
                self._discard(exchange.input.take_ahead(), framing)
            else:
                self._next(self._rest if framing is None else framing.rest)
        except GreenletExit:
            self.close()

    def _finish(self, exchange: Exchange) -> None:
        """The last answer is out: close so that the client can read it."""
        framing = self._framing
        if exchange.status and (self._rest or (framing is not None and not framing.done)):
            self._linger()  # closing over unread bytes would reset the connection and lose the answer
        else:
            self.close()

    def _next(self, rest: bytes) -> None:
        """Ready for another request."""
        self._head = None
        self._framing = None
        self._rest = b""
        server = self.server
        if not server.service.keep_alive:
            self.close()
        elif rest:
            # Back into the line: a client that pipelines gets no second turn before the others had theirs.
            self._move(State.HEAD)
            self._arm(server.config.head_timeout)
            server.hub.call_soon(self._take, rest)
        else:
            self._move(State.PARKED)
            self._deadline.arm(server.hub.now + server.config.keep_alive)
            self._call_when_readable(self._on_readable)

    # Link --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """See Link."""
        server = self.server
        if not self._deadline.pending:
            hub = server.hub
            if hub.clock() - hub.now > _TURN:
                sleep(0)
        self._deadline.disarm()  # request_timeout: the answer has begun
        self._stream.send(data, server.send_timeout)

    def send_interim(self, data: bytes) -> None:
        """See Link."""
        self._stream.send(data, self.server.send_timeout)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """See Link."""
        self._deadline.disarm()
        self._stream.send_pieces(first, second, self.server.send_timeout)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See Link."""
        return self._stream.send_file(fd, offset, count, self.server.send_timeout)

    def receive(self) -> bytes:
        """See Link."""
        return self._stream.receive(READ_SIZE, self.server.body_timeout)

    def is_peer_gone(self) -> bool:
        """See Link; environ["greenserve.client_disconnected"]."""
        return self.state is not State.RUNNING or self._stream.is_peer_gone()

    # After it: DISCARDING and LINGERING ---------------------------------------------------------------------

    def _discard(self, ahead: bytes, framing: BodyFraming) -> None:
        """Throw away what the app left of the body, if it is little, so that the connection can go on."""
        limit = self.server.config.limit_request_discard
        if framing.wants() > limit:
            self._linger()
            return
        self._move(State.DISCARDING)
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
        if self.state is not State.DISCARDING:
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
        server.stats.refused += 1
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
        self._move(State.LINGERING)
        self._stream.shut_sending()
        self._discard_left = _LINGER_BYTES
        self._arm(_LINGER_TIME)
        self._on_lingering()

    def _on_lingering(self) -> None:
        if self.state is not State.LINGERING:
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

    # The end
    # ---------------------------------------------------------------------------------------------------

    def _expired(self) -> None:
        """The deadline of the state we are in has passed; from the hub."""
        state = self.state
        if state is State.HEAD and self._reader is not None and self._reader.begun:
            self.refuse(ProtocolError(408, "the head of the request came too slowly (head_timeout)"))
        elif state is State.QUEUED:
            self.server.unqueue(self)
            self.refuse(ProtocolError(503, "the server is busy (queue_timeout)"), ("Retry-After", "1"))
        elif state is State.RUNNING:
            if self._worker is not None:
                # Again until it ends: an app may have caught the first.
                self._arm(1.0)
                self._worker.throw(RequestTimeout())
        else:
            self.close()

    def drain(self) -> None:
        """The server stops: close unless a request is under way. Switches: never."""
        if self.state is State.PARKED or (
            self.state is State.HEAD and self._reader is None and not self._head
        ):
            self.close()

    def end(self) -> str | None:
        """The time to stop gracefully is over: end what runs; what that was, for the log. From the hub."""
        told = repr(self) if self.state in (State.RUNNING, State.QUEUED) else None
        worker = self._worker
        if worker is not None:
            worker.throw(GreenletExit())
        self.close()
        return told

    def close(self) -> None:
        """Close now; repeatable. Switches: never."""
        if self.state is not State.CLOSED:
            if self.state is State.QUEUED:
                self.server.unqueue(self)
            self._move(State.CLOSED)
            self._deadline.cancel()
            self._stream.close()
            self._reader = None
            self.server.forget(self)
