"""The numbers for Prometheus: its text format 0.0.4, and OpenMetrics 1.0.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://github.com/prometheus/OpenMetrics (1.0.0).
Counters and histograms are sums over all workers, dead ones too, so they never go back. Gauges have a label `worker`:
its number, not its pid, which would be a new series with each worker.

Facts: a scrape fails as a whole for a CRLF, an empty line in OpenMetrics, or one bad value; only OpenMetrics ends with
`# EOF`, and has units; only there a counter's family has no `_total`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from greenserve.admin.master import STATES, Worker
from greenserve.metrics.durations import cumulated
from greenserve.metrics.names import HISTOGRAMS, METRICS, Histogram, Metric, columns_of
from greenserve.version import VERSION

__all__ = ["OPEN_METRICS", "TEXT", "exposition"]

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_PREFIX: Final = "greenserve_"


def exposition(workers: Sequence[Worker], totals: Mapping[str, int], is_open: bool) -> str:
    """Return all of it; `is_open` for OpenMetrics, else the text format."""
    return "".join(f"{line}\n" for line in _lines(workers, totals, is_open))


def _lines(workers: Sequence[Worker], totals: Mapping[str, int], is_open: bool) -> Iterator[str]:
    yield from _head("build", "info" if is_open else "gauge", "The version of greenserve.", "", is_open)
    yield _sample("build_info", {"version": VERSION}, 1)
    yield from _head("workers", "gauge", "Workers by their state.", "", is_open)
    for state in STATES:
        yield _sample("workers", {"state": state}, sum(one.state == state for one in workers))
    families: dict[str, list[Metric]] = {}
    for metric in METRICS:
        families.setdefault(metric.family, []).append(metric)
    for family, members in families.items():
        first = members[0]
        yield from _head(family, first.kind, first.help, first.unit, is_open)
        for metric in members:
            if metric.kind == "counter":
                value = _scaled(metric, totals.get(metric.name, 0))
                yield _sample(f"{family}_total", metric.labels, value)
            else:
                for one in workers:
                    labels = {"worker": str(one.number), **metric.labels}
                    yield _sample(family, labels, _scaled(metric, one.row.get(metric.name, 0)))
    for histogram in HISTOGRAMS:
        yield from _histogram(histogram, totals, is_open)
    if is_open:
        yield "# EOF"


def _head(family: str, kind: str, text: str, unit: str, is_open: bool) -> Iterable[str]:
    name = _PREFIX + family
    if not is_open and kind == "counter":
        name += "_total"
    elif not is_open and family == "build":
        name += "_info"
    lines = [f"# HELP {name} {escaped(text) if is_open else escaped_help(text)}", f"# TYPE {name} {kind}"]
    return [*lines, f"# UNIT {name} {unit}"] if is_open and unit and name.endswith(f"_{unit}") else lines


def _histogram(histogram: Histogram, totals: Mapping[str, int], is_open: bool) -> Iterator[str]:
    family = histogram.family
    yield from _head(family, "histogram", histogram.help, "seconds", is_open)
    counts = [totals.get(column, 0) for column in columns_of(histogram)]
    for edge, count in cumulated(counts):
        yield _sample(f"{family}_bucket", {"le": "+Inf" if math.isinf(edge) else repr(edge)}, count)
    yield _sample(f"{family}_sum", {}, totals.get(f"{histogram.name}_us", 0) / 1e6)
    yield _sample(f"{family}_count", {}, sum(counts))


def _scaled(metric: Metric, value: int) -> float:
    return value / 1e6 if metric.unit == "seconds" else value


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
    return f"{_PREFIX}{name}{{{shown}}} {value!r}" if shown else f"{_PREFIX}{name} {value!r}"


def escaped(text: str) -> str:
    """Return the text as a label's value has to be, and OpenMetrics' HELP."""
    return escaped_help(text).replace('"', '\\"')


def escaped_help(text: str) -> str:
    """Return the text as HELP of the text format has to be."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")
