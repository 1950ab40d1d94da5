"""Stats: what a server has done and is doing, a snapshot made when asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

from greenserve.net.serving.admission import Admission
from greenserve.net.serving.connections import Connections
from greenserve.net.serving.request_queue import RequestQueue
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.send_budget import SendBudget


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts, and what is going on at this moment."""

    connections: int  # open
    active: int  # requests in the app
    waiting_for_client: int  # of these wait for their own client, and hold no slot of the pool
    websockets: int  # connections that have left HTTP
    queued: int  # requests waiting for a slot of the pool
    accepted: int
    requests: int
    turned_away: int  # connections for which there was no room
    refused: int
    accept_errors: int
    handshake_errors: int
    request_timeouts: int  # requests that were ended since their time was over
    cancelled: int  # requests that were ended since their clients had left (cancel_on_disconnect)
    # Requests that no app saw, and connections that were closed, because there were too many: by the limit.
    shed_limit_queue: int
    shed_queue_timeout: int
    shed_request_start: int  # they had waited for too long at the proxy (X-Request-Start)
    shed_client_left: int  # while its request waited for a slot
    shed_stopping: int
    shed_limit_websockets: int
    shed_limit_connections: int
    shed_limit_connections_per_ip: int
    shed_made_way: int  # idle ones, closed for new ones
    shed_limit_unsent: int

    @classmethod
    def of(
        cls,
        connections: Connections,
        queue: RequestQueue,
        admission: Admission,
        unsent: SendBudget,
        counts: Counts,
    ) -> Self:
        """What these parts of a server have counted."""
        return cls(
            connections=len(connections),
            active=queue.pool.running() - queue.slots.upgraded,
            websockets=connections.upgraded,
            queued=queue.waiting,
            waiting_for_client=queue.slots.lent,
            requests=queue.begun,
            turned_away=admission.rejected.count,
            shed_limit_queue=queue.overfull,
            shed_limit_connections=admission.full,
            shed_limit_connections_per_ip=admission.greedy,
            shed_made_way=admission.made_way,
            shed_limit_unsent=unsent.resets,
            **asdict(counts),
        )

    def as_dict(self) -> dict[str, int]:
        """All of it, by name."""
        return asdict(self)
