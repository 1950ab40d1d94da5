"""What `greenserve top` shows, as lines of text. Knows no terminal: the width is an argument.

What clients have sent, routes, is shown without control characters, which would command the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["lines"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_BOLD, _DIM, _RED, _GREEN, _YELLOW, _PLAIN = (
    "\x1b[1m",
    "\x1b[2m",
    "\x1b[31m",
    "\x1b[32m",
    "\x1b[33m",
    "\x1b[0m",
)
_COLOUR_OF: Final = {"ready": _GREEN, "draining": _YELLOW, "starting": _YELLOW, "stuck": _RED}
_SLOW: Final = 1.0  # seconds


def lines(
    place: str, live: Mapping[str, Any], asked: Mapping[str, Any], width: int, is_coloured: bool
) -> list[str]:
    """Return the lines. `live` of /live.json with all `fine` points that are known, `asked` of /requests."""
    found = [*_totals(place, live), "", *_workers(live), "", *_requests(asked)]
    return [_painted(parts, width, is_coloured) for parts in found]


# A line is a text, or parts of one, each with how it is painted.
Line = str | Sequence[tuple[str, str]]


def _totals(place: str, live: Mapping[str, Any]) -> Iterator[Line]:
    now, points = live["now"], live["history"]["fine"]
    workers = now["workers"]
    ready = sum(one["state"] == "ready" for one in workers)
    ended = f", {now['ended']} have ended" if now["ended"] else ""
    yield [
        (f"greenserve {now['version']}: {ready} of {len(workers)} workers ready{ended}", _BOLD),
        (f", at {place}", ""),
    ]
    if not points:
        yield "the first numbers come within two seconds"
        return
    last = points[-1]
    yield _row("requests/s", f"{last['rate']:,.1f}   {_spark([one['rate'] for one in points])}")
    bad = _RED if last["errors"] or last["shed"] else ""
    shed = "".join(f"  {reason} {count}" for reason, count in now["shed"].items())
    yield [
        *_row("5xx/s", f"{last['errors']:,.1f}"),
        (f"   shed/s {last['shed']:,.1f}{f'   shed so far:{shed}' if shed else ''}", bad),
    ]
    told = "   ".join(f"{name} {_ms(last[key])}" for name, key in _PERCENTILES)
    yield _row("latency", told)
    yield _row(
        "slots",
        f"{last['active']:,} of {last['pool']:,} in use   {last['queued']:,} requests queued   "
        f"{last['websockets']:,} WebSockets",
    )
    states = ", ".join(f"{n:,} {state}" for state, n in zip(now["states"], last["states"], strict=False) if n)
    yield _row("connections", f"{sum(last['states']):,}{f': {states}' if states else ''}")
    yield _row(
        "hub lag", f"{_ms(last['lag'])}   CPU {last['cpu']:.2f} cores   sends {_bytes(last['sent'])}/s"
    )


_PERCENTILES: Final = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"))


def _workers(live: Mapping[str, Any]) -> Iterator[Line]:
    yield [
        (
            "worker      pid  state          age     requests  active  queued  websockets    memory       lag",
            _DIM,
        )
    ]
    for one in live["now"]["workers"]:
        yield [
            (f"{one['number']:>6} {one['pid']:>8}  ", ""),
            (f"{one['state']:<9}", _COLOUR_OF.get(one["state"], "")),
            (
                f" {_age(one['age']):>8} {one['requests']:>12,} {one['active']:>7,} {one['queued']:>7,}"
                f" {one['websockets']:>11,} {_bytes(one['resident_bytes']):>9} {_ms(one['hub_lag_us'] / 1000):>9}",
                "",
            ),
        ]


def _requests(asked: Mapping[str, Any]) -> Iterator[Line]:
    found: list[tuple[float, int, Mapping[str, Any]]] = []
    count = 0
    for worker in asked["workers"]:
        if "error" in worker:
            yield [(f"worker {worker['number']} {worker['error']}", _RED)]
            continue
        count += worker["count"]
        found += [(one["age"], worker["number"], one) for one in worker["requests"]]
    found.sort(key=lambda each: -each[0])
    yield [(f"worker      age  what runs, the oldest first ({count:,} in all)", _DIM)]
    for age, number, one in found:
        wait = one["waits_for"] or one["state"]
        colour = _YELLOW if age >= _SLOW and not one["is_websocket"] else ""
        yield [(f"{number:>6} {_age(age):>8}  ", colour), (f"{one['route']}  ", ""), (wait, _DIM)]


def _row(name: str, value: str) -> list[tuple[str, str]]:
    return [(f"{name:<12}", _DIM), (value, "")]


def _painted(line: Line, width: int, is_coloured: bool) -> str:
    left, shown = width, []
    for text, colour in [(line, "")] if isinstance(line, str) else line:
        part = "".join(one if one.isprintable() else "?" for one in text)[:left]
        left -= len(part)
        shown.append(f"{colour}{part}{_PLAIN}" if colour and is_coloured and part else part)
    return "".join(shown)


def _spark(values: Iterable[float]) -> str:
    last = list(values)[-40:]
    most = max(last, default=0) or 1
    return "".join(_BARS[min(int(value / most * 7.999), 7)] for value in last)


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1000:,.2f} s" if value >= 1000 else f"{value:.3g} ms"


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"


def _bytes(value: float) -> str:
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} GB"
