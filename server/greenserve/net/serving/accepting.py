"""Accepting: makes a connection of an accepted socket, if it may connect and there is room.

One for each listener, which knows no HTTP and hands its sockets on to this. The invariant: a socket that was let in
becomes a connection that the server knows, or is closed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from greenserve.net.http.connection import Connection
from greenserve.net.http.services import Services
from greenserve.net.opening.endpoint import Endpoint
from greenserve.net.serving.admission import Admission
from greenserve.net.serving.connections import Connections
from greenserve.net.sockets.binding import prepare
from greenserve.net.sockets.stream import Stream, close_connection
from greenserve_hub.greenthreads.greenthreads import sleep


class Accepting:
    """The connections of one endpoint begin here; see Taker."""

    def __init__(
        self,
        services: Services,
        endpoint: Endpoint,
        admission: Admission,
        connections: Connections,
        lost: Callable[[Exception], None],
        holds_back: Callable[[int], float] | None = None,
    ) -> None:
        """`lost` is told when the listener has failed for good. `holds_back`: see Given."""
        self._services = services
        self._endpoint = endpoint
        self._admission = admission
        self._connections = connections
        self.lost = lost
        self.shares = holds_back is not None
        self._holds_back = holds_back
        self.wait_for_room = connections.wait_for_a_close

    def accepted(self, sock: socket.socket, address: Any) -> bool:
        """See Taker."""
        return self._take(sock, address)[0]

    def _take(self, sock: socket.socket, address: Any) -> tuple[bool, Connection | None]:
        """Return what Taker says, and the connection if one was made."""
        sock.setblocking(False)
        peer, port = (address[0], str(address[1])) if isinstance(address, tuple) else ("", "")
        services = self._services
        proxy_headers = services.entrance.proxy_headers
        if proxy_headers is not None and not proxy_headers.admits(peer):
            services.counts.refused += 1
            close_connection(sock)
            return True, None
        if not self._admission.lets_in(sock, peer, self._endpoint.tls is None and proxy_headers is None):
            return False, None
        return True, self.open(Stream(services.hub, sock), peer, port)

    def serve_one(self, sock: socket.socket, address: Any) -> None:
        """Serve one socket that other code has accepted, until its connection is closed. Switches: always."""
        connection = self._take(prepare(sock), address)[1]  # its listener may not have been prepared
        if connection is None:
            return
        try:
            self._connections.wait_for(connection)
        except BaseException:
            self._services.hub.call_soon(connection.end)
            raise

    def hold_back(self) -> None:
        """See Taker."""
        if self._holds_back is not None and (pause := self._holds_back(len(self._connections))):
            sleep(pause)

    def open(self, stream: Stream, peer: str, peer_port: str) -> Connection:
        """Make a connection of a stream. Closes it if that fails. Switches: never."""
        services = self._services
        try:
            connection = Connection(services, self._endpoint, stream, peer, peer_port)
            self._connections.add(connection)
        except BaseException:
            stream.close()
            raise
        services.counts.accepted += 1
        return connection
