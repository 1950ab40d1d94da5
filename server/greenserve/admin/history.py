"""History: what the numbers were in the last ten minutes, every two seconds, and in the last six hours, every thirty.

For the live page. Each point is kept as JSON, made once: 1,020 points of at most 4 KB each, in practice 0.5 MB in all.
A point is about the time since the one before: rates, percentiles of the requests that ended in it, and what was
going on at its end; of lag and queue it tells the largest.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from greenserve.admin.master import Master, Worker
from greenserve.metrics.durations import percentile
from greenserve.metrics.names import HISTOGRAMS, METRICS, STATES, columns_of

__all__ = ["PERIOD", "SHARES", "History", "percentiles"]

PERIOD: Final = 2.0  # seconds
_FINE: Final = 300
_ROUNDS: Final = 15  # fine ones in a coarse one
_COARSE: Final = 720
_TOLD: Final = 64  # workers whose memory a point tells
SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_BUCKETS: Final = columns_of(HISTOGRAMS[0])
_SHED: Final = [metric.name for metric in METRICS if metric.family == "shed"]


class History:
    """The points of one master. sample() is to be called every PERIOD seconds."""

    def __init__(self, master: Master, clock: Callable[[], float]) -> None:
        """`clock` in seconds since 1970, for the points."""
        self._master = master
        self._clock = clock
        self._fine = _Series(_FINE)
        self._coarse = _Series(_COARSE)
        self._rounds = 0
        now, totals = clock(), master.totals()
        self._before = self._long_before = now, totals
        self._worst = {"lag": 0.0, "queued": 0.0}  # of a coarse point

    def sample(self) -> None:
        """Take a point. About 0.3 ms with four workers. Switches: never."""
        now, totals, workers = self._clock(), self._master.totals(), self._master.workers()
        point = _point(self._before, (now, totals), workers)
        self._before = now, totals
        self._fine.add(point)
        for name, value in self._worst.items():
            self._worst[name] = max(value, point[name])
        self._rounds += 1
        if self._rounds % _ROUNDS == 0:
            self._coarse.add(_point(self._long_before, (now, totals), workers) | self._worst)
            self._long_before = now, totals
            self._worst = dict.fromkeys(self._worst, 0.0)

    def since(self, fine: int | None, coarse: int | None) -> str:
        """Return, as JSON, the points behind those with these numbers; 0: all that there are; None: none."""
        return f'{{"fine":[{self._fine.since(fine)}],"coarse":[{self._coarse.since(coarse)}]}}'


class _Series:
    """Points with numbers that go up by one."""

    def __init__(self, most: int) -> None:
        self._points: deque[str] = deque(maxlen=most)
        self._last = 0

    def add(self, point: Mapping[str, Any]) -> None:
        self._last += 1
        self._points.append(json.dumps({"n": self._last, **point}, separators=(",", ":")))

    def since(self, number: int | None) -> str:
        if number is None:
            return ""
        # A number from before a restart of the master is larger than all: that page needs everything.
        wanted = self._last - number if 0 <= number <= self._last else self._last
        wanted = min(wanted, len(self._points))
        return ",".join(list(self._points)[len(self._points) - wanted :])


def _point(
    before: tuple[float, Mapping[str, int]], now: tuple[float, Mapping[str, int]], workers: Sequence[Worker]
) -> dict[str, Any]:
    seconds = max(now[0] - before[0], 0.001)
    totals = now[1]

    def rate(*names: str) -> float:
        return round(sum(totals.get(one, 0) - before[1].get(one, 0) for one in names) / seconds, 2)

    return {
        "t": round(now[0], 1),
        "rate": rate("requests"),
        "errors": rate("responses_5xx"),
        "shed": rate(*_SHED),
        "sent": rate("bytes_sent"),
        "cpu": round(rate("cpu_us") / 1e6, 3),
        **percentiles(totals, before[1]),
        "active": totals.get("active", 0),
        "queued": totals.get("queued", 0),
        "pool": totals.get("pool", 0),
        "websockets": totals.get("websockets", 0),
        "states": [totals.get(f"connections_{state}", 0) for state in STATES],
        "lag": max((one.row.get("hub_lag_us", 0) for one in workers), default=0) / 1e3,
        "ready": sum(one.state == "ready" for one in workers),
        "memory": {str(one.number): one.row.get("resident_bytes", 0) for one in workers[:_TOLD]},
    }


def percentiles(totals: Mapping[str, int], before: Mapping[str, int]) -> dict[str, float | None]:
    """Return, in milliseconds, the percentiles of the requests that have ended since `before`; None without any."""
    counts = [totals.get(column, 0) - before.get(column, 0) for column in _BUCKETS]
    found = {name: percentile(counts, share) * 1e3 for name, share in SHARES.items()}
    return {name: None if math.isnan(value) else round(value, 3) for name, value in found.items()}
