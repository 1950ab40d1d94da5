"""Sockets: the listening sockets of a server with workers, which the master opens and keeps while the server lives.

Facts: of workers that wait for one socket, the kernel wakes the same one again and again, so that lasting connections
pile up there. Of several sockets at one address (SO_REUSEPORT) it chooses by a hash of the client's address, evenly;
but the connections that wait in the queue of one that is closed are reset. Decision: each seat has a socket of its own
for each TCP address, and the worker on that seat, the next one and another one that stands in for it use the same.
Cost: a worker that stands still holds up its share of new connections until another one takes them over.

A unix socket and a descriptor that was handed over are one socket for all workers.

Invariant: no listening socket is closed while the server lives, so no connection in its queue is lost.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from greenserve.config import BindAddress, Config
from greenserve.errors import ConfigError
from greenserve.net.serving.listeners import Given
from greenserve.net.sockets.binding import file_of, open_listener, prepare, remove_file
from greenserve_hub.unpatched import socket

__all__ = ["Sockets"]

_SERVING: Final = "serving"
_REDIRECTING: Final = "redirecting"
_Key = tuple[str, str]  # serving or redirecting, and the address as text


class Sockets:
    """The sockets of all seats."""

    def __init__(self, made: Callable[[str], object] = bool) -> None:
        """Nothing is open. `made(path)` is called for each file of a unix socket that is made."""
        self._made = made
        self._open: dict[_Key, list[socket.socket]] = {}  # one for each seat, or one for all
        self._files: dict[_Key, tuple[str, int] | None] = {}
        self._order: list[_Key] = []
        self._own: set[_Key] = set()  # those that each seat has its own of
        self._brought: list[_Key] = []  # by a program, in place of `bind`

    def take(self, sockets: Sequence[socket.socket]) -> None:
        """Take sockets that listen already, which a program brings in place of `bind`."""
        for index, sock in enumerate(sockets):
            key = (_SERVING, f"socket {index}")
            self._open[key] = [prepare(sock)]
            self._brought.append(key)

    def open(self, config: Config, seats: int) -> None:
        """Open what the settings name and is not open yet. Raises ConfigError; what was open before stays so."""
        before = set(self._open)
        try:
            self._open_all(config, seats)
        except BaseException:
            for key in self._open.keys() - before:
                self._close(key)
            raise

    def _open_all(self, config: Config, seats: int) -> None:
        wanted = [(_SERVING, address) for address in config.addresses if not self._brought]
        wanted += [(_REDIRECTING, address) for address in config.redirect_addresses]
        order = list(self._brought)
        for number, (kind, address) in enumerate(wanted):
            # Port 0 may be given twice, and each is another one.
            key = (
                kind,
                f"{address}#{number}" if address.port == 0 and address.kind == "tcp" else str(address),
            )
            self._open_one(key, address, config, seats)
            order.append(key)
        self._order = order

    def _open_one(self, key: _Key, address: BindAddress, config: Config, seats: int) -> None:
        if key in self._open:
            self._grow(key, seats, config.backlog)
            return
        if address.kind != "tcp" or config.worker_sockets == "shared":
            sock = open_listener(address, config.backlog, config.reuse_port, config.socket_mode)
            self._files[key] = file = file_of(sock)
            if file is not None:
                self._made(file[0])
            self._open[key] = [sock]
            return
        first = open_listener(address, config.backlog, config.reuse_port, config.socket_mode)
        self._open[key] = [first]
        self._own.add(key)
        # Two servers would share a port unnoticed if both let others in. So the first socket lets others in only when
        # it listens: of two servers that start in one moment the kernel refuses one, in bind() or in listen().
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._grow(key, seats, config.backlog)

    def _grow(self, key: _Key, seats: int, backlog: int) -> None:
        there = self._open[key]
        first = there[0]
        while key in self._own and len(there) < seats:
            sock = socket.socket(first.family, first.type, first.proto)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if first.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(first.getsockname())
                sock.listen(backlog)
            except OSError as error:
                sock.close()
                raise ConfigError(
                    f"cannot listen a second time at {key[1]} (SO_REUSEPORT): {error.strerror}; "
                    "worker_sockets = shared needs one socket only"
                ) from error
            there.append(prepare(sock))

    def grow(self, seats: int, backlog: int) -> None:
        """Open sockets for more seats. Raises ConfigError."""
        for key in self._order:
            self._grow(key, seats, backlog)

    def of(self, seat: int) -> Given:
        """The sockets of one seat: those of its own, and those that all share."""
        return self._given(seat, self._order)

    def own_of(self, seat: int) -> Given:
        """The sockets that the workers of one seat alone have."""
        return self._given(seat, [key for key in self._order if key in self._own])

    def _given(self, seat: int, keys: Sequence[_Key]) -> Given:
        given = Given([], [])
        shared = set()
        for key in keys:
            sock = self._open[key][seat if key in self._own else 0]
            (given.serving if key[0] == _SERVING else given.redirecting).append(sock)
            if key not in self._own:
                shared.add(sock.fileno())
        return given._replace(shared=frozenset(shared))

    def drop_unused(self) -> None:
        """Close what a reload has left without use. Nobody accepts there any more."""
        for key in self._open.keys() - set(self._order):
            self._close(key)

    def _close(self, key: _Key) -> None:
        for sock in self._open.pop(key):
            sock.close()
        self._own.discard(key)
        remove_file(self._files.pop(key, None))

    def close(self) -> None:
        """Close all, and remove the files of unix sockets. Repeatable."""
        for key in tuple(self._open):
            self._close(key)

    def leave_behind(self, given: Given) -> None:
        """In a worker: close the copies of all sockets but those of its seat."""
        kept = {id(sock) for sock in given.serving + given.redirecting}
        for sock in self._all():
            if id(sock) not in kept:
                os.close(sock.detach())

    def _all(self) -> Iterator[socket.socket]:
        for there in self._open.values():
            yield from there

    @property
    def addresses(self) -> list[str]:
        """The addresses that are open, as the settings name them."""
        return [address for _, address in self._open]

    # For the next program in this process (SIGUSR2) --------------------------------------------------------

    def state(self) -> list[list[object]]:
        """What the next program needs to go on with them: kind, address, whether seats have their own, descriptors."""
        return [
            [*key, key in self._own, [sock.fileno() for sock in there]] for key, there in self._open.items()
        ]

    def set_inheritable(self, inheritable: bool) -> None:
        """Let an executed program have them, or not."""
        for sock in self._all():
            sock.set_inheritable(inheritable)

    def restore(self, state: list[list[object]]) -> None:
        """Go on with the sockets of the program before, which state() has told."""
        for kind, address, is_own, fds in state:
            key = (str(kind), str(address))
            assert isinstance(fds, list)
            if is_own:
                self._own.add(key)
            self._open[key] = [prepare(socket.socket(fileno=fd)) for fd in fds]
            for sock in self._open[key]:
                sock.set_inheritable(False)
            with contextlib.suppress(OSError):
                self._files[key] = file_of(self._open[key][0])
            self._order.append(key)
