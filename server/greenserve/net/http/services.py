"""What every connection of one server uses, in one value: no connection knows the server.

Made by Server.start() and never changed. The Protocols say what a connection asks of the objects in net/serving, which
import this folder and not the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from greenserve.http1 import HeadLimits
from greenserve.logs.record import Finished
from greenserve.metrics.tally import Tally
from greenserve.net.http.ending_early import Departures
from greenserve.net.opening.opening import Entrance
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.send_budget import SendBudget
from greenserve.net.sockets.timeouts import Timeouts
from greenserve.proxies import RequestStarts
from greenserve.wsgi import Forwarding, Service
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.hub import Hub


class Queue(Protocol):
    """The requests that wait for a slot."""

    def unqueue(self, job: Any) -> None:
        """Drop a request. Switches: never."""


class Batch(Protocol):
    """The whole responses of one turn, which are sent together."""

    def add(self, sender: Any, first: bytes | memoryview, second: bytes | memoryview) -> None:
        """Have `sender.flush(first, second)` called in this turn. Switches: never."""


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


class Members(Protocol):
    """The open connections of the server, and those whose apps outlive them."""

    @property
    def beyond_http(self) -> int:
        """Connections that have left HTTP and are open, or are closed while their apps still run."""

    def remove(self, connection: Any) -> None:
        """The connection is closed. Switches: never."""

    def begin_upgrade(self) -> None:
        """Count a connection that leaves HTTP. Switches: never."""

    def end_upgrade(self) -> None:
        """That connection could not leave HTTP, or is closed. Switches: never."""

    def outlive(self, call: Any) -> None:
        """It is closed, while the app's call runs on: `call.end()` ends that at the end of a stop. Switches: never."""

    def finish(self, call: Any) -> None:
        """That call is over. Switches: never."""


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
    limit_request_body: int  # bytes; 0: no limit
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
    offer_upgrade: Callable[[Any, dict[str, Any]], None]
    callbacks: GreenPool  # what WebSockets call runs here
    broadcasts: Any  # the server's Broadcasts, for rooms
