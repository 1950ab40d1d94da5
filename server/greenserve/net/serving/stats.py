"""Stats: what a server has done and is doing, a snapshot made when asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Final, Protocol

from greenserve.config import Config
from greenserve.logs.access_log import AccessLog
from greenserve.metrics.tally import Tally
from greenserve.net.serving.admission import Admission
from greenserve.net.serving.connections import Connections
from greenserve.net.serving.request_queue import RequestQueue
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.send_budget import SendBudget
from greenserve_hub.loop.hub import Hub

_STATE: Final = attrgetter("state._name_")  # of a connection; Enum.name and its hash are Python code


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
    upgraded: int  # connections that have left HTTP
    request_timeouts: int  # requests that were ended since their time was over
    cancelled: int  # requests that were ended since their clients had left (cancel_on_disconnect)
    responses_1xx: int
    responses_2xx: int
    responses_3xx: int
    responses_4xx: int
    responses_5xx: int
    responses_none: int  # requests whose response never began: the client had gone
    bytes_received: int  # of bodies
    bytes_sent: int
    access_log_lost: int  # lines
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

    def as_dict(self) -> dict[str, int]:
        """All of it, by name."""
        return asdict(self)


class Parts(Protocol):
    """A server that has started."""

    hub: Hub
    config: Config
    connections: Connections
    queue: RequestQueue
    admission: Admission
    unsent: SendBudget
    counts: Counts
    tally: Tally
    access_log: AccessLog | None


def stats_of(server: Parts) -> Stats:
    """Return what a server has done and is doing. Switches: never."""
    admission, queue, tally = server.admission, server.queue, server.tally
    return Stats(
        connections=len(server.connections),
        active=queue.pool.running() - queue.slots.upgraded,
        websockets=server.connections.upgraded,
        queued=queue.waiting,
        waiting_for_client=queue.slots.lent,
        requests=queue.begun,
        turned_away=admission.rejected.count,
        responses_1xx=tally.responses(1) + server.counts.upgraded,
        responses_2xx=tally.responses(2),
        responses_3xx=tally.responses(3),
        responses_4xx=tally.responses(4),
        responses_5xx=tally.responses(5),
        responses_none=tally.statuses[0],
        bytes_received=tally.bytes_received,
        bytes_sent=tally.bytes_sent,
        access_log_lost=0 if server.access_log is None else server.access_log.lost,
        shed_limit_queue=queue.overfull,
        shed_limit_connections=admission.full,
        shed_limit_connections_per_ip=admission.greedy,
        shed_made_way=admission.made_way,
        shed_limit_unsent=server.unsent.resets,
        **asdict(server.counts),
    )


class Numbers:
    """A server as its Publisher sees it: see Source in metrics/publisher.py."""

    def __init__(self, server: Parts) -> None:
        """A server that has started."""
        self.hub = server.hub
        self.tally = server.tally
        self._server = server

    def numbers(self) -> dict[str, int]:
        """See Source."""
        server = self._server
        stats = stats_of(server).as_dict()
        del stats["connections"], stats["turned_away"]  # sums of others
        return stats | {
            "connections_limit": server.config.limit_connections,
            "queue_limit": server.config.limit_queue,
            "pool": server.queue.pool.size,
        }

    def states(self) -> dict[str, int]:
        """See Source. Some 80 ns for each connection."""
        return {name.lower(): count for name, count in Counter(map(_STATE, self._server.connections)).items()}
