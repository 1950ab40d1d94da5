"""Frames on their way to one client: at once where the kernel takes them, else by an outbox, in their order.

Under FrameSending, which knows messages and who may send when. The invariants: no frame overtakes another; nothing
follows a Close; a client that takes what waits for it too slowly is cut off, by its pace or by `limit_unsent`.
"""

from __future__ import annotations

from typing import Final

from greenserve.errors import PeerGone, WebSocketClosed
from greenserve.net.http.activity import Carrier
from greenserve.net.http.states import Phase
from greenserve.net.sockets.outbox import Frame, Outbox
from greenserve.net.sockets.stream import Stream
from greenserve.websocket import encode_pong
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter
from greenserve_hub.unpatched import _thread

_OPEN: Final = Phase.OPEN  # an enum's member is looked up by Python code
_this_thread: Final = _thread.get_ident


class FramePosting:
    """A WebSocket as what sends frames."""

    __slots__ = ("_connection", "_hub", "_outbox", "_phase", "_stream", "bytes_sent")

    close_code: int | None
    close_reason: str | None

    def __init__(self, connection: Carrier) -> None:
        """For FrameSending."""
        self._connection = connection
        self._hub: Hub = connection.services.hub
        self._stream: Stream = connection.stream
        self._phase = _OPEN
        self._outbox: Outbox | None = None  # of a client that does not keep up
        self.bytes_sent = 0  # on the wire, or on their way

    def must_be_here(self) -> None:
        """Raise RuntimeError in another OS thread than the server's, whose hub would hear nothing of what is done."""
        if _this_thread() != self._hub.thread_id:
            raise RuntimeError(
                f"{self!r} is for green threads of its server. From another OS thread: "
                "server.hub.call_from_thread(room.send, message), or (greenserve.spawn_n, ws.send, message)"
            )

    def _post(self, frame: bytes) -> None:
        """Send a frame without waiting: what the kernel does not take goes to the outbox. Switches: never."""
        outbox = self._outbox
        if outbox is None:
            try:
                sent = self._send_now(frame)
            except WebSocketClosed:
                return
            if sent != len(frame):
                self._put(memoryview(frame)[sent:])
        else:
            if self._phase is not _OPEN:
                outbox.pong = None  # nothing follows a Close (RFC 6455 §5.5.1)
            self.bytes_sent += len(frame)
            outbox.put(frame)

    def _send_now(self, frame: bytes) -> int:
        """What the kernel takes at once; the caller puts the rest. Raises WebSocketClosed. Switches: never."""
        try:
            sent = self._stream.send_now(frame)
        except PeerGone as error:
            self._broke(str(error))
            raise self._closed_error() from None
        self.bytes_sent += len(frame)
        return sent

    def _pong(self, payload: bytes) -> None:
        frame = encode_pong(payload)
        if self._outbox is None:
            self._post(frame)
        else:
            self._outbox.pong = frame

    # A slow client ---------------------------------------------------------------------------------------

    def _put(self, left: Frame, waiter: Waiter | None = None) -> None:
        """What the kernel has not taken of a frame goes to the outbox, and others behind it."""
        outbox = self._outbox
        if outbox is None:
            services = self._connection.services
            outbox = Outbox(self._stream, services.timeouts.send_pace(), services.budget, self._give_up)
            self._outbox = outbox
            outbox.wait(self._hub.now)
            self._stream.when_writable(self._on_writable)
            self._set_deadline()
        outbox.put(left, waiter)

    def _give_up(self) -> None:
        self._cut(1008, "of all clients that read too slowly, it took nothing for longest (limit_unsent)")

    def _on_writable(self) -> None:
        """There is room again."""
        outbox = self._outbox
        if outbox is None or not self._connection.is_open:
            return
        try:
            outbox.waited(self._hub.now)
            if outbox.flush():
                self._outbox = None
                self._all_sent()
            else:
                outbox.wait(self._hub.now)
                self._stream.when_writable(self._on_writable)
            self._set_deadline()
        except PeerGone as error:
            self._broke(str(error))
        except Exception:
            self._connection.broke()
        self._let_send()

    def _drop_unsent(self) -> None:
        """Nothing goes out any more."""
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            self.bytes_sent -= outbox.drop()

    # The others' -------------------------------------------------------------------------------------------

    def _let_send(self) -> None:
        """There may be room for more messages. From the hub. FrameSending's."""
        raise NotImplementedError

    def _closed_error(self) -> WebSocketClosed:
        assert self.close_code is not None, "it is known when messages are over"
        assert self.close_reason is not None
        return WebSocketClosed(self.close_code, self.close_reason)

    def _broke(self, reason: str) -> None:
        """The connection can't be used any more. WebSocket's, as those below."""
        raise NotImplementedError

    def _cut(self, code: int, reason: str) -> None:
        """End it without agreeing with the client."""
        raise NotImplementedError

    def _set_deadline(self) -> None:
        """Arm the deadline for what is due next."""
        raise NotImplementedError

    def _all_sent(self) -> None:
        """The outbox is empty."""
        raise NotImplementedError
