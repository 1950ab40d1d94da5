"""Stop and End: how a server drains, lets what runs finish, ends what takes too long; and how its end is waited for.

Facts: a proxy keeps connections open, and sends its next request on one of them at any moment. A request that meets the
closing of its connection is lost: a client may repeat only an idempotent one (RFC 9110 §9.2.2), so that a proxy answers
502 to a POST. Consequence: a client has to be told before, by `Connection: close` in a response (RFC 9112 §9.6).
Decision: for `drain_delay` the connections whose clients were not told stay open, and their requests are answered with
it. When none is left, or the time is over, the idle ones are closed. Cost: a stop takes as long as that while clients
keep connections that they do not use, and a request that comes in the moment of the end is still lost.

The invariant: a request that came whole is answered, or told that it was not run.
"""

from __future__ import annotations

import logging
import random
from typing import Final, Protocol

from greenlet import greenlet

from greenserve.config import Config
from greenserve.net.http.services import Ending, Member
from greenserve.net.serving.connections import Connections
from greenserve.net.serving.listeners import Listeners
from greenserve.net.serving.request_queue import RequestQueue
from greenserve.wsgi import Service
from greenserve_hub.deadlines import NEVER
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn_n
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.hub import MAX_TURN, Hub
from greenserve_hub.loop.origins import Place, format_places, places_of
from greenserve_hub.loop.parking import TIMED_OUT, WaitQueue
from greenserve_hub.osthreads import threads
from greenserve_hub.unpatched import _thread

log = logging.getLogger("greenserve.error")

_LOOK: Final = 0.1  # seconds between two looks whether a client may still ask
_LEAST_PAUSE: Final = 0.01  # seconds: of ten thousand, some are drained together
_MOST_TOLD: Final = 50  # log lines about what was ended, each with a stack


class Stoppable(Protocol):
    """A started server, as its stop sees it."""

    hub: Hub
    config: Config
    service: Service
    listening: Listeners
    queue: RequestQueue
    connections: Connections
    callbacks: GreenPool

    def has_stopped(self) -> None:
        """All is closed. Switches: never."""


class Stop:
    """The stop of one server, in the hub of it."""

    def __init__(self, server: Stoppable) -> None:
        """Not asked for yet."""
        self._server = server
        self._by = NEVER  # the moment, by the hub's clock, at which what still runs is ended
        self._drain_until = NEVER
        self._jitter = 0.0  # seconds over which lasting connections are ended
        self._why = "ended after graceful_timeout"  # what runs
        self._told = 0  # of what was ended
        self._to_tell: list[tuple[str, str, list[Place]]] = []
        self._hurried = WaitQueue()
        self.restarts = False  # True if another server follows
        self.has_begun = False

    def __repr__(self) -> str:
        """For dumps."""
        return f"the stop of {self._server!r}"

    def begin(
        self,
        graceful: float | None = None,
        drain_delay: float = 0.0,
        restarts: bool = False,
        jitter: float = 0.0,
    ) -> None:
        """Stop, or stop sooner than asked for before; see Server.stop(). From any OS thread. Switches: never."""
        server = self._server
        if server.hub.thread_id != _thread.get_ident():
            server.hub.call_from_thread(self.begin, graceful, drain_delay, restarts, jitter)
            return
        now = server.hub.clock()
        by = now + (server.config.graceful_timeout if graceful is None else graceful)
        drain_until = min(now + drain_delay, by)
        if not self.has_begun:
            self.has_begun = True
            self.restarts = restarts
            self._by = by
            self._drain_until = drain_until
            self._jitter = jitter
            if graceful is not None:
                self._why = f"ended after the {graceful:g} s that the stop gave it"
            # A green thread of its own: the caller may be one of those that the stop ends.
            spawn_n(self._run)
            return
        self._drain_until = min(self._drain_until, drain_until)
        self._jitter = min(self._jitter, jitter)
        if by < self._by:
            self._by = by
            self._why = "ended by a second stop, which asked for less time"
        self._hurried.wake_all()
        server.connections.hurry()

    def _run(self) -> None:
        server = self._server
        server.service.end_keep_alive()
        accepts = server.config.drain_accept and self._left(self._drain_until) > 0
        if not accepts:
            server.listening.finish()
        while (left := self._left(self._drain_until)) > 0 and (accepts or self._some_may_ask()):
            self._hurried.park("what clients still ask, in", self, min(left, _LOOK))
        server.service.end_parking()
        if accepts:
            server.listening.finish()
        connections = server.connections
        connections.stop_waiting()
        lasting = [connection for connection in connections if connection.lasts]
        for connection in set(connections).difference(lasting):
            self._drain(connection)
        self._drain_in_turn(lasting)
        while connections.all and (left := self._left(self._by)) > 0:
            connections.wait_for_last(left)
        with Timeout(max(0, self._left(self._by)), False):
            server.callbacks.waitall()
        self._end_what_runs()
        if self._told > _MOST_TOLD:
            log.warning("%s: %d more, which are not listed", self._why, self._told - _MOST_TOLD)
        server.has_stopped()

    def _drain(self, connection: Member) -> None:
        """Switches: when this turn has done enough."""
        connection.drain()
        if self._server.hub.clock() - self._server.hub.now > MAX_TURN:
            sleep(0)

    def _drain_in_turn(self, lasting: list[Member]) -> None:
        """Drain each of them at its moment, in random order: all their clients come back as soon as they are told."""
        random.shuffle(lasting)
        began = self._server.hub.clock()
        count = len(lasting)
        first = random.random()  # else all the servers of a site would begin together
        while lasting:
            if not lasting[-1].lasts:
                lasting.pop()  # it has ended meanwhile
                continue
            seconds = min(self._jitter, (self._by - began) / 2)  # the rest is for the last to agree
            at = began + seconds * (count - len(lasting) + first) / count
            if (left := self._left(at)) > 0:
                self._hurried.park("the next moment in the drain of", self, max(left, _LEAST_PAUSE))
            else:
                self._drain(lasting.pop())

    def _left(self, moment: float) -> float:
        return moment - self._server.hub.clock()

    def _some_may_ask(self) -> bool:
        return any(connection.may_ask for connection in self._server.connections)

    def _end_what_runs(self) -> None:
        server = self._server
        for green in server.callbacks.members():
            self._ended("a callback of a WebSocket", None, self._places_of(green))
        server.queue.refuse_all()
        for _ in range(3):  # what an app does in its finally clauses may take turns too
            for connection in server.connections.all:
                server.hub.call_soon(self._end_one, connection)
            for worker in server.callbacks.members():
                server.hub.call_soon(kill, worker)
            if not server.connections.all and not server.callbacks.running():
                break
            sleep(0)
        # Not before: a response that says so would come too late if the rounds took long.
        for ended in self._to_tell:
            self._tell(*ended)

    def _end_one(self, connection: Ending) -> None:
        began, green = connection.running or (None, None)
        places = self._places_of(green)  # before it ends
        ended = connection.end()
        if ended is not None:
            self._ended(ended, began, places)

    def _places_of(self, green: greenlet | None) -> list[Place]:
        return [] if green is None or self._told >= _MOST_TOLD else places_of(green.gr_frame)

    def _ended(self, what: str, began: float | None, places: list[Place]) -> None:
        """Note what was ended, and where it was, unless enough of it is to be logged."""
        self._told += 1
        if self._told <= _MOST_TOLD:
            age = "" if began is None else f", {self._server.hub.clock() - began:.1f} s old"
            self._to_tell.append((what, age, places))

    def _tell(self, ended: str, age: str, places: list[Place]) -> None:
        where = f". It was here:\n{format_places(places).rstrip()}" if places else ""
        log.warning("%s: %s%s%s", self._why, ended, age, where)


class End:
    """The end of one server, for which any thread can wait."""

    def __init__(self, name: object) -> None:
        """It has not come. `name` stands in dumps."""
        self._name = name
        self._event = threads.Event()  # for OS threads
        self._waiters = WaitQueue()  # for green threads of the server's hub

    def has_come(self) -> bool:
        """Return True if the server has stopped. From any thread."""
        return self._event.is_set()

    def come(self) -> None:
        """Wake all waiters, in the server's OS thread. Switches: never."""
        self._event.set()
        self._waiters.wake_all()

    def leave_behind(self) -> None:
        """For the child of a fork: it has come, and wakes nothing. Switches: never."""
        self._event = threads.Event()  # the lock of the other may be held by an OS thread that was not copied
        self._event.set()

    def wait(self, hub: Hub | None, timeout: float | None) -> bool:
        """Return True when it has come, False after `timeout` seconds. `hub`: the server's; None: it was not started.

        Switches: in the hub's thread; in another one it blocks.
        """
        if self._event.is_set():
            return True
        if hub is None or hub.thread_id != _thread.get_ident():
            return self._event.wait(timeout)
        return self._waiters.park("the end of", self._name, timeout) is not TIMED_OUT
