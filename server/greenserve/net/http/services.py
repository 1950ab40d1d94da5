"""What every connection of one server uses, in one value: no connection knows the server.

Made by Server.start() and never changed. The Protocols say what a connection and its rooms ask of the objects in
net/serving and net/websockets, and what those see of a connection: they import this folder, and not the other way
round.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from greenlet import greenlet

from greenserve.http1 import HeadLimits
from greenserve.logs.record import Finished
from greenserve.metrics.tally import Tally
from greenserve.net.http.ending_early import Departures
from greenserve.net.opening.opening import Entrance
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.send_budget import SendBudget
from greenserve.net.sockets.stream import Stream
from greenserve.net.sockets.timeouts import Timeouts
from greenserve.proxies import RequestStarts
from greenserve.wsgi import Forwarding, Ordinary, Service
from greenserve_hub.deadlines import Deadline
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.hub import Hub


class Job(Protocol):
    """A request that is complete. Nothing but `run` switches."""

    @property
    def since(self) -> float:
        """When the request was complete, by the hub's clock."""

    def run(self, worker: greenlet, now: float) -> bool:
        """Run the request in the current green thread, `worker`, unless the connection was closed meanwhile.

        `now` by the hub's clock.

        Return True if its time tells how fast the app is: it ran, and has not left HTTP.
        """

    def queue(self) -> bool:
        """Note that the request has to wait for a slot. Return False if it was noted before."""

    def refuse_busy(self, reason: str) -> None:
        """Answer 503 and close."""

    def refuse_stopping(self) -> None:
        """Answer 503, since the server is stopping, and close."""

    def broke(self) -> None:
        """`run` has raised an Exception: log it and close."""

    def close(self) -> None:
        """`run` was ended, by a kill say: close at once."""


class Queue(Protocol):
    """The requests that wait for a slot."""

    def unqueue(self, job: Job) -> None:
        """Drop a request. Switches: never."""


class Sender(Protocol):
    """A connection with a whole response to send."""

    def flush(self, first: bytes | memoryview, second: bytes | memoryview) -> None:
        """Send both, one after the other, unless the connection was closed meanwhile. Switches: never."""

    def broke(self) -> None:
        """`flush` has raised an Exception. Switches: never."""


class Held(Protocol):
    """A request whose response is whole, while its app may go on."""

    def send_held(self) -> None:
        """Send the response if the app goes on. Switches: never."""

    def broke(self) -> None:
        """`send_held` has raised an Exception. Switches: never."""


Whole = tuple[Sender, bytes | memoryview, bytes | memoryview]  # a response, in one or two pieces


class Batch(Protocol):
    """The whole responses of one turn, which are sent together."""

    @property
    def add(self) -> Callable[[Whole], object]:
        """Take a response, and have `sender.flush(first, second)` called in this turn. Switches: never."""

    def hold(self, one: Held) -> bool:
        """Have `one.send_held()` called when its app gives way or is over. Return False if that can't be told.

        Switches: never.
        """


class Slots(Protocol):
    """What a request that runs does with its slot of the pool."""

    def lend(self) -> bool:
        """Give the slot to others while the request waits for its client. Return False if it keeps the slot."""

    def take_back(self) -> None:
        """Get a slot again. Switches: when none is free."""

    def take_back_now(self) -> None:
        """Get a slot again, one above the pool's size if need be. Switches: never."""

    def give_up(self) -> None:
        """The request has left HTTP: its slot is free for good. Switches: never."""

    def take_last(self) -> None:
        """The app's call that has left HTTP is over: its green thread gives back a slot. Switches: never."""


class Idle(Protocol):
    """A connection, as far as a full server asks whether it can be closed. Nothing switches."""

    @property
    def idle_until(self) -> float | None:
        """When keep_alive ends, by the hub's clock; None unless it is idle between requests."""

    def make_way(self, until: float) -> bool:
        """Close it if it is still idle since `idle_until` was `until`. Return True if it was closed."""


class Ending(Protocol):
    """What the end of a stop ends: a connection, or the app's call that outlives an upgraded one."""

    @property
    def running(self) -> tuple[float, greenlet] | None:
        """Since when the app runs for it, by the hub's clock, and on which green thread; None if it does not."""

    def end(self) -> str | None:
        """The time to stop is over: end what runs and close. Return what it was, for the log; None if nothing.

        Switches: into the app that runs, which gets an exception.
        """

    def leave_behind(self) -> None:
        """Close the child's copy, after a fork, and leave the client to the parent."""


class Member(Idle, Ending, Protocol):
    """A connection. Nothing but end() switches."""

    peer: str  # the client's address, "" on a unix socket

    @property
    def may_ask(self) -> bool:
        """Return True if its client may send another request: nothing told it that the connection ends."""

    @property
    def lasts(self) -> bool:
        """Return True if it goes on until one side ends it, and its client then comes back at once."""

    def drain(self) -> None:
        """The server stops: close, unless a request is under way or about to come."""

    def close(self) -> None:
        """Close now; repeatable."""


class Members(Protocol):
    """The open connections of the server, and those whose apps outlive them."""

    @property
    def beyond_http(self) -> int:
        """Connections that have left HTTP and are open, or are closed while their apps still run."""

    def remove(self, connection: Member) -> None:
        """The connection is closed. Switches: never."""

    def begin_upgrade(self) -> None:
        """Count a connection that leaves HTTP. Switches: never."""

    def end_upgrade(self) -> None:
        """That connection could not leave HTTP, or is closed. Switches: never."""

    def outlive(self, call: Ending) -> None:
        """It is closed, while the app's call runs on: `call.end()` ends that at the end of a stop. Switches: never."""

    def finish(self, call: Ending) -> None:
        """That call is over. Switches: never."""


class Carrier(Protocol):
    """A connection as its second life sees it. No method switches."""

    @property
    def services(self) -> Services:
        """The server's."""

    @property
    def stream(self) -> Stream:
        """To read and send."""

    @property
    def deadline(self) -> Deadline:
        """To arm: `expired` of the second life is called."""

    @property
    def peer(self) -> str:
        """The client's address, "" on a unix socket."""

    @property
    def peer_port(self) -> str:
        """The client's port."""

    @property
    def environ(self) -> dict[str, Any]:
        """What all requests of the connection share."""

    @property
    def is_open(self) -> bool:
        """Return True until close(), reset() or linger()."""

    def close(self) -> None:
        """Close now; repeatable."""

    def reset(self) -> None:
        """Close so that the client notices that something is missing."""

    def linger(self) -> None:
        """Say that no more comes, and close when the client has closed too, within a bound."""

    def broke(self) -> None:
        """Log the exception being handled as the server's own error, and close."""


class Backlogged(Protocol):
    """A room that has messages for members."""

    @property
    def is_behind(self) -> bool:
        """Return True while a member may not have got everything."""

    def go_on(self, clock: Callable[[], float], until: float) -> int:
        """Send until then, to one member at least. Return how many bytes no longer wait. Switches: never."""

    def drop_unsent(self) -> int:
        """Send no more of what waits. Return how many bytes that was. Switches: never."""


class Turns(Protocol):
    """The turns that rooms take to send to their members."""

    def add(self, room: Backlogged, size: int) -> None:
        """A message of `size` bytes has been sent to `room`, and has not gone out to all. Switches: never."""


@dataclass(frozen=True, slots=True)
class Services:
    """One server, as its connections see it."""

    hub: Hub
    service: Service
    context: Context  # that apps are called in a copy of
    queue: Queue
    slots: Slots
    batch: Batch
    members: Members
    timeouts: Timeouts
    head_limits: HeadLimits
    ordinary: Ordinary | None  # None: without the compiled core
    limit_request_body: int  # bytes; 0: no limit
    prefetches: bool  # an app begins when the beginning of the body is here
    limit_websockets: int
    event_stream_retry: float  # seconds
    forwarding: Forwarding
    request_starts: RequestStarts
    departures: Departures | None  # None: what runs is not cancelled
    budget: SendBudget
    counts: Counts
    tally: Tally
    entrance: Entrance
    log_access: Callable[[Finished, float], None] | None  # of a request, and when it began by the hub's clock
    is_stopping: Callable[[], bool]
    restarts: Callable[[], bool]  # True if another server follows the one that stops
    # Puts into environ a socket that takes over the connection when it is first used.
    offer_upgrade: Callable[[Carrier, dict[str, Any]], None]
    callbacks: GreenPool  # what WebSockets call runs here
    broadcasts: Turns
