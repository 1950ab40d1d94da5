"""describe(): what a worker's server does at this moment, for the admin pages: requests, or all green threads.

The worker's side of Master.ask(): called in the worker, on its hub. Targets are shown without their query, which may
hold what is secret. What a description costs is bounded: of a worker's thousand requests the oldest hundred are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import Any, Final

from greenlet import greenlet

from greenserve.admin.master import Question
from greenserve.net import Connection, Server
from greenserve.net.http.request import Request
from greenserve.net.http.sending import Sending
from greenserve.net.http.states import State
from greenserve.net.http.upgrading import Upgrade
from greenserve_hub.diagnostics.debug import format_threads
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import stack_of

__all__ = ["describe"]

_MOST: Final = 100  # requests
_DEEPEST: Final = 20_000  # characters of a stack, and of what is waited for
_LONGEST: Final = 2_000_000  # characters of a dump
_SHOWN: Final = (State.QUEUED, State.RUNNING, State.UPGRADED, State.SENDING)


def describe(server: Server, question: Question) -> dict[str, Any]:
    """Return an object for JSON. Switches: never."""
    if question == "threads":
        text = format_threads()
        return {"text": text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n(cut off)\n"}
    found = list(_requests(server))
    oldest = nsmallest(_MOST, found, key=lambda each: each[1].since)
    told = [_told(server.hub, *each) for each in oldest]
    if question == "requests":
        for one, (_, busy) in zip(told, oldest, strict=True):
            green = _green_of(busy)
            one["stack"] = "" if green is None or green.dead else stack_of(green.gr_frame)[-_DEEPEST:]
    return {"count": len(found), "requests": told}


def _requests(server: Server) -> Iterator[tuple[Connection, Request | Upgrade]]:
    for one in server.connections:
        if isinstance(one, Connection) and one.state in _SHOWN:
            busy = one.activity.request if isinstance(one.activity, Sending) else one.activity
            if isinstance(busy, Request | Upgrade):
                yield one, busy


def _told(hub: Hub, connection: Connection, busy: Request | Upgrade) -> dict[str, Any]:
    now = hub.clock()
    green = _green_of(busy)
    waits, waited = _wait_of(hub, green, now)
    return {
        "route": str(busy).strip().partition("?")[0][:_DEEPEST],
        "client": f"{connection.peer}:{connection.peer_port}" if connection.peer else "unix",
        "began": round(busy.since, 3),  # by the hub's clock: tells it from the next one of this connection
        "state": connection.state.value,
        "is_websocket": connection.state is State.UPGRADED,
        "age": round(now - busy.since, 3),
        "waits_for": waits[:_DEEPEST],
        "waited": round(waited, 3),
    }


def _green_of(busy: Request | Upgrade) -> greenlet | None:
    return None if busy.running is None else busy.running[1]


def _wait_of(hub: Hub, green: greenlet | None, now: float) -> tuple[str, float]:
    waiter = None if green is None else hub.parked.get(green)
    if waiter is not None:
        return str(waiter), now - waiter.since
    return ("" if green is None or green.dead else "the hub: it can go on"), 0.0
