"""The numbers of a worker: the columns of its Row, and what Prometheus is told of each.

A Metric is one column. Metrics with the same `family` are one Prometheus family, told apart by their label. Durations
are whole microseconds in a Row, and seconds for Prometheus.

Invariants: counters are only ever added to; a name, once released, keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from greenserve.metrics.durations import BUCKETS

__all__ = [
    "COLUMNS",
    "COUNTERS",
    "HISTOGRAMS",
    "METRICS",
    "STATES",
    "Histogram",
    "Metric",
    "columns_of",
]

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Metric:
    """One number."""

    name: str  # of the column
    kind: Literal["counter", "gauge"]
    family: str  # for Prometheus, without `greenserve_` and `_total`
    help: str
    labels: Mapping[str, str] = field(default_factory=lambda: _NONE)
    unit: str = ""  # "seconds": the column has microseconds; "bytes"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations: columns for its buckets, see durations.py, and one for the sum in microseconds."""

    name: str  # of the columns, before `_0` to `_401` and `_us`
    family: str
    help: str


# Those of net/http/states.py, without the closed one. A test holds both against each other.
STATES: Final = (
    *("preface", "handshake", "head", "body", "queued", "running", "upgraded", "sending", "parked"),
    *("discarding", "lingering"),
)

_RESPONSES: Final = (
    "Responses by the class of their status; none: the client had gone, or nothing could be sent."
)
_SHED: Final = (
    "Requests and connections that were not served because there were too many, by the limit that said so."
)
_CONNECTIONS: Final = "Open connections by what they are doing."
_SHED_BY: Final = (
    *("queue_timeout", "limit_queue", "request_start", "stopping", "client_left", "limit_websockets"),
    *("limit_connections", "limit_connections_per_ip", "made_way", "limit_unsent"),
)
_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")

METRICS: Final = (
    Metric("accepted", "counter", "connections_accepted", "Connections that were accepted."),
    Metric("accept_errors", "counter", "accept_errors", "Errors of accept(), most of them of the machine."),
    Metric(
        "handshake_errors", "counter", "handshake_errors", "Connections that ended in their TLS handshake."
    ),
    Metric("requests", "counter", "requests", "Requests that were given to the app."),
    *(Metric(f"responses_{c}", "counter", "responses", _RESPONSES, {"class": c}) for c in _CLASSES),
    Metric(
        "refused",
        "counter",
        "requests_refused",
        "Requests that were answered with an error before any app saw them.",
    ),
    *(Metric(f"shed_{reason}", "counter", "shed", _SHED, {"reason": reason}) for reason in _SHED_BY),
    Metric(
        "cancelled", "counter", "requests_cancelled", "Requests that were ended since their clients had left."
    ),
    Metric(
        "request_timeouts",
        "counter",
        "request_timeouts",
        "Exceptions thrown into requests by request_timeout.",
    ),
    Metric(
        "bytes_received", "counter", "request_body_bytes", "Bytes of bodies that apps received.", unit="bytes"
    ),
    Metric("bytes_sent", "counter", "response_body_bytes", "Bytes of bodies that were sent.", unit="bytes"),
    Metric(
        "upgraded", "counter", "websockets_opened", "Connections that left HTTP, WebSockets most of them."
    ),
    Metric(
        "access_log_lost",
        "counter",
        "access_log_lost_lines",
        "Lines of the access log that could not be written.",
    ),
    Metric(
        "hub_late_us",
        "counter",
        "hub_late_seconds",
        "Time by which the hub's timer was late, measured four times a second.",
        unit="seconds",
    ),
    Metric("workers_ended", "counter", "workers_ended", "Workers that have ended, for whatever reason."),
    Metric("cpu_us", "counter", "cpu_seconds", "CPU time of the worker, all its OS threads.", unit="seconds"),
    *(Metric(f"connections_{s}", "gauge", "connections", _CONNECTIONS, {"state": s}) for s in STATES),
    Metric("connections_limit", "gauge", "connections_limit", "The setting limit_connections."),
    Metric("active", "gauge", "requests_active", "Requests in the app."),
    Metric(
        "waiting_for_client",
        "gauge",
        "requests_waiting_for_client",
        "Of these, those that wait for their own client and hold no slot.",
    ),
    Metric("queued", "gauge", "requests_queued", "Requests that wait for a slot of the pool."),
    Metric("queue_limit", "gauge", "requests_queued_limit", "The setting limit_queue."),
    Metric("pool", "gauge", "pool_slots", "The setting pool: requests that may run at once."),
    Metric("websockets", "gauge", "websockets", "Open connections that have left HTTP."),
    Metric("green_threads", "gauge", "green_threads_waiting", "Green threads that wait for something."),
    Metric("descriptors", "gauge", "descriptors", "Descriptors that the hub watches."),
    Metric(
        "hub_lag_us",
        "gauge",
        "hub_lag_seconds",
        "The longest time by which the hub's timer was late, in the last two seconds.",
        unit="seconds",
    ),
    Metric(
        "resident_bytes", "gauge", "resident_memory_bytes", "Resident memory of the worker.", unit="bytes"
    ),
    Metric("started_s", "gauge", "worker_start_time_seconds", "The worker's start, in seconds since 1970."),
)

HISTOGRAMS: Final = (
    Histogram(
        "request",
        "request_duration_seconds",
        "Time from a whole request to the end of its response, its wait for a slot included.",
    ),
    Histogram("queue", "queue_wait_seconds", "Time that queued requests waited for a slot."),
)


def columns_of(histogram: Histogram) -> list[str]:
    """Return the columns of its buckets, the shortest first."""
    return [f"{histogram.name}_{bucket}" for bucket in range(BUCKETS)]


_SUMS: Final = [f"{histogram.name}_us" for histogram in HISTOGRAMS]
# The columns that only grow, and whose sum over workers, dead ones too, means something.
COUNTERS: Final = frozenset(
    [metric.name for metric in METRICS if metric.kind == "counter"]
    + [column for histogram in HISTOGRAMS for column in columns_of(histogram)]
    + _SUMS
)
COLUMNS: Final = (
    *(metric.name for metric in METRICS),
    *_SUMS,
    *(column for histogram in HISTOGRAMS for column in columns_of(histogram)),
)
