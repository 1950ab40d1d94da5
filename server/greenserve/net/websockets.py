"""A WebSocket: what an app has in its hands, and the hub callbacks that read for it.

Lives on a connection after HTTP (upgraded.py). The protocol is greenserve.websocket's, without a socket; this is its
shell. frame_sending.py is the half that sends.

Facts: an app may be busy, or only ever send, while its client pings, closes or disappears; a green thread that does
nothing but wait costs ten times what a socket does. Consequence: reading can't be left to whoever calls receive().
Decision: the socket is read from hub callbacks, whatever the app does: pings are answered, a close is seen, a silent
client is pinged, all under the one deadline of the connection; messages go straight to the green thread that waits for
one, or wait in a short queue, or are handed to `on_message` on a green thread that exists while there are any. When
the queue is full nothing more is read, and TCP holds the client. Cost: a message that was received while the app was
busy has been unmasked and inflated before it is known that the app wants it.

Invariants: messages reach the app in their order, each once; after a Close, ours or theirs, no message is sent; `lost`
ends all that waits.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

from greenserve.errors import PeerGone
from greenserve.net.frame_sending import FrameSending
from greenserve.net.states import Phase, State
from greenserve.net.stream import Stream
from greenserve.net.upgraded import UpgradeRecord
from greenserve.net.websocket_options import WebSocketOptions
from greenserve.websocket import (
    Close,
    Event,
    Failure,
    Handshake,
    Message,
    MessageReader,
    Ping,
    encode_close,
    encode_ping,
)
from greenserve_hub.deadlines import NEVER
from greenserve_hub.errors import ConcurrentUseError
from greenserve_hub.greenthreads import sleep
from greenserve_hub.parking import TIMED_OUT, Waiter

if TYPE_CHECKING:
    from greenserve.net.connection import Connection
    from greenserve.net.rooms import Room

log = logging.getLogger("greenserve.error")

_OPEN, _CLOSING, _ENDING, _CLOSED = Phase  # an enum's member is looked up by Python code
_READ: Final = 16 * 1024  # bytes asked of the kernel; after a read that was full, more
_READ_MORE: Final = 256 * 1024
_QUEUED: Final = 1 << 20  # bytes of messages in the queue from which on no more is read
_TURN: Final = 0.01  # seconds that messages may be taken without giving way to the others
_absent: Final = object()
# A quarter of what an idle socket would keep, and of no use when it is open.
_OF_HANDSHAKE: Final = frozenset(
    {
        "HTTP_CONNECTION",
        "HTTP_UPGRADE",
        "HTTP_SEC_WEBSOCKET_EXTENSIONS",
        "HTTP_SEC_WEBSOCKET_KEY",
        "HTTP_SEC_WEBSOCKET_PROTOCOL",
        "HTTP_SEC_WEBSOCKET_VERSION",
    }
)


class WebSocket(FrameSending):
    """One WebSocket of a client.

    Made by accept_websocket and WebSocketWSGI. To be used from green threads of its server's OS thread.
    """

    __slots__ = (
        "_at_once",
        "_close_by",
        "_environ",
        "_heard",
        "_on_message",
        "_pinged_at",
        "_queue",
        "_queued",
        "_reader",
        "_runs",
        "_stopped",
        "_waiter",
        "bytes_received",
        "close_code",
        "close_reason",
        "messages_received",
        "on_close",
        "path",
        "rooms",
        "subprotocol",
    )

    def __init__(
        self,
        connection: Connection,
        ahead: bytes,
        handshake: Handshake,
        environ: dict[str, Any],
        options: WebSocketOptions,
    ) -> None:
        """The handshake is done; `ahead` is what has come behind the request."""
        super().__init__(connection, handshake.deflate, options)
        self.path: str = environ["PATH_INFO"]
        self.subprotocol = handshake.subprotocol  # the one agreed on, or None
        self.close_code: int | None = None  # RFC 6455 §7.1.5; None while it is open
        self.close_reason: str | None = None
        self.on_close: Callable[[], object] | None = None  # called on a green thread when it is closed
        self.bytes_received = 0  # on the wire
        self.messages_received = 0
        self.rooms: tuple[Room, ...] = ()  # that it has joined
        self._environ: dict[str, Any] | tuple[str, ...] = environ  # in pairs, when the app has left it alone
        self._reader = MessageReader(options.limits, handshake.deflate)
        self._queue: deque[Message] | None = None
        self._queued = 0  # bytes in it, or characters
        self._stopped = False  # reading, until the app takes a message
        self._waiter: Waiter | None = None
        self._on_message: Callable[[Message], object] | None = None
        self._runs = False  # a green thread is calling on_message
        self._at_once = _READ
        now = self._hub.now
        self._heard = now  # when the client last said anything
        self._pinged_at = NEVER  # when we asked; NEVER: it has been heard since
        self._close_by = NEVER
        if ahead:
            self._hub.call_soon(self._receive, ahead)
        else:
            self._read_on()
        self._set_deadline()

    def __repr__(self) -> str:
        """For dumps and logs."""
        return f"<WebSocket {self.path} {self._phase.value}>"

    # For apps --------------------------------------------------------------------------------------------

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message, str or bytes; None when the WebSocket is closed.

        What had come before a close of the client's is given first; after a close of our own nothing is. Raises
        TimeoutError after `timeout` s, ConcurrentUseError when another green thread waits here. Switches: when empty.
        """
        if self._on_message is not None:
            raise RuntimeError(
                "messages of this WebSocket go to its on_message: receive() would never get one"
            )
        queue = self._queue
        if queue:
            return self._take_queued(queue)
        hub = self._hub
        if self._phase is _OPEN:
            if hub.clock() - hub.now > _TURN:
                sleep(0)
                if queue := self._queue:
                    return self._take_queued(queue)
            message = self._next_message()
            if message is not None:
                return message
        if self._phase is not _OPEN:
            return None
        if self._waiter is not None:
            raise ConcurrentUseError(f"{self}: another green thread receives already")
        self._waiter = waiter = Waiter(hub, "receive from", self)
        try:
            woken = waiter.park(timeout)
        finally:
            self._waiter = None
        if woken is not TIMED_OUT:
            return cast("Message | None", woken)
        if queue := self._queue:
            return self._take_queued(queue)
        raise TimeoutError("no message came in time")

    def wait(self) -> Message | None:
        """As receive() without a limit: eventlet's name."""
        return self.receive()

    def __iter__(self) -> Iterator[Message]:
        """Message by message until it is closed."""
        return iter(self.receive, None)  # a generator would cost a frame for each socket that waits in one

    @property
    def on_message(self) -> Callable[[Message], object] | None:
        """What is called with each message, one at a time, in a green thread that exists while there are any.

        With one the app may return, and the WebSocket stays open: it costs no green thread then.
        """
        return self._on_message

    @on_message.setter
    def on_message(self, function: Callable[[Message], object] | None) -> None:
        self._on_message = function
        if function is not None and self._queue:
            self._run_soon()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say that it ends; the client has ws_close_timeout to agree. What was sent before goes out first.

        Nothing happens where it is closed already. Raises ValueError for a code that can't be sent (RFC 6455 §7.4) or
        a reason longer than 123 bytes. Switches: never.
        """
        frame = encode_close(code, reason)
        if self._phase is not _OPEN:
            return
        self._close_by = self._hub.now + self._options.close_timeout
        self._phase = _CLOSING
        self._queue = None
        self._wake(None)
        self._post(frame)
        if self._phase is _CLOSING:
            if self._stopped:
                self._continue()
            self._set_deadline()

    @property
    def closed(self) -> bool:
        """Whether no message can be sent any more."""
        return self._phase is not _OPEN

    @property
    def environ(self) -> dict[str, Any]:
        """The environ of its request.

        When the app has returned, with on_message, only the text in it is kept, without the fields of the handshake.
        """
        environ = self._environ
        if isinstance(environ, dict):
            return environ
        return {**self._connection.environ, **dict(zip(environ[::2], environ[1::2], strict=True))}

    @property
    def origin(self) -> str | None:
        """The Origin that a browser sends: the site whose page has opened it. None from a program."""
        return self.environ.get("HTTP_ORIGIN")

    @property
    def peer(self) -> str:
        """The client's address."""
        peer: str = self.environ["REMOTE_ADDR"]
        return peer

    # eventlet's names -----------------------------------------------------------------------------------

    @property
    def protocol(self) -> str | None:
        """As `subprotocol`: eventlet's name."""
        return self.subprotocol

    # Reading ---------------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        stream = self._stream
        if type(stream) is Stream and not stream.descriptor.readable:
            stream.descriptor.on_readable(self._on_readable)  # when_readable(), without the call
        else:
            stream.when_readable(self._on_readable)

    def _on_readable(self) -> None:
        if self._connection.state is not State.UPGRADED:
            return
        try:
            data = self._stream.receive_now(self._at_once)
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_readable)
        except PeerGone as error:
            self._broke(str(error))
        else:
            if data:
                self._receive(data)
            else:
                self._broke("the client closed the connection without closing the WebSocket")

    def _receive(self, data: bytes) -> None:
        if self._connection.state is not State.UPGRADED:
            return
        try:
            size = len(data)
            self.bytes_received += size
            self._at_once = _READ if size < _READ else _READ_MORE
            self._heard = self._hub.now
            self._pinged_at = NEVER
            self._take(self._reader.feed(data))
        except Exception:
            self._connection.broke()

    def _continue(self) -> None:
        """Go on with what was left when the queue was full."""
        if self._stopped and self._phase in (_OPEN, _CLOSING):
            self._stopped = False
            try:
                self._take(self._reader.next())
            except Exception:
                self._connection.broke()

    def _take(self, event: Event | None) -> None:
        """Deal with what has come, one after another, until nothing is left or the queue is full; then read on."""
        while event is not None:
            kind = type(event)
            if kind is str or kind is bytes:
                self.messages_received += 1
                self._moved_at = self._heard
                waiter = self._waiter
                if waiter is not None and waiter.wake_now(event):
                    pass
                elif self._phase is _OPEN and self._is_full_with(event):  # type: ignore[arg-type]  # seen above
                    return
            else:
                self._take_control(event)
            if self._phase is not _OPEN and self._phase is not _CLOSING:
                return
            event = self._reader.next()
        self._read_on()

    def _is_full_with(self, message: Message) -> bool:
        """Put it into the queue; whether no more is to be read."""
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        queue.append(message)
        self._queued += len(message)
        if self._on_message is not None:
            self._run_soon()
        self._stopped = len(queue) >= self._options.max_queue or self._queued >= _QUEUED
        return self._stopped

    def _take_queued(self, queue: deque[Message]) -> Message:
        message = queue.popleft()
        self._queued -= len(message)
        if self._stopped and not queue:
            self._hub.call_soon(self._continue)
        return message

    def _next_message(self) -> Message | None:
        """The next of what is here already; for the app's green thread, so that a burst needs no switch for each."""
        if self._stopped:
            return None
        while self._phase is _OPEN and (event := self._reader.next()) is not None:
            if isinstance(event, str | bytes):
                self.messages_received += 1
                self._moved_at = self._heard
                return event
            self._take_control(event)
        return None

    def _take_control(self, event: Event) -> None:
        if isinstance(event, Ping):
            if self._phase is _OPEN:
                self._pong(event.payload)
        elif isinstance(event, Close):
            self._agree(event)
        elif isinstance(event, Failure):
            self._fail(event.code, event.reason)

    # on_message ------------------------------------------------------------------------------------------

    def _run_soon(self) -> None:
        if not self._runs:
            self._runs = True
            server = self._connection.server
            server.callbacks.start_nowait(server.context.copy().run, self._run)

    def _run(self) -> None:
        """Call on_message until nothing is left. On a worker."""
        hub = self._hub
        try:
            while (queue := self._queue) and (function := self._on_message) is not None:
                function(self._take_queued(queue))
                if hub.clock() - hub.now > _TURN:
                    sleep(0)
        except PeerGone as error:
            log.debug("%r: %s", self, error)
        except Exception:
            log.exception("%r: error in on_message; the WebSocket is closed with 1011", self)
            self.close(1011, "error in the app")
        finally:
            self._runs = False

    def _run_on_close(self) -> None:
        function, self.on_close = self.on_close, None
        try:
            if function is not None:
                function()
        except Exception:
            log.exception("%r: error in on_close", self)

    # The end ---------------------------------------------------------------------------------------------

    def _agree(self, close: Close) -> None:
        """The client's Close has come (RFC 6455 §5.5.1): answer it, unless it is the answer to ours."""
        was_open = self._phase is _OPEN
        self._end(close.code, close.reason)
        if was_open:
            self._post(encode_close(close.code))
        if self._outbox is None:
            self._all_sent()

    def _fail(self, code: int, reason: str) -> None:
        """The client has broken the protocol or a limit: say which, and read no more (RFC 6455 §7.1.7)."""
        log.debug("%r: closed with %d: %s", self, code, reason)
        was_open = self._phase is _OPEN
        self._end(code, reason)
        if was_open:
            self._post(encode_close(code, reason))
        if self._outbox is None:
            self._all_sent()

    def _end(self, code: int, reason: str) -> None:
        """Messages are over; what is in the outbox goes out still."""
        self._phase = _ENDING
        self.close_code = code
        self.close_reason = reason
        self._close_by = min(self._close_by, self._hub.now + self._options.close_timeout)
        if not self._queue:
            self._wake(None)
        self._set_deadline()

    def _all_sent(self) -> None:
        if self._phase is _ENDING:
            self._connection.end_upgraded()

    def _broke(self, reason: str) -> None:
        if self.close_code is None:
            self.close_code = 1006
            self.close_reason = reason
        self._connection.close()

    def _cut(self, code: int, reason: str) -> None:
        self.close_code = code
        self.close_reason = reason
        self._connection.give_up()

    def _wake(self, message: Message | None) -> None:
        if self._waiter is not None:
            self._waiter.wake(message)

    # The connection's second life: see Upgraded -----------------------------------------------------------

    def lost(self) -> None:
        """See Upgraded."""
        self._phase = _CLOSED
        if self.close_code is None:
            self.close_code = 1006
            self.close_reason = ""
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.drop()
        self._wake(None)
        for room in self.rooms:
            room.leave(self)
        if self.on_close is not None:
            server = self._connection.server
            server.callbacks.start_nowait(server.context.copy().run, self._run_on_close)

    def drain(self, restarts: bool) -> None:
        """See Upgraded."""
        if restarts:
            self.close(1012, "the server restarts")
        else:
            self.close(1001, "the server stops")

    def app_left(self, error: BaseException | None) -> None:
        """See Upgraded."""
        if error is not None and not isinstance(error, PeerGone):
            self.close(1011, "error in the app")
        elif self._on_message is None:
            self.close(1000)
        else:
            base = self._connection.environ
            own = {k: v for k, v in self.environ.items() if type(v) is str and base.get(k, _absent) is not v}
            for key in _OF_HANDSHAKE:
                own.pop(key, None)
            self._environ = tuple(chain.from_iterable(own.items()))

    def record(self) -> UpgradeRecord:
        """See Upgraded."""
        return UpgradeRecord(
            self.environ, self.bytes_received, self.bytes_sent, (self.messages_received, self.messages_sent)
        )

    # Time ------------------------------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        if self._connection.state is not State.UPGRADED:
            return
        now = self._hub.now
        options = self._options
        when = self._close_by
        if self._outbox is not None:
            when = min(when, now + self._outbox.left)
        if self._phase is _OPEN:
            if self._pinged_at != NEVER:
                when = min(when, self._pinged_at + options.ping_timeout)
            elif self._outbox is None:
                when = min(when, self._heard + options.ping_interval)
            when = min(when, self._moved_at + options.idle_timeout)
        self._connection.deadline.arm(when)

    def expired(self) -> None:
        """See Upgraded. Something that only puts the moment off has happened meanwhile, or the moment is here."""
        now = self._hub.now
        options = self._options
        if now >= self._close_by:
            self._cut(
                self.close_code or 1006, self.close_reason or "the client did not agree to the end in time"
            )
        elif self._outbox is not None and not self._outbox.waited(now):
            self._cut(1008, "the client reads too slowly (send_timeout, send_min_rate)")
        else:
            if self._outbox is not None:
                self._outbox.wait(now)
            if self._phase is _OPEN:
                self._look_after(now, options)
            self._set_deadline()

    def _look_after(self, now: float, options: WebSocketOptions) -> None:
        if now >= self._moved_at + options.idle_timeout:
            self.close(1000, "no message for too long (ws_idle_timeout)")
        elif now >= self._pinged_at + options.ping_timeout:
            if self._stopped or self._stream.has_unread():
                self._pinged_at = NEVER  # its answer may lie behind what the app has not taken: not its fault
                self._heard = now
            else:
                self._fail(1011, "no answer to a ping (ws_ping_timeout)")
        elif self._pinged_at == NEVER and now >= self._heard + options.ping_interval and self._outbox is None:
            self._pinged_at = now
            self._post(encode_ping(b""))
