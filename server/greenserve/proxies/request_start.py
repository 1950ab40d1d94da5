"""X-Request-Start and X-Queue-Start: when a proxy has got a request that comes to us only now.

Sans-IO: net/ gives the time. Facts: the proxy's time is its own clock's. A clock that is wrong by more than the limit
would make each of its requests too late, so that none is served. Decision: of a proxy on another machine the shortest
delay ever seen is taken for the difference between the clocks; and if for _SUSPICIOUS seconds all its requests are too
late, its clock is taken to have been set, and the shortest of these delays is the difference from then on. Cost: what
all requests of such a proxy wait is not seen.

The invariant: a text that is no time, or a time that cannot be, counts as no wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from greenserve.caches import remember
from greenserve.proxies.trust import Trust

_NAMES: Final = ("x-request-start", "x-queue-start")
# Of several, the first: the proxy nearest to the client. nginx's `t=${msec}`, Apache's `%t`, HAProxy's and Heroku's.
_TIME: Final = re.compile(r"[ \t]*(?:t=)?([0-9]{9,17}(?:\.[0-9]{1,9})?)[ \t]*(?:,|\Z)", re.ASCII)
# By its size a number is in seconds, milliseconds or microseconds: each unit's numbers are of the years 1973 to 5138.
_UNITS: Final = ((1e14, 1e6), (1e11, 1e3))
_LONGEST: Final = 3600.0  # seconds; no proxy keeps a request for longer
_SUSPICIOUS: Final = 30.0  # seconds
_LOCAL: Final = ("127.", "::1", "::ffff:127.")


def parse_request_start(text: str) -> float | None:
    """Return the time that the field tells, in seconds since 1970; None if it tells none."""
    found = _TIME.match(text)
    if found is None:
        return None
    number = float(found[1])
    for least, unit in _UNITS:
        if number >= least:
            return number / unit
    return number


class _Clock:
    """What the times of one proxy have told of its clock."""

    __slots__ = ("behind", "late_since", "least_late")

    def __init__(self, behind: float) -> None:
        self.behind = behind  # seconds, the time on the way included
        self.late_since: float | None = None  # all its requests are too late since then
        self.least_late = behind  # the shortest delay of these


class RequestStarts:
    """How long the requests of one server have waited before they came to it."""

    def __init__(self, trust: Trust, limit: float) -> None:
        """`trust`: the proxies that are believed. `limit`: the seconds after which a request is too late."""
        self._trust = trust
        self._limit = limit
        self._clocks: dict[str, _Clock] = {}

    def waited(self, fields: Iterable[tuple[str, str]], peer: str, now: float) -> float:
        """Return the seconds that the request waited, as its proxy, `peer`, tells; 0.0 if none is believed.

        `now` in seconds since 1970.
        """
        for name, value in fields:
            if name.lower() in _NAMES:
                told = parse_request_start(value)
                if told is None or not self._trust.trusts(peer):
                    return 0.0
                delay = now - told
                if peer and not peer.startswith(_LOCAL):
                    delay -= self._difference(peer, delay, now)
                return delay if 0.0 < delay <= _LONGEST else 0.0
        return 0.0

    def _difference(self, peer: str, delay: float, now: float) -> float:
        """Return by how much the proxy's clock is behind."""
        clock = self._clocks.get(peer)
        if clock is None:
            clock = remember(self._clocks, peer, _Clock(delay))
        clock.behind = min(clock.behind, delay)
        if delay - clock.behind < self._limit:
            clock.late_since = None
        elif clock.late_since is None:
            clock.late_since = now
            clock.least_late = delay
        else:
            clock.least_late = min(clock.least_late, delay)
            if now - clock.late_since >= _SUSPICIOUS:
                clock.behind = clock.least_late
                clock.late_since = None
        return clock.behind
