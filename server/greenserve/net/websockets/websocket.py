"""A WebSocket: what an app has in its hands, from the handshake to the end.

Lives on a connection after HTTP (upgraded.py). message_receiving.py is the half that receives, frame_sending.py the one
that sends; the protocol is greenserve.websocket's. Here is what holds them together: the closing handshake, and what
is due when, all under the one deadline of the connection: pings to a silent client, the end of one that does not
answer.

Invariants: after a Close, ours or theirs, no message is sent; `lost` ends all that waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from greenserve.net.http.activity import Carrier, UpgradeRecord
from greenserve.net.http.states import Phase
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.net.websockets.receiver import MessageReceiving
from greenserve.websocket import Close, Handshake, encode_close, encode_ping
from greenserve.wsgi import end_if_forked
from greenserve_hub.deadlines import NEVER

if TYPE_CHECKING:
    from greenserve.net.websockets.rooms import Room

log = logging.getLogger("greenserve.error")

_OPEN, _CLOSING, _ENDING, _CLOSED = Phase  # an enum's member is looked up by Python code
_UNSETTLED: Final = (_OPEN, _CLOSING)  # with what code it ends is not known yet
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


class WebSocket(MessageReceiving):
    """One WebSocket of a client.

    Made by accept_websocket and WebSocketWSGI. To be used from green threads of its server's OS thread.
    """

    __slots__ = (
        "_close_by",
        "_environ",
        "_on_close",
        "_pinged_at",
        "_untaken",
        "close_code",
        "close_reason",
        "path",
        "rooms",
        "subprotocol",
    )

    def __init__(
        self,
        connection: Carrier,
        ahead: bytes,
        handshake: Handshake,
        environ: dict[str, Any],
        options: WebSocketOptions,
    ) -> None:
        """The handshake is done; `ahead` is what has come behind the request."""
        super().__init__(connection, handshake.deflate, options)
        self.path: str = environ.get("PATH_INFO", "")
        self.subprotocol = handshake.subprotocol  # the one agreed on, or None
        self.close_code: int | None = None  # RFC 6455 §7.1.5; None while it is open
        self.close_reason: str | None = None
        self._on_close: Callable[[], object] | None = None
        self.rooms: tuple[Room, ...] = ()  # that it has joined
        self._environ: dict[str, Any] | tuple[str, ...] = environ  # in pairs, when the app has left it alone
        self._pinged_at = 0.0  # unanswered where it has not been heard since
        self._untaken = 0  # bytes that the client's machine had not taken when we last looked
        self._close_by = NEVER
        if ahead:
            self._hub.call_soon(self._receive, ahead)
        else:
            self._read_on()
        self._set_deadline()

    def __repr__(self) -> str:
        """For dumps and logs."""
        client = f"{self._connection.peer or 'unix'}:{self._connection.peer_port}"
        return f"<WebSocket {self.path} of {client} {self._phase.name}>"

    # For apps --------------------------------------------------------------------------------------------

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say that it ends; the client has ws_close_timeout to agree. What was sent before goes out first.

        Nothing happens where it is closed already. Raises ValueError for a code that can't be sent (RFC 6455 §7.4) or
        a reason longer than 123 bytes. Switches: never.
        """
        self.must_be_here()
        frame = encode_close(code, reason)
        if self._phase is _OPEN and self.rooms:
            self._catch_up()
        if self._phase is not _OPEN:
            return
        self._end(_CLOSING, code, reason)
        self._queue = None
        self._untaken = self._stream.untaken()
        self._post(frame)
        self._continue()

    @property
    def on_close(self) -> Callable[[], object] | None:
        """What is called when it is closed, behind the last message, on a green thread; at once where it is already."""
        return self._on_close

    @on_close.setter
    def on_close(self, function: Callable[[], object] | None) -> None:
        self.must_be_here()
        if function is not None and not callable(function):
            raise TypeError(f"on_close is a function without arguments, and not {function!r:.100}")
        self._on_close = function
        if function is not None and self._phase is _CLOSED and not self._runs:
            self._call_on_close()

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
        peer: str = self.environ.get("REMOTE_ADDR", "")
        return peer

    # eventlet's names -----------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Of the protocol: 13, RFC 6455's own."""
        return 13

    @property
    def websocket_closed(self) -> bool:
        """As `closed`: eventlet's name."""
        return self.closed

    @property
    def protocol(self) -> str | None:
        """As `subprotocol`: eventlet's name."""
        return self.subprotocol

    # The end ---------------------------------------------------------------------------------------------

    def _agree(self, close: Close) -> None:
        """The client's Close has come (RFC 6455 §5.5.1): answer it, unless it is the answer to ours."""
        was_open = self._phase is _OPEN
        self._end(_ENDING, close.code, close.reason)
        if was_open:
            self._post(encode_close(close.code))
        if self._outbox is None:
            self._all_sent()

    def _fail(self, code: int, reason: str) -> None:
        """The client has broken the protocol or a limit: say which, and read no more (RFC 6455 §7.1.7)."""
        log.debug("%r: closed with %d: %s", self, code, reason)
        was_open = self._phase is _OPEN
        self._end(_ENDING, code, reason)
        if was_open:
            self._post(encode_close(code, reason))
        if self._outbox is None:
            self._all_sent()

    def _end(self, phase: Phase, code: int, reason: str) -> None:
        """Messages are over; what is in the outbox goes out still."""
        self._phase = phase
        self.close_code = code
        self.close_reason = reason
        self._stop_sending()
        self._close_by = min(self._close_by, self._hub.clock() + self._options.close_timeout)
        self._wake(None)
        self._set_deadline()

    def _call_on_close(self) -> None:
        # Not now: whoever closes it may be in the middle of something, a room's slice say.
        services = self._connection.services
        self._hub.call_soon(services.callbacks.start_nowait, services.context.copy().run, self._run_on_close)

    def _run_on_close(self) -> None:
        function, self._on_close = self._on_close, None
        try:
            if function is not None:
                function()
        except Exception as error:
            end_if_forked(self, error)
            log.exception("%r: error in on_close", self)

    def _all_sent(self) -> None:
        if self._phase is _ENDING:
            self._connection.linger()

    def _broke(self, reason: str) -> None:
        if self._phase in _UNSETTLED:
            self._end(_ENDING, 1006, reason)
        self._connection.close()

    def _cut(self, code: int, reason: str) -> None:
        if self._phase in _UNSETTLED:
            self._end(_ENDING, code, reason)
        self._connection.reset()

    # The connection's second life: see Upgraded -----------------------------------------------------------

    def lost(self) -> None:
        """See Upgraded."""
        if self._phase in _UNSETTLED:
            self._end(_ENDING, 1006, "")
        self._phase = _CLOSED
        self._drop_unsent()
        if self._on_close is not None and not self._runs:  # else it is called behind the last message
            self._call_on_close()

    def leave_behind(self) -> None:
        """See Upgraded."""
        self._phase = _CLOSED
        self.close_code = 1006
        self.close_reason = "it belongs to the process that this one was forked from"
        self._queue = None
        self._on_message = self._on_close = None
        self.rooms = ()

    def drain(self) -> None:
        """See Upgraded."""
        if self._connection.services.restarts():
            self.close(1012, "the server restarts")
        else:
            self.close(1001, "the server stops")

    def app_left(self, error: BaseException | None) -> None:
        """See Upgraded."""
        if error is not None:
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
        if not self._connection.is_open:
            return
        now = self._hub.now
        options = self._options
        when = self._close_by
        if self._outbox is not None:
            when = min(when, now + self._outbox.left)
        if self._phase is _OPEN:
            if self._pinged_at > self._heard:
                # Looked at after the interval too: when the answer has come meanwhile, the next ping is due.
                when = min(when, self._pinged_at + options.ping_timeout, now + options.ping_interval)
            elif self._outbox is None:
                when = min(when, self._heard + options.ping_interval)
            if self._outbox is None:
                when = min(when, self._moved_at + options.idle_timeout)
        self._connection.deadline.arm(when)

    def expired(self) -> None:
        """See Upgraded. Something that only puts the moment off has happened meanwhile, or the moment is here."""
        now = self._hub.now
        if now >= self._close_by and not self._may_agree_later(now):
            self._cut(1006, "the client did not agree to the end in time (ws_close_timeout)")
        elif self._outbox is not None and not self._outbox.waited(now):
            self._cut(1008, "the client reads too slowly (send_timeout, send_min_rate)")
        else:
            if self._outbox is not None:
                self._outbox.wait(now)
            if self._phase is _OPEN:
                self._look_after(now, self._options)
            self._set_deadline()

    def _look_after(self, now: float, options: WebSocketOptions) -> None:
        is_idle = now >= self._moved_at + options.idle_timeout and self._outbox is None
        is_pinged = self._pinged_at > self._heard
        is_silent = is_pinged and now >= self._pinged_at + options.ping_timeout
        if (is_idle or is_silent) and (self._stopped or self._stream.has_unread()):
            # What is missed may lie behind what the app has not taken, or have come while an app held the hub.
            self._heard = self._moved_at = now
        elif is_idle:
            self.close(1000, "no message for too long (ws_idle_timeout)")
        elif is_silent and self._takes_what_was_sent():
            self._pinged_at = now  # it has not come to our ping yet
        elif is_silent:
            self._fail(1011, "no answer to a ping (ws_ping_timeout)")
        elif not is_pinged and now >= self._heard + options.ping_interval and self._outbox is None:
            self._pinged_at = now
            self._untaken = self._stream.untaken()
            self._post(encode_ping(b""))

    def _may_agree_later(self, now: float) -> bool:
        """Whether the client is still busy with what we have sent before our Close: then its time begins anew."""
        if self._phase is not _CLOSING or (self._outbox is None and not self._takes_what_was_sent()):
            return False
        self._close_by = now + self._options.close_timeout
        return True

    def _takes_what_was_sent(self) -> bool:
        """Whether the client's machine has taken something since our ping or Close, or since this was asked last."""
        before, self._untaken = self._untaken, self._stream.untaken()
        return self._untaken < before
