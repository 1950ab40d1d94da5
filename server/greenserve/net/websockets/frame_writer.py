"""Frames on their way to one client: at once where the kernel takes them, else by an outbox, in their order.

Below Sender, which knows messages and the turns of senders. Takes the closing handshake from step to step, since each
step may send a Close. Invariants: no frame overtakes another; nothing follows a Close; a client that reads too slowly
is cut off, by its rate or by `limit_unsent`.
"""

from __future__ import annotations

from typing import Protocol

from greenserve.errors import PeerGone, WebSocketClosed
from greenserve.net.http.services import Carrier
from greenserve.net.sockets.outbox import Frame, Outbox
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.websocket import OPEN, Closing, Phase, encode_pong
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter


class Owner(Protocol):
    """The WebSocket, as its parts call it. No method switches. Dumps and logs show it."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake, behind what its rooms have for it."""

    def closing_begins(self) -> None:
        """No message is sent any more. The Close, if there is one, follows."""

    def set_deadline(self) -> None:
        """What is due next may have changed."""

    def has_room(self) -> None:
        """The client has taken something of what waited for it."""


class FrameWriter:
    """Sends frames to the client, and keeps what the kernel does not take."""

    __slots__ = ("bytes_sent", "carrier", "closing", "hub", "options", "outbox", "owner")

    def __init__(self, carrier: Carrier, owner: Owner, options: WebSocketOptions) -> None:
        """Nothing is sent yet. The arguments are for the parts above, too."""
        self.carrier = carrier
        self.owner = owner
        self.options = options
        self.hub: Hub = carrier.services.hub
        self.closing = OPEN  # changed here alone
        self.outbox: Outbox | None = None  # of a client that does not keep up
        self.bytes_sent = 0  # on the wire, or on their way

    def post(self, frame: bytes) -> None:
        """Send a frame without waiting: what the kernel does not take goes to the outbox. Switches: never."""
        outbox = self.outbox
        if outbox is None:
            try:
                sent = self.carrier.stream.send_now(frame)
            except PeerGone as error:
                self.broke(str(error))
                return
            self.bytes_sent += sent
            if sent != len(frame):
                self.put(memoryview(frame)[sent:])
        else:
            if self.closing is not OPEN:
                outbox.pong = None  # nothing follows a Close (RFC 6455 §5.5.1)
            self.put(frame)

    def send_now(self, frame: bytes) -> int:
        """Return how much the kernel takes now; the caller puts the rest. Raises WebSocketClosed. Switches: never."""
        try:
            sent = self.carrier.stream.send_now(frame)
        except PeerGone as error:
            self.broke(str(error))
            raise self.closed_error() from None
        self.bytes_sent += sent
        return sent

    def pong(self, payload: bytes) -> None:
        """Answer a ping. Of several that wait for a slow client only the last is sent (RFC 6455 §5.5.3)."""
        frame = encode_pong(payload)
        if self.outbox is None:
            self.post(frame)
        else:
            self.outbox.pong = frame

    # A slow client ---------------------------------------------------------------------------------------

    def put(self, left: Frame, waiter: Waiter | None = None) -> None:
        """Put what the kernel has not taken of a frame into the outbox, and later frames behind it. Switches: never."""
        outbox = self.outbox
        if outbox is None:
            services = self.carrier.services
            outbox = Outbox(self.carrier.stream, services.timeouts.send_pace(), services.budget, self._reset)
            self.outbox = outbox
            outbox.start_clock(self.hub.now)
            self.carrier.stream.when_writable(self._on_writable)
            self.owner.set_deadline()
        self.bytes_sent += len(left)
        outbox.put(left, waiter)

    def _reset(self) -> None:
        self.cut(1008, "of all clients that read too slowly, it took nothing for longest (limit_unsent)")

    def _on_writable(self) -> None:
        outbox = self.outbox
        if outbox is None or not self.carrier.is_open:
            return
        try:
            outbox.check_clock(self.hub.now)
            if outbox.flush():
                self.outbox = None
                self._linger_if_ended()
            else:
                outbox.start_clock(self.hub.now)
                self.carrier.stream.when_writable(self._on_writable)
            self.owner.set_deadline()
        except PeerGone as error:
            self.broke(str(error))
        except Exception:
            self.carrier.broke()
        self.owner.has_room()

    # The end ---------------------------------------------------------------------------------------------

    def step(self, closing: Closing) -> None:
        """Take this step of the closing handshake, and send its frame. Switches: never."""
        if closing is self.closing:
            return
        self._enter(closing)
        if closing.frame:
            self.post(closing.frame)
        if self.outbox is None:
            self._linger_if_ended()

    def broke(self, reason: str) -> None:
        """End it: the connection can't be used any more. Switches: never."""
        self._enter(self.closing.lose(reason))
        self.carrier.close()

    def cut(self, code: int, reason: str) -> None:
        """End it without agreeing with the client. Switches: never."""
        self._enter(self.closing.lose(reason, code))
        self.carrier.reset()

    def closed(self) -> None:
        """The connection is closed: nothing goes out any more. Switches: never."""
        self._enter(self.closing.lose())
        self.closing = self.closing.closed()
        outbox, self.outbox = self.outbox, None
        if outbox is not None:
            self.bytes_sent -= outbox.drop()

    def leave_behind(self, reason: str) -> None:
        """In the child of a fork: it is closed here, and nobody is told."""
        self.closing = self.closing.lose(reason).closed()

    def elsewhere(self) -> RuntimeError:
        """Return what calls from another OS thread raise: the hub would hear nothing of what they do."""
        return RuntimeError(
            f"{self.owner!r} is for green threads of its server. From another OS thread: "
            "server.hub.call_from_thread(room.send, message), or (greenserve.spawn_n, ws.send, message)"
        )

    def closed_error(self) -> WebSocketClosed:
        """Return what calls raise once it is not open."""
        code, reason = self.closing.code, self.closing.reason
        assert code is not None, "it is known when messages are over"
        assert reason is not None
        return WebSocketClosed(code, reason)

    def _enter(self, closing: Closing) -> None:
        was_open = self.closing is OPEN
        self.closing = closing
        if was_open:
            self.owner.closing_begins()

    def _linger_if_ended(self) -> None:
        if self.closing.phase is Phase.ENDING:
            self.carrier.linger()
