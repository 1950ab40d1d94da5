"""A listening socket and the green thread that accepts from it.

It survives every error of a single connection, and pauses while the machine has no descriptors or memory left. It reads
nothing, and hands each accepted socket to its Taker. When the socket has stopped listening, or never did, accepting
ends and the Taker is told.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenserve.net.sockets.binding import (
    close_inherited,
    file_of,
    reach_of,
    remove_file,
    url_of,
)
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.faults import NOT_OURS, OF_THE_MACHINE, OF_THE_PEER, advice
from greenserve.net.sockets.stream import close_connection
from greenserve_hub.deadlines import Deadline
from greenserve_hub.errors import IOClosed
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.readiness import wait_readable
from greenserve_hub.unpatched import select, socket

if TYPE_CHECKING:
    from greenserve.config.values.binds import BindAddress

log = logging.getLogger("greenserve.error")

_FIRST_PAUSE: Final = 0.05  # seconds; doubles up to the longest
_LONGEST_PAUSE: Final = 1.0
# Connections accepted before the others have their turn; a burst must not overflow the backlog.
_AT_ONCE: Final = 1024
_TURNED_AWAY_COUNTS: Final = 8  # as so many: one that is turned away is work that can wait
# Errors of peers in a row after which it is no peer's: a firewall or a sandbox that forbids the call fails for ever.
_PEERS_IN_A_ROW: Final = 1024
# Seconds between two checks of a socket that the program has brought: the kernel does not report that the program has
# closed it, nor that it has shut down a unix socket.
_LOOK_EVERY: Final = 1.0
_RDHUP: Final = getattr(select, "POLLRDHUP", 0)
_LOST: Final = {
    errno.EINVAL: "the socket does not listen; call its listen() before, and look for other code that has shut it down",
    errno.EBADF: "other code in this process has closed the socket",
}


class Taker(Protocol):
    """Takes the accepted sockets."""

    @property
    def accepted(self) -> Callable[[socket.socket, Any], bool]:
        """Called with each socket and its peer's address; returns False if there was no room and the socket is closed.

        What it raises costs this socket only. Switches: never.
        """

    @property
    def shares(self) -> bool:
        """Return True if other processes accept from the same socket."""

    def hold_back(self) -> None:
        """Leave the next connections to other processes that have fewer, for a moment. Switches: if it does."""

    @property
    def wait_for_room(self) -> Callable[[float], None]:
        """Called with seconds: returns after them, or when a descriptor and memory may be free. Switches: always."""

    @property
    def lost(self) -> Callable[[Exception], None]:
        """Called when the listener has failed for good. Switches: never."""


class Listener:
    """One address that a server listens at."""

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        scheme: str,
        counts: Counts,
        taker: Taker,
        removes_file: bool = True,
    ) -> None:
        """Takes over a socket that listens and does not block. `scheme` is for `url`.

        `removes_file`: close() removes a unix socket's file.
        """
        self.sock = sock
        self.name = sock.getsockname()
        self._hub = hub
        self._counts = counts
        self._taker = taker
        self.url = url_of(sock, scheme)
        self.reach = reach_of(sock)
        self.file = file_of(sock) if removes_file else None
        self._is_closed = False
        self._pause = _FIRST_PAUSE
        self._is_short = False  # of what the machine has; told
        self._failed = 0  # errors in a row
        self.is_lost = False  # the socket has failed for good
        self._is_shut = False  # of that it is closed otherwise
        self._looking: Deadline | None = None
        register = getattr(sock, "_registered", None)  # a green socket's, which its close() tells
        if register is None:
            self._descriptor = hub.open_descriptor(sock.fileno(), sock)
        else:
            self._descriptor = register()
            self._descriptor.guard_socket(sock)

    def accept_forever(self) -> None:
        """Accept until close(), or until the socket fails for good; then the server is told. Switches: always."""
        try:
            error: Exception = self._accept_all()
        except Exception as unforeseen:  # two that accept from one green socket
            error = unforeseen
        if not self._is_closed:
            self.is_lost = True
            log.error("%s: no longer accepting: %s", self.url, error)
            self._taker.lost(error)

    def _accept_all(self) -> OSError:
        """Accept as long as that is possible. Return the error that has ended it."""
        accepted = 0
        shares = self._taker.shares
        while not self._descriptor.closed:
            try:
                if shares:
                    self._taker.hold_back()
                sock, address = self._accept()
            except BlockingIOError:
                accepted = self._failed = 0
                if self._is_short:
                    self._is_short = False
                    log.info("%s: accepting again, the backlog is empty", self.url)
                with contextlib.suppress(IOClosed):
                    wait_readable(self._descriptor)
                continue
            except Exception as error:
                if self._descriptor.closed:
                    break
                if not self._is_of_a_peer(error):
                    if self._is_over(error):
                        break
                    self._pause_after("cannot accept", error)
                continue
            accepted += self._take_up(sock, address)
            if accepted >= _AT_ONCE:
                accepted = 0
                sleep(0)
        number = errno.EINVAL if self._is_shut else errno.EBADF
        if not self._is_shut and not self._is_closed:
            self._descriptor.close()
            self.sock.detach()  # the number may be somebody else's
        return OSError(number, f"{os.strerror(number)}: {_LOST[number]}")

    def _is_over(self, error: Exception) -> bool:
        """Return True if accepting will never succeed again."""
        try:
            listens = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as failed:
            return failed.errno in NOT_OURS
        self._is_shut = not listens or (isinstance(error, OSError) and error.errno == errno.EINVAL)
        return self._is_shut

    def watch(self) -> None:
        """Check now and then whether the socket, which is the program's own, still listens. Switches: never."""
        status = os.fstat(self.sock.fileno())
        self._look_later((status.st_dev, status.st_ino))

    def _look_later(self, before: tuple[int, int]) -> None:
        self._looking = self._hub.call_after(_LOOK_EVERY, self._look, before)

    def _look(self, before: tuple[int, int]) -> None:
        descriptor = self._descriptor
        try:
            status = os.fstat(self.sock.fileno())
        except OSError:
            descriptor.close()  # which wakes the accepting green thread
            return
        poller = select.poll()
        poller.register(self.sock, _RDHUP)
        self._is_shut = bool(poller.poll(0))
        if self._is_shut or (status.st_dev, status.st_ino) != before:
            descriptor.close()
        else:
            self._look_later(before)

    def _accept(self) -> tuple[socket.socket, Any]:
        # socket.accept would make what `socket` is patched to: a GreenSocket, in a patched program.
        own = self.sock
        fd, address = own._accept()  # type: ignore[attr-defined]  # what socket.accept stands on as well
        try:
            return socket.socket(own.family, own.type, own.proto, fileno=fd), address
        except BaseException:
            os.close(fd)
            raise

    def _is_of_a_peer(self, error: Exception) -> bool:
        """Count the error. Return True if the accepted connection has failed, so that the next one may be fine."""
        self._counts.accept_errors += 1
        self._failed += 1
        return isinstance(error, OSError) and error.errno in OF_THE_PEER and self._failed < _PEERS_IN_A_ROW

    def _pause_after(self, what: str, error: Exception) -> None:
        """Log it, once until the backlog is empty, and wait until a connection closes or for a while."""
        if not self._is_short:
            self._is_short = True
            if isinstance(error, OSError):
                reason = error.strerror or error
                log.error("%s: %s: %s; %s", self.url, what, reason, advice(error, "accepting goes on"))
            else:
                log.error("%s: %s; accepting goes on", self.url, what, exc_info=error)
        pause = self._pause
        self._pause = min(pause * 2, _LONGEST_PAUSE)
        self._taker.wait_for_room(pause)

    def _take_up(self, sock: socket.socket, address: Any) -> int:
        """Hand on an accepted socket; return for how many it counts. Switches: when the machine has no room for it."""
        try:
            was_let_in = self._taker.accepted(sock, address)
        except Exception as error:
            close_connection(sock)
            if self._is_of_a_peer(error):
                pass
            elif isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
                self._pause_after("could not set up an accepted connection", error)
            else:
                log.error("%s: could not set up an accepted connection", self.url, exc_info=error)
            return 1
        self._pause = _FIRST_PAUSE
        self._failed = 0
        return 1 if was_let_in else _TURNED_AWAY_COUNTS

    def accept_rest(self) -> None:
        """Accept what is in the kernel's backlog: those clients have their connection already. Switches: never."""
        self._failed = 0
        while not self._descriptor.closed:
            try:
                sock, address = self._accept()
            except Exception as error:
                if isinstance(error, BlockingIOError) or not self._is_of_a_peer(error):
                    return
                continue
            try:
                self._taker.accepted(sock, address)
            except Exception as error:
                close_connection(sock)
                if not self._is_of_a_peer(error):
                    log.error("%s: could not set up an accepted connection", self.url, exc_info=error)
                    return

    def leave_behind(self, given: Iterable[BindAddress]) -> None:
        """For the child of a fork. A unix socket's file stays. `given`: see close_inherited(). Switches: never."""
        self._is_closed = True
        close_inherited(self.sock, given)

    def close(self) -> None:
        """Stop accepting, and remove a unix socket's file. Switches: never."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
        was_closed = self._descriptor.closed
        if was_closed or not self._descriptor.close():
            self.sock.detach()  # closed behind our back: the number may be somebody else's
        self.sock.close()
        remove_file(self.file)
