"""How a test's green threads wait for a stream's peer, in the place of a connection."""

from __future__ import annotations

from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.stream import Side, Stream, Wait
from greenserve_hub.deadlines import NEVER


def within(stream: Stream, timeout: float | None) -> Wait:
    """So many seconds for each wait."""

    def wait(side: Side) -> None:
        stream.wait(side, timeout)

    return wait


def all_within(stream: Stream, timeout: float) -> Wait:
    """So many seconds for all waits together: none of them is ended by anything that counts as progress."""
    pace = Pace(timeout, NEVER, timeout)

    def wait(side: Side) -> None:
        clock = stream.descriptor.hub.clock
        pace.begin(clock())
        stream.wait(side, pace.left)
        pace.end(clock())

    return wait
