"""Counters of one server. Whoever counts adds to its Counts; whoever is curious gets Stats, made when asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counts:
    """What has happened since the start."""

    accepted: int = 0  # connections
    refused: int = 0  # answered with an error before an app saw them
    accept_errors: int = 0
    handshake_errors: int = 0  # connections that ended before both sides had agreed on TLS


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

    def as_dict(self) -> dict[str, int]:
        """All of it, by name."""
        return asdict(self)
