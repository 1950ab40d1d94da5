"""Admission: the limits on connections, and how a full server makes room for a new one.

Asked by a listener about each accepted socket; Connections tells PeerCounts of each connection that opens and closes.
In this order: an address that has `limit_connections_per_ip` open is rejected; with `limit_connections` open the
connection that has been idle for longest is closed; when none is idle, the new one is rejected. Invariants: no more
than `limit_connections` are open; PeerCounts holds no address without an open connection.

Facts: which connections are idle changes with every request. Decision: no list of the idle ones is kept, since each
request would pay for it; when the server is full the oldest are searched out, some hundred at once, and asked again
when their turn comes. A search that finds none is not repeated for a while, or a flood would keep the server searching.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Collection
from heapq import nsmallest
from typing import Final

from greenserve.config import Config
from greenserve.logs.throttled import Throttle
from greenserve.net.http.services import Idle
from greenserve.net.serving.rejected import Rejected
from greenserve.proxies import Trust
from greenserve_hub.loop.hub import Hub

log = logging.getLogger("greenserve.error")

_SEARCHED: Final = 256  # connections found by one search
_SEARCH_PAUSE: Final = 0.1  # seconds after one that found none
_TOLD_AGAIN: Final = 60.0  # seconds between two lines in the log about the same address, or about all
_TOLD_OF: Final = 1000  # addresses; more are a botnet, whose single ones tell nothing
_ALL: Final = ""  # in the table of what was told: the server as a whole


class PeerCounts:
    """The number of open connections of each address. Nothing switches.

    A trusted proxy stands for many clients, and so may a unix socket: neither is counted.
    """

    def __init__(self, config: Config) -> None:
        """No connection is open."""
        self.limit = config.limit_connections_per_ip  # 0: none
        senders = config.proxy_allow_from if config.proxy_protocol != "off" else ()
        self._proxies = Trust(config.forwarded_allow_ips + senders)
        self._counts: dict[str | bytes, int] = {}

    def is_greedy(self, peer: str) -> bool:
        """Return True if the address has as many connections open as it may."""
        return bool(self.limit) and self._counts.get(_key(peer), 0) >= self.limit

    def add(self, peer: str) -> None:
        """One more is open."""
        if not self._is_exempt(peer):
            key = _key(peer)
            self._counts[key] = self._counts.get(key, 0) + 1

    def remove(self, peer: str) -> None:
        """One was closed."""
        if not self._is_exempt(peer):
            key = _key(peer)
            left = self._counts.get(key, 0) - 1
            if left > 0:
                self._counts[key] = left
            else:
                self._counts.pop(key, None)

    def _is_exempt(self, peer: str) -> bool:
        return not peer or self._proxies.trusts(peer)


class Admission:
    """Decides which accepted sockets one server keeps."""

    def __init__(self, hub: Hub, config: Config, peers: PeerCounts, connections: Collection[Idle]) -> None:
        """`connections` are the open ones, which `peers` counts by address."""
        self.rejected = Rejected(hub)
        self.greedy = 0  # connections so far, of addresses that had too many
        self.full = 0  # connections so far for which there was no room, and no idle one to close
        self.made_way = 0  # idle connections so far that were closed for a new one
        self._hub = hub
        self._peers = peers
        self._connections = connections
        self._limit = config.limit_connections
        self._idle: deque[tuple[float, Idle]] = deque()
        self._search_from = 0.0
        self._throttle = Throttle(hub.clock, _TOLD_AGAIN, _TOLD_OF)

    def lets_in(self, sock: socket.socket, peer: str, speaks_http: bool = True) -> bool:
        """Return True if an accepted socket may become a connection; else answer 503 and close it. Switches: never.

        `speaks_http`: False where the client would not understand plain text (TLS): the socket is only closed then.
        """
        if self._peers.is_greedy(peer):
            self._tell_greedy(peer)
        elif len(self._connections) < self._limit or self._make_room():
            return True
        else:
            self.full += 1
            self._tell(
                _ALL,
                f"{self._limit} connections are open, none is idle (raise limit_connections if there is memory)",
            )
        self.rejected.add(sock, speaks_http)
        return False

    def recount(self, before: str, peer: str) -> bool:
        """Count a connection of `before`, a proxy, under `peer`, its client, from now on. Switches: never.

        Return False if the client has too many: nothing has changed then, and the connection is to be refused.
        """
        if self._peers.is_greedy(peer):
            self._tell_greedy(peer)
            return False
        self._peers.remove(before)
        self._peers.add(peer)
        return True

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest. Return False if none is idle."""
        while True:
            while self._idle:
                until, connection = self._idle.popleft()
                if connection.make_way(until):
                    self.made_way += 1
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
        self.greedy += 1
        self._tell(
            peer,
            f"{peer} has {self._peers.limit} connections open (limit_connections_per_ip; if it is a proxy of many "
            "clients, add it to forwarded_allow_ips)",
        )

    def _tell(self, address: str, what: str) -> None:
        """Log a line, unless the same was logged a moment ago."""
        count = self._throttle.admit(address)
        if count is not None:
            before = f"; {count} others were rejected since this was last logged" if count else ""
            log.warning("%s: rejecting further connections with 503%s", what, before)


def _key(peer: str) -> str | bytes:
    """Return the part of an address that one client cannot change: all of IPv4's; of IPv6's the first 64 bits."""
    if ":" not in peer:
        return peer
    if peer.startswith("::ffff:") and "." in peer:
        return peer[7:]  # IPv4, on a socket for both
    return socket.inet_pton(socket.AF_INET6, peer.partition("%")[0])[:8]


def _by_moment(found: tuple[float, Idle]) -> float:
    return found[0]
