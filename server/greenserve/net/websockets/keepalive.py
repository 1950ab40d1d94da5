"""Keepalive: what a WebSocket does at which time, all under the one deadline of its connection.

It pings a silent client, ends a socket on which nothing is said and one whose client does not answer, and gives a slow
client the time that its rate allows. Reads when the other parts have heard or sent something; they know nothing of it.

The invariant: a client that still takes what was sent before our ping or Close is waited for: its answer comes later.
"""

from __future__ import annotations

from greenserve.net.websockets.receiver import Receiver
from greenserve.net.websockets.sender import Sender
from greenserve.websocket import OPEN, Phase, encode_ping
from greenserve_hub.deadlines import NEVER


class Keepalive:
    """The times of one WebSocket."""

    __slots__ = ("_asked_at", "_receiver", "_sender", "_untaken")

    def __init__(self, sender: Sender, receiver: Receiver) -> None:
        """Nothing is armed yet."""
        self._sender = sender
        self._receiver = receiver
        # When our ping went out, unanswered where nothing was heard since; or our Close, or what would have been.
        self._asked_at = 0.0
        self._untaken = 0  # bytes that the client's machine had not taken when we last looked

    def begin_to_close(self) -> None:
        """The client has ws_close_timeout from now on. Switches: never."""
        writer = self._receiver.writer
        self._asked_at = writer.hub.clock()
        if writer.closing.phase is Phase.CLOSING:
            self._untaken = writer.carrier.stream.untaken()
        self.arm()

    def arm(self) -> None:
        """Arm the deadline for what is due next. Switches: never."""
        writer = self._receiver.writer
        options, outbox = writer.options, writer.outbox
        if not writer.carrier.is_open:
            return
        now = writer.hub.now
        is_open = writer.closing is OPEN
        when = NEVER
        if not is_open:
            when = self._asked_at + options.close_timeout
        elif self._is_pinged:
            # Looked at after the interval too: if the answer has come meanwhile, the next ping is due.
            when = min(self._asked_at + options.ping_timeout, now + options.ping_interval)
        elif outbox is None:
            when = self._receiver.heard_at + options.ping_interval
        if outbox is not None:
            when = min(when, now + outbox.left)
        elif is_open:
            when = min(when, self._moved_at + options.idle_timeout)
        writer.carrier.deadline.arm(when)

    def expired(self) -> None:
        """Act if a time is over; what it waited for may have happened since the deadline was armed. Switches: never."""
        writer, outbox = self._receiver.writer, self._receiver.writer.outbox
        now = writer.hub.now
        is_open = writer.closing is OPEN
        if not is_open and now >= self._asked_at + writer.options.close_timeout and not self._may_agree(now):
            writer.cut(1006, "the client did not agree to the end in time (ws_close_timeout)")
        elif outbox is not None and not outbox.check_clock(now):
            writer.cut(1008, "the client reads too slowly (send_timeout, send_min_rate)")
        else:
            if outbox is not None:
                outbox.start_clock(now)
            if is_open:
                self._look_after(now)
            self.arm()

    @property
    def _is_pinged(self) -> bool:
        """Return True if a ping of ours is unanswered, in an open WebSocket."""
        return self._asked_at > self._receiver.heard_at

    @property
    def _moved_at(self) -> float:
        """When the last message came or went."""
        return max(self._receiver.moved_at, self._sender.moved_at)

    def _look_after(self, now: float) -> None:
        writer, receiver, options = self._receiver.writer, self._receiver, self._receiver.writer.options
        is_idle = writer.outbox is None and now >= self._moved_at + options.idle_timeout
        is_pinged = self._is_pinged
        is_silent = is_pinged and now >= self._asked_at + options.ping_timeout
        if (is_idle or is_silent) and (receiver.is_stopped or writer.carrier.stream.has_unread()):
            # What is missed may lie behind what the app has not taken, or have come while an app held the hub.
            receiver.count_as_heard(now)
        elif is_idle:
            writer.owner.close(1000, "no message for too long (ws_idle_timeout)")
        elif is_silent and self._takes_what_was_sent():
            self._asked_at = now  # it has not come to our ping yet
        elif is_silent:
            receiver.fail(1011, "no answer to a ping (ws_ping_timeout)")
        elif not is_pinged and now >= receiver.heard_at + options.ping_interval and writer.outbox is None:
            self._asked_at = now
            self._untaken = writer.carrier.stream.untaken()
            writer.post(encode_ping(b""))

    def _may_agree(self, now: float) -> bool:
        """Return True while the client takes what was sent before our Close; then its time begins anew."""
        writer = self._receiver.writer
        if writer.closing.phase is not Phase.CLOSING:
            return False
        if writer.outbox is None and not self._takes_what_was_sent():
            return False
        self._asked_at = now
        return True

    def _takes_what_was_sent(self) -> bool:
        """Return True if the client's machine has taken something since our ping or Close, or the last call."""
        before, self._untaken = self._untaken, self._receiver.writer.carrier.stream.untaken()
        return self._untaken < before
