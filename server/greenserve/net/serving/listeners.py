"""Listeners: the listening sockets of one server, which are opened together, accept, and are closed together.

Made by the Server, whose urls are told here. Knows no HTTP: the server makes a Listener of each socket.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from greenserve.config import BindAddress, Config
from greenserve.net.sockets.binding import open_listener, prepare
from greenserve.net.sockets.listener import Listener
from greenserve.net.tls.contexts import TLS
from greenserve_hub.greenthreads.greenthreads import spawn


class Given(NamedTuple):
    """What a server gets from its master: sockets that it neither watches nor removes, and certificates.

    `serving` stand in the order of `bind`, `redirecting` in that of `redirect_bind`. `tls` was read before the process
    has changed its user. From the sockets with the descriptors in `shared` other workers accept too; before each accept
    there, `hold_back(connections)` returns how long this one is to leave it to them, in seconds.
    """

    serving: list[socket.socket]
    redirecting: list[socket.socket]
    tls: TLS | None = None
    shared: frozenset[int] = frozenset()
    hold_back: Callable[[int], float] | None = None

    def holds_back(self, sock: socket.socket) -> Callable[[int], float] | None:
        """Return `hold_back` for a socket that is shared, None for another one."""
        return self.hold_back if sock.fileno() in self.shared else None


Make = Callable[[socket.socket], Listener]


class Listeners:
    """Where one server serves (`bind`), and where it redirects to there (`redirect_bind`)."""

    def __init__(self, config: Config, sockets: Sequence[socket.socket], given: Given | None) -> None:
        """Nothing is open yet. `sockets` that listen already take the place of `bind`; `given` that of all."""
        self.serving: list[Listener] = []
        self.redirecting: list[Listener] = []
        self._config = config
        self._sockets = tuple(sockets)
        self._given = given
        self._adopted: dict[int, list[Listener]] = {}
        self._make: tuple[Make, Make] | None = None

    @property
    def all(self) -> list[Listener]:
        """Both, and what was adopted."""
        return self.serving + self.redirecting + [one for many in self._adopted.values() for one in many]

    def open(self, serve: Make, redirect: Make) -> None:
        """Open all. Switches: never.

        Raises ConfigError for an address that is not to be had; close() is left to the caller then.
        """
        self._make = serve, redirect
        if self._given is not None:
            self.serving += [serve(sock) for sock in self._given.serving]
            self.redirecting += [redirect(sock) for sock in self._given.redirecting]
            return
        config = self._config
        sockets = [prepare(sock) for sock in self._sockets] or self._open_all(config.addresses)
        for sock in sockets:
            self.serving.append(serve(sock))
            if self._sockets:
                self.serving[-1].watch()
        for sock in self._open_all(config.redirect_addresses):
            self.redirecting.append(redirect(sock))

    def _open_all(self, addresses: Sequence[BindAddress]) -> list[socket.socket]:
        config = self._config
        opened: list[socket.socket] = []
        try:
            for address in addresses:
                sock = open_listener(address, config.backlog, config.reuse_port, config.socket_mode)
                opened.append(sock)  # one by one, so that those before a bad one can be closed
        except BaseException:
            for sock in opened:
                sock.close()
            raise
        return opened

    def accept(self) -> None:
        """Begin to accept. Switches: never."""
        for listener in self.all:
            spawn(listener.accept_forever)

    def adopt(self, number: int, given: Given) -> None:
        """Accept from another worker's sockets too, in a group that leave() names. Switches: never."""
        assert self._make is not None
        serve, redirect = self._make
        listeners = [serve(sock) for sock in given.serving] + [redirect(sock) for sock in given.redirecting]
        self._adopted[number] = listeners
        for listener in listeners:
            spawn(listener.accept_forever)

    def leave(self, number: int) -> None:
        """Accept from that group no more; what waits in the sockets' queues stays there. Switches: never."""
        for listener in self._adopted.pop(number, ()):
            listener.close()

    def finish(self) -> None:
        """Accept the connections that the kernel has made already, and no more. Switches: never."""
        for listener in self.all:
            listener.accept_rest()
            listener.close()

    def close(self) -> None:
        """Close all; repeatable. Switches: never."""
        for listener in self.all:
            listener.close()

    def leave_behind(self) -> None:
        """Close the child's copies, after a fork. Switches: never."""
        given = self._config.addresses + self._config.redirect_addresses
        for listener in self.all:
            listener.leave_behind(given)

    @property
    def are_lost(self) -> bool:
        """Return True if every socket that the server serves at has failed for good."""
        return all(listener.is_lost for listener in self.serving)

    @property
    def address(self) -> Any:
        """The first listening socket's own address: (host, port) or a path."""
        name = self.serving[0].name
        return name[:2] if isinstance(name, tuple) else name

    @property
    def port(self) -> int:
        """The first address's port; 0 for a unix socket."""
        return self.address[1] if isinstance(self.address, tuple) else 0
