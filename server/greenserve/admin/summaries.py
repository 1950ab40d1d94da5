"""What the numbers come to, for people and probes: health, readiness, the workers, and all scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from greenserve.admin.history import percentiles
from greenserve.admin.master import Master, Worker
from greenserve.metrics.names import HISTOGRAMS, METRICS, STATES, columns_of
from greenserve.version import VERSION

__all__ = ["health", "live", "summary"]


def health(workers: Sequence[Worker], is_readiness: bool) -> tuple[bool, str]:
    """Return (is it well, a line that says why).

    Ready: a worker takes new connections. Healthy: there is a worker that is not stuck; one that starts is enough. So
    while every worker dies in its start, it is healthy during each try, and not in the pauses between them.
    """
    counts = ", ".join(f"{number} {state}" for state, number in _by_state(workers).items()) or "no worker"
    if is_readiness:
        is_ready = any(one.state == "ready" for one in workers)
        return is_ready, f"{'ready' if is_ready else 'not ready'}: {counts}"
    is_well = any(one.state != "stuck" for one in workers)
    return is_well, f"{'healthy' if is_well else 'unhealthy'}: {counts}"


def _by_state(workers: Sequence[Worker]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in workers:
        found[one.state] = found.get(one.state, 0) + 1
    return found


def summary(master: Master) -> dict[str, Any]:
    """Return all numbers, for /stats.json: durations in seconds, as Prometheus has them."""
    totals = master.totals()
    return {
        "version": VERSION,
        "totals": _scalars(totals, "counter"),
        "percentiles_ms": percentiles(totals, {}),
        "histograms": {
            histogram.family: {
                "count": sum(totals.get(column, 0) for column in columns_of(histogram)),
                "sum": totals.get(f"{histogram.name}_us", 0) / 1e6,
            }
            for histogram in HISTOGRAMS
        },
        "workers": [
            {**_worker(one), "counters": _scalars(one.row, "counter"), "gauges": _scalars(one.row, "gauge")}
            for one in master.workers()
        ],
    }


def live(master: Master) -> dict[str, Any]:
    """Return what the live page and `greenserve top` show of this moment."""
    totals = master.totals()
    names = ("requests", "active", "queued", "websockets", "resident_bytes", "hub_lag_us", "cpu_us")
    return {
        "version": VERSION,
        "states": list(STATES),
        "requests": totals.get("requests", 0),
        "ended": totals.get("workers_ended", 0),
        "shed": {
            metric.labels["reason"]: totals[metric.name]
            for metric in METRICS
            if metric.family == "shed" and totals.get(metric.name)
        },
        "responses": {
            metric.labels["class"]: totals.get(metric.name, 0)
            for metric in METRICS
            if metric.family == "responses"
        },
        "workers": [
            _worker(one) | {name: one.row.get(name, 0) for name in names} for one in master.workers()
        ],
    }


def _worker(one: Worker) -> dict[str, Any]:
    return {"number": one.number, "pid": one.pid, "age": round(one.age, 1), "state": one.state}


def _scalars(values: Mapping[str, int], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in METRICS:
        if metric.kind == kind:
            value: float = values.get(metric.name, 0)
            value = value / 1e6 if metric.unit == "seconds" else value
            if metric.labels:
                found.setdefault(metric.family, {})[next(iter(metric.labels.values()))] = value
            else:
                found[metric.family] = value
    return found
