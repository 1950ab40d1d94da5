"""Callbacks: on_message and on_close, each called on a green thread that exists while there is something to call.

Knows messages by the Receiver that hands them over. Invariants: on_message gets messages in their order, one at a time;
on_close is called once, behind the last message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from greenlet import getcurrent

from greenserve.errors import PeerGone
from greenserve.net.websockets.receiver import Receiver
from greenserve.websocket import OPEN, Message, Phase
from greenserve.wsgi import end_if_forked
from greenserve_hub import forks
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.greenthreads.workers import PoolWorker
from greenserve_hub.loop.hub import MAX_TURN

log = logging.getLogger("greenserve.error")

OnMessage = Callable[[Message], object]
OnClose = Callable[[], object]


class Callbacks:
    """What an app has a WebSocket call."""

    __slots__ = ("_receiver", "_runs", "on_close", "on_message")

    def __init__(self, receiver: Receiver) -> None:
        """Nothing is called yet."""
        self._receiver = receiver
        self._runs = False  # a green thread is calling on_message
        self.on_message: OnMessage | None = None
        self.on_close: OnClose | None = None

    def __repr__(self) -> str:
        """The WebSocket, for logs that tell what holds the hub."""
        return repr(self._receiver.writer.owner)

    def start(self, message: Message | None = None) -> bool:
        """Have on_message called with `message` and the queued ones. Return False if it is being called already.

        Switches: from the hub into on_message.
        """
        if self._runs:
            return False
        self._runs = True
        services = self._receiver.writer.carrier.services
        # In a list, from which it is taken: the worker's arguments live as long as its loop.
        messages = [] if message is None else [message]
        services.callbacks.start_nowait(services.context.copy().run, self._run, messages)
        return True

    def closed(self) -> None:
        """The WebSocket is closed: have on_close called, unless that follows a message. Switches: never."""
        if self.on_close is not None and not self._runs:
            # Not now: the caller may be in the middle of something, a slice of a room, say.
            services = self._receiver.writer.carrier.services
            self._receiver.writer.hub.call_soon(
                services.callbacks.start_nowait, services.context.copy().run, self._call_on_close
            )

    def leave_behind(self) -> None:
        """Call nothing more, in the child of a fork: a call may be running here. Switches: never."""
        self.on_message = self.on_close = None

    def _run(self, messages: list[Message]) -> None:
        """Call on_message with `messages` and until nothing is queued. On a worker."""
        receiver, owner, hub = self._receiver, self._receiver.writer.owner, self._receiver.writer.hub
        worker = getcurrent()
        assert isinstance(worker, PoolWorker)
        try:
            while (function := self.on_message) is not None:
                if not messages and not receiver.take_queued(messages):
                    break
                function(messages.pop())  # which alone holds it
                if forks.last is not None:
                    end_if_forked(owner)
                worker.next_job()
                if hub.clock() - hub.now > MAX_TURN:
                    sleep(0)
        except Exception as error:
            end_if_forked(owner, error)
            if isinstance(error, PeerGone) and self._receiver.writer.closing is not OPEN:
                log.debug("%r: %s", owner, error)
            else:
                log.exception("%r: error in on_message; the WebSocket is closed with 1011", owner)
            owner.close(1011, "error in the app")
        except BaseException:  # a Timeout, say, which the pool reports
            owner.close(1011, "error in the app")
            raise
        finally:
            self._runs = False
            if self._receiver.writer.closing.phase is Phase.CLOSED:
                self._call_on_close()

    def _call_on_close(self) -> None:
        function, self.on_close = self.on_close, None
        try:
            if function is not None:
                function()
        except Exception as error:
            end_if_forked(self._receiver.writer.owner, error)
            log.exception("%r: error in on_close", self._receiver.writer.owner)
