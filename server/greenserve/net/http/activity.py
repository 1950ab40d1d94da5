"""What a connection is busy with, one thing at a time, and what it offers to that: the seams of this folder.

A connection keeps the descriptor, the deadline and its place among those that the server knows, and hands the rest to
an Activity: an opening, a request, a WebSocket. The invariant: the current activity's `closed` is called once, when the
connection is closed, whoever closed it, and nothing is sent or received after it. An activity that holds another one
calls that one's `closed` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from greenlet import greenlet

from greenserve.errors import ProtocolError
from greenserve.http1 import RequestHead
from greenserve.logs.record import Record, T
from greenserve.net.http.services import Carrier
from greenserve.net.http.states import State
from greenserve.net.opening.endpoint import Endpoint


class Activity(Protocol):
    """What a connection is busy with. Every method is called from the hub or a green thread.

    Only `expired` and `end` switch: they raise an exception in the app's green thread, which runs at once.

    What an activity does not define means nothing to it.
    """

    __slots__ = ()

    def __str__(self) -> str:
        """For the connection's repr: the request, with a space before it, or nothing."""

    @property
    def may_ask(self) -> bool:
        """Return True if the client may send a request: it was not told that the connection ends."""
        return False

    @property
    def lasts(self) -> bool:
        """Return True if it goes on until one side ends it, and its client then comes back at once.

        A stop ends those one after another.
        """
        return False

    @property
    def running(self) -> tuple[float, greenlet] | None:
        """Since when the app runs for it, by the hub's clock, and on which green thread; None if it does not."""
        return None

    def expired(self) -> None:
        """The connection's deadline has passed."""

    def drain(self) -> None:
        """The server stops: end soon, in the way that the protocol has for that."""
        return

    def end(self) -> str | None:
        """The time to stop gracefully is over: end now. Return what it was, for the log; None if nothing is lost."""

    def sent(self) -> None:
        """The whole response that was given to flush() is out."""
        return

    def closed(self) -> None:
        """The connection is closed: wake whatever waits for it."""
        return

    def leave_behind(self) -> None:
        """In the child of a fork: the connection is the parent's, and here it is as closed. Calls nothing."""
        return


class Upgraded(Protocol):
    """A connection's second life: a WebSocket, or a socket that other code has taken over. No method switches."""

    path: str  # for dumps and logs

    def expired(self) -> None:
        """The connection's deadline has passed."""

    def drain(self) -> None:
        """The server stops: end it in the way that its protocol has for that."""

    def lost(self) -> None:
        """The connection is closed: wake whatever waits for it."""

    def app_left(self, error: BaseException | None) -> None:
        """The call of the app that has upgraded it is over; `error`: by this, which is logged already."""

    def leave_behind(self) -> None:
        """In the child of a fork: the connection is the parent's, and here it is as closed. Calls nothing."""

    def record(self) -> UpgradeRecord:
        """What the access log tells of it. Asked for when it is closed."""


class Host(Carrier, Protocol):
    """A connection as its activities see it. No method switches."""

    ahead: bytes  # what has come and is not read yet
    activity: Activity | None

    @property
    def state(self) -> State:
        """What it is doing; only its own methods change it."""

    @property
    def endpoint(self) -> Endpoint:
        """The address at which the client has connected."""

    def enter(self, state: State, activity: Activity | None) -> None:
        """Go on with this activity."""

    def run_until(self, when: float) -> None:
        """The activity, a request, runs from now on, and expires at `when`."""

    def flush(self, first: bytes | memoryview, second: bytes | memoryview) -> None:
        """Send a whole response now, and the rest when the kernel takes more; then the activity's sent() is called."""

    def refuse(self, error: ProtocolError, request: Refused | None, *extra: tuple[str, str]) -> None:
        """Answer a request with an error of the server's own, and close. `extra`: fields of the response."""

    def next(self, rest: bytes) -> None:
        """The request is over: read another one, which `rest` is the beginning of."""


class Refused(Activity, Protocol):
    """A request that the server itself may answer."""

    @property
    def head(self) -> RequestHead:
        """As it came."""


class UpgradeRecord:
    """What an upgraded connection has done, for the access log."""

    __slots__ = ("_bytes_received", "_bytes_sent", "_environ", "_messages")

    def __init__(
        self,
        environ: dict[str, Any],
        bytes_received: int,
        bytes_sent: int,
        messages: tuple[int, int] | None,
    ) -> None:
        """`environ` of the request that began it. `messages`: received and sent, None where nobody counts them."""
        self._environ = environ
        self._bytes_received = bytes_received
        self._bytes_sent = bytes_sent
        self._messages = messages

    def tell(self, take: Callable[..., T], began: float, seconds: float) -> T:
        """See Finished."""
        return take(*self.record(began, seconds))

    def record(self, began: float, seconds: float) -> Record:
        """Return the record for the access log."""
        environ = self._environ  # the app may have removed anything from it
        peer = environ.get("greenserve.peer")
        return Record(
            environ.get("REMOTE_ADDR", "") if peer is None else peer.client,
            environ.get("REMOTE_PORT", "") if peer is None else peer.client_port,
            "GET",
            environ.get("RAW_URI", ""),
            "HTTP/1.1",
            101,
            self._bytes_sent,
            self._bytes_received,
            began,
            seconds,
            self._messages,
            environ,
        )
