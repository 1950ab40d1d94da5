"""Tally: what the requests of one server have come to, counted where they end.

A request pays for this: each number is one addition, and a duration one append, which only is made while a Publisher
takes them.
"""

from __future__ import annotations

__all__ = ["Tally"]


class Tally:
    """Only ever added to."""

    __slots__ = ("bytes_received", "bytes_sent", "statuses", "took", "waited")

    def __init__(self) -> None:
        """Nothing has come."""
        self.statuses = [0] * 1000  # by status code; 0: nothing was sent
        self.bytes_sent = 0  # of content
        self.bytes_received = 0
        # Durations in seconds, since they were last taken; None while no Publisher takes them.
        self.took: list[float] | None = (
            None  # from the complete request, or from its slot if it waited, to the end
        )
        self.waited: list[float] | None = None  # for a slot

    def measure(self) -> None:
        """Keep durations from now on, until they are taken."""
        self.took = []
        self.waited = []

    def take(self) -> tuple[list[float], list[float]]:
        """Return the durations of requests and of waits for a slot since the last call. They must be measured."""
        assert self.took is not None
        assert self.waited is not None
        took, waited = self.took[:], self.waited[:]
        self.took.clear()  # the same lists: workers of the pool hold them
        self.waited.clear()
        return took, waited

    def responses(self, hundreds: int) -> int:
        """Return the number of responses of a class of statuses: 2 for those from 200 to 299."""
        return sum(self.statuses[hundreds * 100 : hundreds * 100 + 100])
