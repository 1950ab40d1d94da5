"""A WebSocket: what an app has in its hands, from the handshake to the end.

Lives on a connection after HTTP (net/http/activity.py). It has a FrameWriter, a Sender, a Receiver, a Keepalive and,
once the app sets one, Callbacks. Here is what joins them: the app's calls, rooms, and what happens when it ends.

Invariants: after a Close, ours or theirs, no message is sent; `lost` ends all that waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from greenserve.net.http.activity import UpgradeRecord
from greenserve.net.http.services import Carrier, Turns
from greenserve.net.websockets.callbacks import Callbacks, OnClose, OnMessage
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve.net.websockets.keepalive import Keepalive
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.net.websockets.receiver import Receiver
from greenserve.net.websockets.rooms import Room
from greenserve.net.websockets.sender import Sender
from greenserve.websocket import OPEN, Handshake, Message, Phase
from greenserve_hub.unpatched import _thread

_this_thread: Final = _thread.get_ident
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


@lru_cache(64)
def _shared(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return one tuple for all equal ones: the clients of an app send the same fields."""
    return keys


class WebSocket:
    """One WebSocket of a client.

    Made by accept_websocket and WebSocketWSGI. To be used from green threads of its server's OS thread.
    """

    __slots__ = (
        "_callbacks",
        "_environ",
        "_keepalive",
        "_receiver",
        "_sender",
        "_writer",
        "path",
        "rooms",
        "subprotocol",
    )

    def __init__(
        self,
        carrier: Carrier,
        ahead: bytes,
        handshake: Handshake,
        environ: dict[str, Any],
        options: WebSocketOptions,
    ) -> None:
        """The handshake is done; `ahead` is what has come behind the request."""
        self.path: str = environ.get("PATH_INFO", "")
        self.subprotocol = handshake.subprotocol  # the one agreed on, or None
        self.rooms: tuple[Room, ...] = ()  # that it has joined
        # When the app has left it alone: its keys in a tuple that many share, and the values.
        self._environ: dict[str, Any] | tuple[Any, ...] = environ
        self._callbacks: Callbacks | None = None
        self._writer = writer = FrameWriter(carrier, self, options)
        self._sender = sender = Sender(writer, handshake.deflate)
        self._receiver = receiver = Receiver(writer, handshake.deflate)
        self._keepalive = Keepalive(sender, receiver)
        receiver.begin(ahead)
        self._keepalive.arm()

    def __repr__(self) -> str:
        """For dumps and logs."""
        carrier = self._writer.carrier
        client = f"{carrier.peer or 'unix'}:{carrier.peer_port}"
        return f"<WebSocket {self.path} of {client} {self._writer.closing.phase.name}>"

    # Messages --------------------------------------------------------------------------------------------

    def send(self, message: Message) -> bool:
        """Send a message: text for str, binary for bytes. Return False if it was dropped (`when_slow`).

        Raises WebSocketClosed, TypeError, and RuntimeError in another OS thread. A Timeout that ends the wait leaves
        open whether it is sent: whole, or not at all. A callback of the hub can't wait: HubError there, with nothing
        sent, when the client has not taken what was sent before. Switches: where `when_slow` is wait, when the client
        reads slowly or another message is being streamed; and to let others have their turn.
        """
        if _this_thread() != self._writer.hub.thread_id:
            raise self._writer.elsewhere()
        if self.rooms:
            self._catch_up()
        return self._sender.send(message)

    def send_stream(self, pieces: Iterable[str] | Iterable[bytes]) -> None:
        """Send one message piece by piece, each as soon as it is there; text if the first is str, else binary.

        Other messages wait until it is over; pings go on. If the pieces end with an error the connection is closed
        with 1011: nothing else tells the client that the message has no end. Not compressed. Waits for a slow client,
        whatever `when_slow` says. Raises WebSocketClosed, TypeError, and ValueError for no piece at all.
        Switches: when the client reads slowly, or another message is being streamed; and to let others have their turn.
        """
        self.must_be_here()
        if self.rooms:
            self._catch_up()
        self._sender.stream(pieces)

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping of up to 125 bytes. Not to a client that does not take what is sent already. Switches: never.

        Raises WebSocketClosed, ValueError.
        """
        self.must_be_here()
        self._sender.ping(data)

    def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message, str or bytes; None when the WebSocket is closed.

        What had come before a close of the client's is given first; after a close of our own nothing is. Raises
        TimeoutError after `timeout` s, ConcurrentUseError when another green thread waits here. Switches: when empty.
        """
        return self._receiver.receive(timeout)

    def wait(self) -> Message | None:
        """Receive without a time limit: eventlet's name."""
        return self._receiver.receive()

    def __iter__(self) -> Iterator[Message]:
        """Message by message until it is closed."""
        return iter(self._receiver.receive, None)  # a generator would cost a frame for each that waits in one

    @property
    def on_message(self) -> OnMessage | None:
        """What is called with each message, one at a time, in a green thread that exists while there are any.

        With one the app may return, and the WebSocket stays open: it costs no green thread then.
        """
        return None if self._callbacks is None else self._callbacks.on_message

    @on_message.setter
    def on_message(self, function: OnMessage | None) -> None:
        self.must_be_here()
        if function is not None and not callable(function):
            raise TypeError(f"on_message is a function of a message, and not {function!r:.100}")
        callbacks = self._have_callbacks()
        self._receiver.consume_by(None if function is None else callbacks)
        callbacks.on_message = function
        if function is not None and self._receiver.has_queued:
            callbacks.start()

    @property
    def on_close(self) -> OnClose | None:
        """What is called when it is closed, behind the last message, on a green thread; at once where it is already."""
        return None if self._callbacks is None else self._callbacks.on_close

    @on_close.setter
    def on_close(self, function: OnClose | None) -> None:
        self.must_be_here()
        if function is not None and not callable(function):
            raise TypeError(f"on_close is a function without arguments, and not {function!r:.100}")
        callbacks = self._have_callbacks()
        callbacks.on_close = function
        if self._writer.closing.phase is Phase.CLOSED:
            callbacks.closed()

    def _have_callbacks(self) -> Callbacks:
        if self._callbacks is None:
            self._callbacks = Callbacks(self._receiver)
        return self._callbacks

    # Rooms -----------------------------------------------------------------------------------------------

    def send_shared(self, frame: bytes, messages: int = 1) -> bool:
        """Send what encode_shared has made for `window_bits`, so many messages, without waiting. Switches: never.

        Return False if it was not sent: the socket is closed, or its client is too slow.
        """
        return self._sender.send_shared(frame, messages)

    @property
    def window_bits(self) -> int | None:
        """How far a compressed message to this client may look back, as a power of two; None: it takes none."""
        deflate = self._sender.deflate
        return None if deflate is None else deflate.server_max_window_bits

    @property
    def broadcasts(self) -> Turns:
        """Its server's."""
        return self._writer.carrier.services.broadcasts

    def must_be_here(self) -> None:
        """Raise RuntimeError in another OS thread than the server's."""
        if _this_thread() != self._writer.hub.thread_id:
            raise self._writer.elsewhere()

    def _catch_up(self) -> None:
        """Send what its rooms have for it first."""
        for room in self.rooms:
            room.catch_up(self)

    # What it is ------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Return True if no message can be sent any more."""
        return self._writer.closing is not OPEN

    @property
    def close_code(self) -> int | None:
        """The code with which it is closed (RFC 6455 §7.1.5); None while it is open."""
        return self._writer.closing.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with the code; None while it is open."""
        return self._writer.closing.reason

    @property
    def bytes_received(self) -> int:
        """Bytes of frames received."""
        return self._receiver.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Bytes of frames sent, or on their way."""
        return self._writer.bytes_sent

    @property
    def messages_received(self) -> int:
        """Messages received."""
        return self._receiver.messages_received

    @property
    def messages_sent(self) -> int:
        """Messages sent, or on their way."""
        return self._sender.messages_sent

    @property
    def dropped(self) -> int:
        """Messages that were not sent to a slow client (`when_slow`)."""
        return self._sender.dropped

    @property
    def environ(self) -> dict[str, Any]:
        """The environ of its request.

        When the app has returned, with on_message, only the text in it is kept, without the fields of the handshake.
        """
        environ = self._environ
        if isinstance(environ, dict):
            return environ
        return self._known_environ() | dict(zip(environ[0], environ[1:], strict=True))

    def _known_environ(self) -> dict[str, Any]:
        """Return what environ would be by what the connection and this object know."""
        carrier = self._writer.carrier
        return {
            **carrier.environ,
            "REQUEST_METHOD": "GET",
            "PATH_INFO": self.path,
            "REMOTE_ADDR": carrier.peer,
            "REMOTE_PORT": carrier.peer_port,
        }

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

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close; the client has ws_close_timeout to agree. What was sent before goes out first.

        Nothing happens where it is closed already. Raises ValueError for a code that can't be sent (RFC 6455 §7.4) or
        a reason longer than 123 bytes. Switches: never.
        """
        self.must_be_here()
        writer = self._writer
        if self.rooms and writer.closing is OPEN:
            self._catch_up()
        writer.step(writer.closing.close(code, reason))

    # Its parts call: see Owner ---------------------------------------------------------------------------

    def closing_begins(self) -> None:
        """Leave rooms, and wake whatever waits."""
        for room in self.rooms:
            room.leave(self)
        self._sender.stop()
        self._receiver.stop()
        self._keepalive.begin_to_close()

    def set_deadline(self) -> None:
        """Have the deadline computed anew."""
        self._keepalive.arm()

    def has_room(self) -> None:
        """Let senders go on."""
        self._sender.let_send()

    # Its connection calls: see Upgraded ------------------------------------------------------------------

    def expired(self) -> None:
        """Act on what is due."""
        self._keepalive.expired()

    def lost(self) -> None:
        """End what waits; then on_close."""
        self._writer.closed()
        if self._callbacks is not None:
            self._callbacks.closed()

    def leave_behind(self) -> None:
        """Become as closed, silently."""
        self._writer.leave_behind("it belongs to the process that this one was forked from")
        self._receiver.leave_behind()
        if self._callbacks is not None:
            self._callbacks.leave_behind()
            self._callbacks = None
        self.rooms = ()

    def drain(self) -> None:
        """Close with the code that says whether another server follows."""
        if self._writer.carrier.services.restarts():
            self.close(1012, "the server restarts")
        else:
            self.close(1001, "the server stops")

    def app_left(self, error: BaseException | None) -> None:
        """Close, unless there is an on_message; then keep only the text of environ."""
        if error is not None:
            self.close(1011, "error in the app")
        elif self.on_message is None:
            self.close(1000)
        else:
            known = self._known_environ()
            own = {k: v for k, v in self.environ.items() if type(v) is str and known.get(k) != v}
            for key in _OF_HANDSHAKE:
                own.pop(key, None)
            self._environ = _shared(tuple(own)), *own.values()

    def record(self) -> UpgradeRecord:
        """Return what the access log tells of it."""
        messages = (self.messages_received, self.messages_sent)
        return UpgradeRecord(self.environ, self.bytes_received, self.bytes_sent, messages)
