"""What ends a request that runs before its response is over: its time, or that its client has left.

TimeLimit is what an app has set for one request. Departures watches the clients.

Facts: a peer that closes both sides and one that closes its sending side alone (`nc -N`) send the same FIN; the kernel
tells EPOLLRDHUP of both. EPOLLHUP and EPOLLERR come only of a reset, or of a unix socket that is closed. Whether the
peer still reads shows when something was sent to it. Decision: a reset is certain. An end of sending within a second of
the request is a half-close, which follows its request at once; a later one comes from a client that has waited and
given up, and counts where guesses are allowed. Cost: a client that half-closes late is taken for one that has left.

The invariant: a request whose response is over is never cancelled: its client leaves when it has read that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from greenserve.errors import AppError
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.stream import Stream
from greenserve.wsgi import RequestCancelled, RequestTimeout
from greenserve_hub.deadlines import NEVER
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import _thread

Call = Callable[[], object]

_HALF_CLOSE_TIME: Final = 1.0  # seconds
_LOOK: Final = 0.5  # seconds between two looks at the requests that run


def has_left(stream: Stream, since: float) -> bool:
    """Return True if a client whose request came whole at `since` has left, or most probably has. Switches: never."""
    return stream.is_reset() or stream.descriptor.hung_up_at > since + _HALF_CLOSE_TIME


class TimeLimit:
    """How long one request may take, as its app has set it, or as it has turned out."""

    __slots__ = ("is_for_the_rest", "is_over", "seconds")

    def __init__(self, seconds: float | None, is_for_the_rest: bool) -> None:
        """None or 0: no limit. `is_for_the_rest`: the response has begun, and the limit is for the rest of it.

        Raises ValueError, TypeError.
        """
        if seconds is not None and not seconds >= 0:  # NaN too
            raise ValueError(f"set_timeout() takes seconds, or None for no limit, and not {seconds!r}")
        self.seconds = seconds or NEVER
        self.is_for_the_rest = is_for_the_rest
        self.is_over = False

    def error(self, counts: Counts) -> RequestTimeout:
        """Return what to raise when it is over. That is counted once, though the app may have to be told again."""
        if not self.is_over:
            self.is_over = True
            counts.request_timeouts += 1
        named = "request_timeout" if self.seconds == NEVER else f"the {self.seconds:g} s of its set_timeout()"
        return RequestTimeout(f"the app took longer than {named}")


def must_be_limitable(hub: Hub, runs: bool, is_upgraded: bool) -> None:
    """Raise the error of a set_timeout() that is out of place."""
    if _thread.get_ident() != hub.thread_id:
        raise RuntimeError("set_timeout() is for green threads of its server, and not for another OS thread")
    if is_upgraded:
        raise AppError(
            "set_timeout() is for a request: a WebSocket has ws_idle_timeout, and a Timeout of the app"
        )
    if not runs:
        raise AppError("set_timeout() was called after the end of its request")


class Client(Protocol):
    """A connection."""

    @property
    def stream(self) -> Stream:
        """To ask."""


class Cancellable(Protocol):
    """A request that runs."""

    since: float  # when it was whole, by the hub's clock

    @property
    def connection(self) -> Client:
        """Its client."""

    def interrupt(self, error: BaseException) -> bool:
        """Raise it in the app's green thread. Return False if the response is over. From the hub. Switches: there."""


class Departures:
    """Cancels the requests whose clients have left."""

    def __init__(self, hub: Hub, counts: Counts, guesses: bool) -> None:
        """`guesses`: an end of sending that comes late is enough; else only what is certain."""
        self._hub = hub
        self._counts = counts
        self._guesses = guesses
        self._running: set[Cancellable] = set()
        self._deadline = hub.make_deadline(self._look)

    def run(self, request: Cancellable, in_context: Callable[[Call], object], app: Call) -> None:
        """Call `in_context(app)` and watch the request meanwhile. Switches: as the app does."""
        self._running.add(request)
        if not self._deadline.pending:
            self._deadline.arm(self._hub.now + _LOOK)
        try:
            in_context(app)
        finally:
            self._running.discard(request)

    def _look(self) -> None:
        for request in tuple(self._running):
            if self._is_alone(request):
                self._running.discard(request)
                self._hub.call_soon(self._cancel, request)
        if self._running:
            self._deadline.arm(self._hub.now + _LOOK)

    def _cancel(self, request: Cancellable) -> None:
        if request.interrupt(RequestCancelled()):
            self._counts.cancelled += 1

    def _is_alone(self, request: Cancellable) -> bool:
        stream = request.connection.stream
        if self._hub.edge and not stream.descriptor.hangup:
            return False  # without a system call: the kernel would have told
        return has_left(stream, request.since) if self._guesses else stream.is_reset()
