"""How a server stops: it drains, lets what runs finish, ends what takes too long.

Facts: a proxy keeps connections open, and sends its next request on one of them at any moment. One that meets the
closing of its connection is lost: a client may repeat only what is idempotent (RFC 9110 §9.2.2), so that a proxy
answers 502 to a POST. Consequence: a client has to be told before, by `Connection: close` in an answer (RFC 9112 §9.6).
Decision: for `drain_delay` the connections that were not told stay open, and what comes on them is answered so. When
none is left, or the time is over, those that are idle are closed. Cost: a stop takes as long as that while clients keep
connections that they do not use, and a request that comes in the moment of the end is lost still.

The invariant: a request that came whole is answered, or told that it was not run.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from greenserve_hub.deadlines import NEVER
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn_n
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.parking import WaitQueue

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection
    from greenserve.net.serving.server import Server

log = logging.getLogger("greenserve.error")

_LOOK: Final = 0.1  # seconds between two looks at who may still ask


class Stop:
    """The stop of one server. From the hub of it."""

    def __init__(self, server: Server) -> None:
        """Not asked for."""
        self._server = server
        self._by = NEVER  # the moment, by the hub's clock, at which what still runs is ended
        self._drain_until = NEVER
        self._why = "ended after graceful_timeout"  # what runs
        self._hurried = WaitQueue()
        self.restarts = False  # whether another server follows
        self.has_begun = False

    def __repr__(self) -> str:
        """For dumps."""
        return f"the stop of {self._server!r}"

    def begin(self, graceful: float | None, drain_delay: float, restarts: bool) -> None:
        """Stop, or stop sooner. Switches: never."""
        server = self._server
        now = server.hub.clock()
        by = now + (server.config.graceful_timeout if graceful is None else graceful)
        drain_until = min(now + drain_delay, by)
        if not self.has_begun:
            self.has_begun = True
            self.restarts = restarts
            self._by = by
            self._drain_until = drain_until
            if graceful is not None:
                self._why = f"ended after the {graceful:g} s that the stop gave it"
            # A green thread of its own: who asks for the stop may be one of those that it ends.
            spawn_n(self._run)
            return
        self._drain_until = min(self._drain_until, drain_until)
        if by < self._by:
            self._by = by
            self._why = "ended by a second stop, which asked for less time"
        self._hurried.wake_all()
        server.connections.hurry()

    def _run(self) -> None:
        server = self._server
        service = server.service
        service.keep_alive = False
        accepts = server.config.drain_accept and self._left(self._drain_until) > 0
        if not accepts:
            server.close_listeners()
        while (left := self._left(self._drain_until)) > 0 and (accepts or self._some_may_ask()):
            self._hurried.park("what clients still ask, in", self, min(left, _LOOK))
        service.parks = False
        if accepts:
            server.close_listeners()
        connections = server.connections
        connections.stop_waiting()
        for connection in connections:
            connection.drain()
        while connections.all and (left := self._left(self._by)) > 0:
            connections.wait_for_last(left)
        with Timeout(max(0, self._left(self._by)), False):
            server.callbacks.waitall()
        self._end_what_runs()
        server.has_stopped()

    def _left(self, moment: float) -> float:
        return moment - self._server.hub.clock()

    def _some_may_ask(self) -> bool:
        return any(connection.may_ask for connection in self._server.connections)

    def _end_what_runs(self) -> None:
        server = self._server
        server.queue.refuse_all()
        for _ in range(3):  # what an app does in its finally clauses may take turns too
            for connection in server.connections.all:
                server.hub.call_soon(self._end_one, connection)
            for worker in server.callbacks.members():
                server.hub.call_soon(kill, worker)
            if not server.connections.all and not server.callbacks.running():
                return
            sleep(0)

    def _end_one(self, connection: Connection) -> None:
        told = connection.end()
        if told is not None:
            log.warning("%s: %s", self._why, told)
