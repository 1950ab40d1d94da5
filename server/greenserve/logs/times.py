"""Local time in the logs' forms, made once for each second.

Called for each line by the access log and the error log.
"""

from __future__ import annotations

import time
from typing import NamedTuple

__all__ = ["LocalTime", "local_time", "rfc3339"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LocalTime(NamedTuple):
    """One second of local time, as text."""

    second: int
    date: str  # 2026-11-23
    time: str  # 07:30:01
    zone: str  # +0100
    apache: str  # [23/Nov/2026:07:30:01 +0100]


# The latest second. Replaced as a whole, because servers in several threads share it.
_last = LocalTime(-1, "", "", "", "")
_last_rfc3339 = (-1.0, "")  # most lines of a turn have one moment


def local_time(moment: float) -> LocalTime:
    """Return the text forms of `moment`, a time of time.time(), up to its second."""
    global _last
    second = int(moment)
    now = _last
    if now.second != second:
        local = time.localtime(second)
        minutes = local.tm_gmtoff // 60
        zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
        clock = f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"
        date = f"{local.tm_year:04d}-{local.tm_mon:02d}-{local.tm_mday:02d}"
        # Not strftime: its %b would follow the locale that the app may have set.
        day = f"{local.tm_mday:02d}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year:04d}"
        now = _last = LocalTime(second, date, clock, zone, f"[{day}:{clock} {zone}]")
    return now


def rfc3339(moment: float) -> str:
    """Return `moment` as RFC 3339 has it, with milliseconds: 2026-11-23T07:30:01.250+01:00."""
    global _last_rfc3339
    known, text = _last_rfc3339
    if known != moment:
        now = local_time(moment)
        text = f"{now.date}T{now.time}.{int(moment % 1 * 1000):03d}{now.zone[:3]}:{now.zone[3:]}"
        _last_rfc3339 = moment, text
    return text
