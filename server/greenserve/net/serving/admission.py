"""Who is let in: the limits on connections, and room made for a newcomer when they are reached.

Asked by a listener for each accepted socket, told by the server of each connection that opens and closes. In this
order: an address that has `limit_connections_per_ip` open is turned away; with `limit_connections` open the connection
that is idle for longest makes way; when none is idle, the newcomer is turned away. Invariants: no more than
`limit_connections` are open; the tables hold no address without an open connection, but for a few that were told of.

Facts: who is idle changes with every request. Decision: no list of the idle is kept, since that would be paid for by
each request; when the server is full the oldest are searched out, some hundred at once, and asked again when their turn
comes. A search that finds none is not repeated for a while, or a flood would have us search for ever.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Collection
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from greenserve.config import Config
from greenserve.logs.throttled import Throttle
from greenserve.net.serving.rejected import TurnedAway
from greenserve.proxies import Trust
from greenserve_hub.loop.hub import Hub

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection

log = logging.getLogger("greenserve.error")

_SEARCHED: Final = 256  # connections found by one search
_SEARCH_PAUSE: Final = 0.1  # seconds after one that found none
_TOLD_AGAIN: Final = 60.0  # seconds between two lines in the log about the same address, or about all
_TOLD_OF: Final = 1000  # addresses; more are a botnet, whose single ones tell nothing
_ALL: Final = ""  # in the table of what was told: the server as a whole


class Admission:
    """The door of one server."""

    def __init__(self, hub: Hub, config: Config, connections: Collection[Connection]) -> None:
        """`connections`: those that are open, kept by the server."""
        self.turned_away = TurnedAway(hub)
        self._hub = hub
        self._connections = connections
        self._limit = config.limit_connections
        self._limit_per_ip = config.limit_connections_per_ip
        senders = config.proxy_allow_from if config.proxy_protocol != "off" else ()
        self._proxies = Trust(config.forwarded_allow_ips + senders)
        self._counts: dict[str | bytes, int] = {}
        self._idle: deque[tuple[float, Connection]] = deque()
        self._search_from = 0.0
        self._throttle = Throttle(hub.clock, _TOLD_AGAIN, _TOLD_OF)

    # For listeners -----------------------------------------------------------------------------------------

    def lets_in(self, sock: socket.socket, peer: str, speaks_http: bool = True) -> bool:
        """Whether an accepted socket may become a connection; else it is answered 503 and closed. Switches: never.

        `speaks_http`: False where an answer in plain text would not be understood (TLS): it is only closed then.
        """
        if self.is_greedy(peer):
            self._tell_greedy(peer)
        elif len(self._connections) < self._limit or self._make_room():
            return True
        else:
            self._tell(
                _ALL,
                f"{self._limit} connections are open, none is idle (raise limit_connections if there is memory)",
            )
        self.turned_away.add(sock, speaks_http)
        return False

    def is_exempt(self, peer: str) -> bool:
        """Whether an address is not counted: a trusted proxy stands for many clients, and so may a unix socket."""
        return not peer or self._proxies.trusts(peer)

    # Counting by address -----------------------------------------------------------------------------------

    def is_greedy(self, peer: str) -> bool:
        """Whether an address has as many connections open as it may. Switches: never."""
        return bool(self._limit_per_ip) and self._counts.get(_key(peer), 0) >= self._limit_per_ip

    def count_in(self, peer: str) -> None:
        """One more is open from this address. Switches: never."""
        if not self.is_exempt(peer):
            key = _key(peer)
            self._counts[key] = self._counts.get(key, 0) + 1

    def count_out(self, peer: str) -> None:
        """One fewer. Switches: never."""
        if not self.is_exempt(peer):
            key = _key(peer)
            left = self._counts.get(key, 0) - 1
            if left > 0:
                self._counts[key] = left
            else:
                self._counts.pop(key, None)

    def recount(self, before: str, peer: str) -> bool:
        """A connection counted under `before`, a proxy's address, is its client's `peer`; False where it has too many.

        Then nothing has changed, and the connection is to be refused. Switches: never.
        """
        if self.is_greedy(peer):
            self._tell_greedy(peer)
            return False
        self.count_out(before)
        self.count_in(peer)
        return True

    # Room ------------------------------------------------------------------------------------------------

    def _make_room(self) -> bool:
        """Close the connection that is idle for longest; whether there was one."""
        while True:
            while self._idle:
                until, connection = self._idle.popleft()
                if connection.make_way(until):
                    return True
            now = self._hub.now
            if now < self._search_from:
                return False
            found = [(idle, each) for each in self._connections if (idle := each.idle_until) is not None]
            if not found:
                self._search_from = now + _SEARCH_PAUSE
                return False
            self._idle.extend(nsmallest(_SEARCHED, found, key=_by_moment))

    def _tell_greedy(self, peer: str) -> None:
        self._tell(
            peer,
            f"{peer} has {self._limit_per_ip} connections open (limit_connections_per_ip; a proxy that stands for "
            "many clients belongs into forwarded_allow_ips)",
        )

    def _tell(self, address: str, what: str) -> None:
        """Log a line, if this was not told a moment ago."""
        count = self._throttle.admit(address)
        if count is not None:
            before = f", and so were {count} others in the last minutes" if count else ""
            log.warning("%s: the next is turned away with 503%s", what, before)


def _key(peer: str) -> str | bytes:
    """What stands for one client: an IPv4 address, or the /64 that an IPv6 host can take any address of."""
    if ":" not in peer:
        return peer
    if peer.startswith("::ffff:") and "." in peer:
        return peer[7:]  # IPv4, on a socket for both
    return socket.inet_pton(socket.AF_INET6, peer.partition("%")[0])[:8]


def _by_moment(found: tuple[float, Connection]) -> float:
    return found[0]
