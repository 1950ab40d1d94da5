"""Stats: what a server has done and is doing, a snapshot made when asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass


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
