"""The receiving half of a WebSocket: hub callbacks that read, and who gets the messages.

Under WebSocket, over the sending half. The protocol is greenserve.websocket's, without a socket.

Facts: an app may be busy, or only ever send, while its client pings, closes or disappears; a green thread that does
nothing but wait costs ten times what a socket does. Consequence: reading can't be left to whoever calls receive().
Decision: the socket is read from hub callbacks, whatever the app does: pings are answered, a close is seen; messages
go straight to the green thread that waits for one, or wait in a short queue, or are handed to `on_message` on a green
thread that exists while there are any. When the queue is full nothing more is read, and TCP holds the client. Cost: a
message that was received while the app was busy has been unmasked and inflated before it is known that the app wants
it.

Invariants: messages reach the app in their order, each once. Callbacks switch straight into the green thread that
waits: whatever they look at may be another one's afterwards, and is looked at again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, cast

from greenlet import getcurrent

from greenserve.errors import PeerGone
from greenserve.net.http.activity import Carrier
from greenserve.net.http.states import Phase
from greenserve.net.sockets.stream import Stream
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.net.websockets.sender import FrameSending
from greenserve.websocket import Close, Deflate, Event, Failure, Message, MessageReader, Ping
from greenserve.wsgi import end_if_forked
from greenserve_hub import forks
from greenserve_hub.errors import ConcurrentUseError
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.greenthreads.workers import PoolWorker
from greenserve_hub.loop.hub import MAX_TURN
from greenserve_hub.loop.parking import TIMED_OUT, Waiter

log = logging.getLogger("greenserve.error")

_OPEN, _CLOSING, _, _CLOSED = Phase  # an enum's member is looked up by Python code
# Bytes asked of the kernel: of small frames no more than others can wait for, of a large one that is under way more.
_READ: Final = 16 * 1024
_READ_MORE: Final = 120 * 1024
_QUEUED: Final = 1 << 20  # bytes of messages in the queue from which on no more is read


class MessageReceiving(FrameSending):
    """A WebSocket that receives."""

    __slots__ = (
        "_at_once",
        "_heard",
        "_on_message",
        "_queue",
        "_queued",
        "_reader",
        "_runs",
        "_stopped",
        "_waiter",
        "bytes_received",
        "messages_received",
    )

    def __init__(self, connection: Carrier, deflate: Deflate | None, options: WebSocketOptions) -> None:
        """For WebSocket, who begins to read."""
        super().__init__(connection, deflate, options)
        self.bytes_received = 0  # on the wire
        self.messages_received = 0
        self._reader = MessageReader(options.limits, deflate)
        self._queue: deque[Message] | None = None
        self._queued = 0  # bytes in it, or characters
        self._stopped = False  # reading, until the app takes a message
        self._waiter: Waiter | None = None
        self._on_message: Callable[[Message], object] | None = None
        self._runs = False  # a green thread is calling on_message
        self._at_once = _READ
        self._heard = self._hub.now  # when the client last said anything

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
        self.must_be_here()
        queue = self._queue
        if queue:
            return self._take_queued(queue)
        hub = self._hub
        if self._phase is _OPEN:
            if hub.clock() - hub.now > MAX_TURN:
                sleep(0)
                if queue := self._queue:
                    return self._take_queued(queue)
            if self._reader.unread and (message := self._next_message()) is not None:
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
        self.must_be_here()
        if function is not None and not callable(function):
            raise TypeError(f"on_message is a function of a message, and not {function!r:.100}")
        if function is not None and self._waiter is not None:
            raise ConcurrentUseError(
                f"{self}: a green thread waits in receive() for what on_message would get"
            )
        self._on_message = function
        if function is not None and self._queue:
            self._run_soon()

    # Reading ---------------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        stream = self._stream
        if type(stream) is Stream and not stream.descriptor.readable:
            stream.descriptor.on_readable(self._on_readable)  # when_readable(), without the call
        else:
            stream.when_readable(self._on_readable)

    def _on_readable(self) -> None:
        if not self._connection.is_open:
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
        if not self._connection.is_open:
            return
        try:
            size = len(data)
            self.bytes_received += size
            self._heard = self._hub.now
            event = self._reader.feed(data)
            if size < _READ:
                self._at_once = _READ
            elif size == self._at_once:
                self._at_once = _READ_MORE
            self._take(event)
        except Exception:
            self._connection.broke()

    def _continue(self) -> None:
        """Go on with what was left when the queue was full."""
        if self._stopped:
            self._stopped = False
            self._take_rest()

    def _take_rest(self) -> None:
        if self._phase is _OPEN or self._phase is _CLOSING:
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
                    pass  # it looks at the time itself
                elif self._phase is _OPEN:
                    if self._is_full_with(event):  # type: ignore[arg-type]  # seen above
                        return
                elif self._gives_way():
                    return
            else:
                self._take_control(event)
                if self._gives_way():
                    return
            if self._phase is not _OPEN and self._phase is not _CLOSING:
                return
            event = self._reader.next() if self._reader.unread else None
        self._read_on()

    def _gives_way(self) -> bool:
        """Whether to go on in the next turn: a read holds pings by the ten thousand, each of which is answered."""
        hub = self._hub
        if hub.clock() - hub.now <= MAX_TURN:
            return False
        hub.call_soon(self._take_rest)
        return True

    def _is_full_with(self, message: Message) -> bool:
        """Put it into the queue; whether no more is to be read."""
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        queue.append(message)
        self._queued += len(message)
        if self._on_message is not None:
            self._run_soon()
        # Looked at now: on_message may have taken it already, or all.
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
        hub = self._hub
        while self._phase is _OPEN and (event := self._reader.next()) is not None:
            if isinstance(event, str | bytes):
                self.messages_received += 1
                self._moved_at = self._heard
                return event
            self._take_control(event)
            if hub.clock() - hub.now > MAX_TURN:
                break  # _take() comes back to the rest
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
            services = self._connection.services
            services.callbacks.start_nowait(services.context.copy().run, self._run)

    def _run(self) -> None:
        """Call on_message until nothing is left. On a worker."""
        hub = self._hub
        worker = cast(PoolWorker, getcurrent())
        try:
            while (queue := self._queue) and (function := self._on_message) is not None:
                function(self._take_queued(queue))
                if forks.last is not None:
                    end_if_forked(self)
                worker.next_job()
                if hub.clock() - hub.now > MAX_TURN:
                    sleep(0)
        except Exception as error:
            end_if_forked(self, error)
            if isinstance(error, PeerGone) and self._phase is not _OPEN:
                log.debug("%r: %s", self, error)
            else:
                log.exception("%r: error in on_message; the WebSocket is closed with 1011", self)
            self.close(1011, "error in the app")
        except BaseException:  # a Timeout say, which the pool tells of
            self.close(1011, "error in the app")
            raise
        finally:
            self._runs = False
            if not self._queue:
                self._queue = None  # a thousand idle ones are many
            if self._phase is _CLOSED:
                self._run_on_close()

    def _wake(self, message: Message | None) -> None:
        if self._waiter is not None:
            self._waiter.wake(message)

    # The life --------------------------------------------------------------------------------------------

    def _agree(self, close: Close) -> None:
        """The client's Close has come."""
        raise NotImplementedError

    def _fail(self, code: int, reason: str) -> None:
        """The client has broken the protocol or a limit."""
        raise NotImplementedError

    def _run_on_close(self) -> None:
        """The last message was given, and it is closed."""
        raise NotImplementedError
