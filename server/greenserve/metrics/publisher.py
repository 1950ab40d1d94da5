"""Publisher: copies the numbers of one server into its Row, four times a second, from a timer of the server's hub.

Knows a server by a Protocol. The invariant: a row never goes back. Cost: 1.5 ms of CPU a second, and with 8,000
connections 2.4 ms; nothing where it does not run.
"""

from __future__ import annotations

import resource
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

from greenserve.metrics.board import Row
from greenserve.metrics.durations import bucketed
from greenserve.metrics.names import STATES
from greenserve.metrics.tally import Tally
from greenserve_hub.deadlines import Deadline
from greenserve_hub.forks import leave_in_children
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import io, time

__all__ = ["Publisher", "Source"]

_PERIOD: Final = 0.25  # seconds
_WINDOW: Final = 8  # periods: of the longest lag, and between two looks at what costs more
_PAGE: Final = resource.getpagesize()


class Source(Protocol):
    """A server that serves already. Nothing switches."""

    hub: Hub
    tally: Tally

    def numbers(self) -> Mapping[str, int]:
        """Return the columns that the server itself knows."""

    def states(self) -> Mapping[str, int]:
        """Return how many connections are in each of STATES; one that none is in may be missing."""


class Publisher:
    """The publisher of one server."""

    def __init__(self, row: Row, source: Source) -> None:
        """A `row` of a Board with COLUMNS. The durations of requests are kept from now on."""
        self._row: Row | None = row
        self._source = source
        self._hub = source.hub
        self._lags: deque[float] = deque([0.0], _WINDOW)
        self._late = 0.0
        self._rounds = 0
        self._timer: Deadline | None = None
        row["started_s"] = int(time.time())
        source.tally.measure()
        leave_in_children(self)
        self._publish(0.0)

    def stop(self) -> None:
        """Write the numbers a last time. Repeatable. Switches: never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._write(all_of_it=True)

    def leave_behind(self) -> None:
        """In the child of a fork the row stays the parent's. Switches: never."""
        self._timer = self._row = None

    def _publish(self, lag: float) -> None:
        self._lags.append(lag)
        self._late += lag
        try:
            self._write(all_of_it=self._rounds % _WINDOW == 0)
            self._rounds += 1
        finally:
            due = self._hub.clock() + _PERIOD
            self._timer = self._hub.call_after(_PERIOD, self._due, due)

    def _due(self, due: float) -> None:
        if self._row is not None:
            self._publish(max(self._hub.clock() - due, 0.0))

    def _write(self, all_of_it: bool) -> None:
        row, source = self._row, self._source
        if row is None:
            return
        values: dict[str, int] = {
            **source.numbers(),
            "hub_lag_us": int(max(self._lags) * 1e6),
            "hub_late_us": int(self._late * 1e6),
            "cpu_us": int(time.process_time() * 1e6),
            "green_threads": len(self._hub.parked),
            "descriptors": len(self._hub.descriptors),
        }
        if all_of_it:
            states = source.states()
            values.update((f"connections_{state}", states.get(state, 0)) for state in STATES)
            values["resident_bytes"] = resident_bytes()
        for name, value in values.items():
            row[name] = value
        for name, seconds in zip(("request", "queue"), source.tally.take(), strict=True):
            if seconds:
                for bucket, count in bucketed(seconds):
                    row[f"{name}_{bucket}"] += count
                row[f"{name}_us"] += int(sum(seconds) * 1e6)


def resident_bytes() -> int:
    """Return the resident memory of this process; where /proc does not tell it, the most that it ever was."""
    try:
        with io.open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        most: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(most) * (1 if sys.platform == "darwin" else 1024)
