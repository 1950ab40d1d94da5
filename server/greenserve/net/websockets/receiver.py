"""The receiving half of a WebSocket: hub callbacks that read, and where the messages go.

Above FrameWriter, which answers pings and Closes. The protocol is greenserve.websocket's, without a socket.

Facts: an app may be busy, or only ever send, while its client pings, closes or disappears; a green thread that does
nothing but wait costs ten times what a socket does. Consequence: reading can't be left to receive(). Decision: the
socket is read from hub callbacks, whatever the app does: pings are answered, a Close is seen; messages go straight to
the green thread that waits for one, or wait in a short queue, or go to a Consumer. When the queue is full nothing more
is read, and TCP holds the client. Cost: a message that came while the app was busy has been unmasked and inflated
before it is known that the app wants it.

Invariants: messages reach the app in their order, each once. Callbacks switch straight into the green thread that
waits: it may have changed everything that they look at, so they look again afterwards.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Final, Protocol

from greenserve.errors import PeerGone
from greenserve.net.sockets.stream import Stream
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve.websocket import OPEN, Close, Deflate, Event, Failure, Message, MessageReader, Phase, Ping
from greenserve_hub.errors import ConcurrentUseError
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN
from greenserve_hub.loop.parking import TIMED_OUT, Waiter
from greenserve_hub.unpatched import _thread

log = logging.getLogger("greenserve.error")

_this_thread: Final = _thread.get_ident
_CLOSING: Final = Phase.CLOSING  # an enum's member is looked up by Python code
# Bytes asked of the kernel: of small frames no more than others can wait for, of a large one that is under way more.
_READ: Final = 16 * 1024
_READ_MORE: Final = 120 * 1024
_QUEUED: Final = 1 << 20  # bytes of messages in the queue from which on no more is read


class Consumer(Protocol):
    """Takes messages in place of receive()."""

    def start(self, message: Message | None = None) -> bool:
        """Take this message and the queued ones. Return False, with this one not taken, if it takes them already."""


class _Queue(deque[Message]):
    """Messages that the app has not taken."""

    __slots__ = ("bytes", "is_full")

    def __init__(self) -> None:
        self.bytes = 0  # or characters
        self.is_full = False  # no more is read until the last one is taken

    def put(self, message: Message, most: int) -> None:
        self.append(message)
        self.bytes += len(message)
        self.is_full = len(self) >= most or self.bytes >= _QUEUED


class Receiver:
    """Reads messages for one WebSocket. Called by the hub when its socket is readable: see __call__."""

    __slots__ = (
        "_at_once",
        "_queue",
        "_reader",
        "_waiter",
        "bytes_received",
        "consumer",
        "heard_at",
        "messages_received",
        "moved_at",
        "writer",
    )

    def __init__(self, writer: FrameWriter, deflate: Deflate | None) -> None:
        """Reads nothing before begin()."""
        self.writer = writer
        self._reader = MessageReader(writer.options.limits, deflate)
        self._queue: _Queue | None = None  # a thousand idle ones are many
        self._waiter: Waiter | None = None
        self._at_once = _READ
        self.consumer: Consumer | None = None
        self.bytes_received = 0  # on the wire
        self.messages_received = 0
        self.heard_at = self.moved_at = writer.hub.now  # when the client last said anything, and a message

    # For the app -----------------------------------------------------------------------------------------

    def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message, None when it is closed: see WebSocket.receive. Switches: when empty."""
        if self.consumer is not None:
            raise RuntimeError(
                "messages of this WebSocket go to its on_message: receive() would never get one"
            )
        writer = self.writer
        hub = writer.hub
        if _this_thread() != hub.thread_id:
            raise writer.elsewhere()
        queue = self._queue
        if queue:
            return self._take_queued(queue)
        if hub.clock() - hub.now > MAX_TURN and writer.closing is OPEN:
            sleep(0)
            if queue := self._queue:
                return self._take_queued(queue)
        if self._reader.unread and (message := self._next_message()) is not None:
            return message
        if writer.closing is not OPEN:
            return None
        if self._waiter is not None:
            raise ConcurrentUseError(f"{writer.owner}: another green thread receives already")
        self._waiter = waiter = Waiter(hub, "receive from", writer.owner)
        try:
            woken = waiter.park(timeout)
        finally:
            self._waiter = None
        if woken is not TIMED_OUT:
            received: Message | None = woken
            return received
        if queue := self._queue:
            return self._take_queued(queue)
        raise TimeoutError("no message came in time")

    def consume_by(self, consumer: Consumer | None) -> None:
        """Give messages to `consumer` from now on; None: to receive(). Raises ConcurrentUseError."""
        if consumer is not None and self._waiter is not None:
            raise ConcurrentUseError(
                f"{self.writer.owner}: a green thread waits in receive() for what on_message would get"
            )
        self.consumer = consumer

    @property
    def has_queued(self) -> bool:
        """Return True if messages wait in the queue."""
        return bool(self._queue)

    def take_queued(self, messages: list[Message]) -> bool:
        """Move the next message of the queue into `messages`. Return False if there is none. Switches: never."""
        queue = self._queue
        if not queue:
            return False
        messages.append(self._take_queued(queue))
        return True

    # Reading ---------------------------------------------------------------------------------------------

    def begin(self, ahead: bytes) -> None:
        """Begin to read; `ahead` is what came behind the request. Switches: never."""
        if ahead:
            self.writer.hub.call_soon(self._receive, ahead)
        else:
            self._read_on()

    def stop(self) -> None:
        """No message follows. After a close of our own none is given; reading goes on, for the client's Close."""
        if self.writer.closing.phase is _CLOSING:
            if self.is_stopped:
                self.writer.hub.call_soon(self._take_rest)
            self._queue = None
        if self._waiter is not None:
            self._waiter.wake(None)

    def leave_behind(self) -> None:
        """In the child of a fork: nothing is given to anybody."""
        self._queue = self.consumer = None

    def count_as_heard(self, now: float) -> None:
        """The client may have said something that was not read yet."""
        self.heard_at = self.moved_at = now

    def fail(self, code: int, reason: str) -> None:
        """End it, as the client has broken the protocol or a limit. Switches: never."""
        writer = self.writer
        log.debug("%r: closed with %d: %s", writer.owner, code, reason)
        writer.step(writer.closing.fail(code, reason))

    def _read_on(self) -> None:
        stream = self.writer.carrier.stream
        if type(stream) is Stream:
            stream.descriptor.when_readable(self)  # stream.when_readable(), without the call
        else:
            stream.when_readable(self)

    def __call__(self) -> None:
        """The socket is readable. Its own callback: a bound method would cost each idle WebSocket 64 bytes."""
        writer = self.writer
        stream = writer.carrier.stream
        if stream.descriptor.closed or (writer.closing is not OPEN and not writer.carrier.is_open):
            return
        try:
            data = stream.receive_now(self._at_once)
        except BlockingIOError:
            stream.descriptor.when_readable(self)
        except PeerGone as error:
            writer.broke(str(error))
        else:
            if data:
                self._receive(data)
            else:
                writer.broke("the client closed the connection without closing the WebSocket")

    def _receive(self, data: bytes) -> None:
        writer = self.writer
        if writer.closing is not OPEN and writer.closing.phase is not _CLOSING:
            if writer.carrier.is_open:
                self._read_on()  # a Close waits for the client: of what comes only the end counts
            return
        try:
            size = len(data)
            self.bytes_received += size
            self.heard_at = writer.hub.now
            event = self._reader.feed(data)
            if size < _READ:
                self._at_once = _READ
            elif size == self._at_once:
                self._at_once = _READ_MORE
            self._take(event)
        except Exception:
            writer.carrier.broke()

    @property
    def is_stopped(self) -> bool:
        """Return True if nothing is read until the app takes what is in the queue."""
        return self._queue is not None and self._queue.is_full

    def _go_on(self) -> None:
        """The app has taken the last message of a full queue: take what was left."""
        if self.is_stopped:
            self._queue = None
            self._take_rest()

    def _take_rest(self) -> None:
        writer = self.writer
        if writer.closing is OPEN or writer.closing.phase is _CLOSING:
            try:
                self._take(self._reader.next())
            except Exception:
                writer.carrier.broke()

    def _take(self, event: Event | None) -> None:
        """Deal with what has come, one after another, until nothing is left or the queue is full; then read on."""
        writer = self.writer
        while event is not None:
            if type(event) is str or type(event) is bytes:  # isinstance() would make a union each time
                self.messages_received += 1
                self.moved_at = self.heard_at
                waiter = self._waiter
                if waiter is not None and waiter.wake_now(event):
                    pass  # it looks at the time itself
                elif writer.closing is OPEN:
                    if self._is_full_with(event):
                        return
                elif self._gives_way():
                    return
            else:
                self._take_control(event)
                if self._gives_way():
                    return
            if writer.closing is not OPEN and writer.closing.phase is not _CLOSING:
                return
            event = self._reader.next() if self._reader.unread else None
        self._read_on()

    def _gives_way(self) -> bool:
        """Return True to go on in the next turn: a read may hold ten thousand pings, each to be answered."""
        hub = self.writer.hub
        if hub.clock() - hub.now <= MAX_TURN:
            return False
        hub.call_soon(self._take_rest)
        return True

    def _is_full_with(self, message: Message) -> bool:
        """Hand it to the consumer or put it into the queue. Return True if no more is to be read."""
        queue, consumer = self._queue, self.consumer
        if not queue and consumer is not None and consumer.start(message):
            return False
        if queue is None:
            queue = self._queue = _Queue()
        queue.put(message, self.writer.options.max_queue)
        return queue.is_full

    def _take_queued(self, queue: _Queue) -> Message:
        message = queue.popleft()
        queue.bytes -= len(message)
        if not queue:
            if queue.is_full:
                self.writer.hub.call_soon(self._go_on)
            else:
                self._queue = None
        return message

    def _next_message(self) -> Message | None:
        """Return the next of what is here already: in the app's green thread, so that a burst takes no switches."""
        if self.is_stopped:
            return None
        hub = self.writer.hub
        while self.writer.closing is OPEN and (event := self._reader.next()) is not None:
            if isinstance(event, str | bytes):
                self.messages_received += 1
                self.moved_at = self.heard_at
                return event
            self._take_control(event)
            if hub.clock() - hub.now > MAX_TURN:
                break  # _take() comes back to the rest
        return None

    def _take_control(self, event: Event) -> None:
        writer = self.writer
        if isinstance(event, Ping):
            if writer.closing is OPEN:
                writer.pong(event.payload)
        elif isinstance(event, Close):
            writer.step(writer.closing.receive(event))
        elif isinstance(event, Failure):
            self.fail(event.code, event.reason)
