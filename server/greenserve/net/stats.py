"""Counters of one server, as plain attributes. Whoever counts adds to them; whoever is curious reads them."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Stats:
    """What a server has done, and what it is doing."""

    connections: int = 0  # open now
    accepted: int = 0  # since the start
    requests: int = 0  # begun by an app
    active: int = 0  # in an app now
    queued: int = 0  # waiting for a slot of the pool now
    refused: int = 0  # answered with an error before an app saw them
    accept_errors: int = 0

    def as_dict(self) -> dict[str, int]:
        """A copy, by name."""
        return asdict(self)
