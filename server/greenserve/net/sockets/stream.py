"""A non-blocking socket with the hub: what a connection reads and writes through.

Two ways to use it: from hub callbacks (`*_now`, never waits) and from green threads, which pass how to wait: a function
that is called with the side, wait_readable or wait_writable, and raises TimeoutError for a client that is too slow.
Knows no HTTP. net/tls/streams.py has the second class with the same methods. The invariant: whatever the operating
system says went wrong with the peer, the caller sees PeerGone and nothing else.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from greenserve.core import core
from greenserve.errors import PeerGone
from greenserve.net.sockets.binding import close_inherited
from greenserve.net.sockets.faults import NOT_OURS, OF_THE_PEER, gone
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.readiness import wait_for_more, wait_writable
from greenserve_hub.unpatched import fcntl, os, select, termios

READ_SIZE: Final = 64 * 1024  # bytes asked of the kernel for a body
JOIN_BELOW: Final = 32 * 1024  # bytes up to which copying is cheaper than a second piece for the kernel
# Bytes asked for a head; what a pipelining client may send ahead is bounded by it.
HEAD_SIZE: Final = 16 * 1024
_SENDFILE_AT_ONCE: Final = 1 << 20  # so that one download does not keep the hub from the others

_TELLS_UNTAKEN: Final = sys.platform == "linux"  # elsewhere this ioctl is for terminals only
# Bytes that the peer has taken at least when a full socket is writable again, besides what untaken() tells: a BSD
# kernel's SO_SNDLOWAT.
SEND_STEP: Final = 0 if _TELLS_UNTAKEN else 2048

Side = Callable[[Descriptor, float | None], None]
Wait = Callable[[Side], None]


class HeadReceiver(Protocol):
    """The compiled core, as a stream uses it: wsgi/environ/ordinary.py."""

    @property
    def receive(self) -> Callable[[int, dict[str, Any], str, str], Any]:
        """Read the socket of this number. Return a head, or bytes as recv(2) gives them."""

    @property
    def received(self) -> int:
        """Return how many bytes it has read."""


class Stream:
    """A connected stream socket. Closes it."""

    __slots__ = ("_short_is_all", "descriptor", "sock")

    # The calls that are no methods of the socket; tests have them fail.
    _sendfile = staticmethod(os.sendfile)
    _send_now: Callable[[int, Any, Any], int | None] | None = (
        None if core is None else staticmethod(core.send_now)
    )

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        """Takes the socket over; it must be non-blocking."""
        self.sock = sock
        # A read that came back short has emptied the buffer (epoll(7)), but on unix sockets it may have met the end
        # of a message with descriptors in it (unix(7)).
        self._short_is_all = sock.family != socket.AF_UNIX
        self.descriptor = hub.open_descriptor(sock.fileno(), sock)

    # From hub callbacks --------------------------------------------------------------------------------

    def receive_now(self, size: int) -> bytes:
        """Return received data, at most `size` bytes; b"" at the end. Switches: never.

        Raises BlockingIOError when there is none, PeerGone.
        """
        descriptor = self.descriptor
        edge = descriptor.readable
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            descriptor.drained(edge)
            raise
        except OSError as error:
            raise self._gone(error) from None
        if data and len(data) < size and self._short_is_all:
            descriptor.drained(edge)
        return data

    def receive_head(self, ordinary: HeadReceiver, environ: dict[str, Any], peer: str, peer_port: str) -> Any:
        """As receive_now(HEAD_SIZE), by the compiled core; or the head that has come, if it is ordinary."""
        descriptor = self.descriptor
        edge = descriptor.readable
        try:
            found = ordinary.receive(self.sock.fileno(), environ, peer, peer_port)
        except BlockingIOError:
            descriptor.drained(edge)
            raise
        except OSError as error:
            raise self._gone(error) from None
        if 0 < ordinary.received < HEAD_SIZE and self._short_is_all:
            descriptor.drained(edge)
        return found

    def when_readable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub: in a turn of its own where something may be there, else when it comes.

        Switches: never.
        """
        self.descriptor.when_readable(callback)

    def when_writable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub, when what send_now has left can go on. Switches: never."""
        self.descriptor.on_writable(callback)

    def send_now(self, first: bytes | memoryview, second: bytes | memoryview = b"") -> int:
        """Send what the kernel takes at once of two pieces; how many bytes. Switches: never. Raises PeerGone."""
        try:
            if self._send_now is not None:
                sent = self._send_now(self.sock.fileno(), first, second)
                if sent is not None:
                    return sent
            return self.sock.sendmsg((first, second)) if second else self.sock.send(first)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(error) from None

    # From green threads -----------------------------------------------------------------------------------

    def receive(self, size: int, wait: Wait) -> bytes:
        """At least one byte, b"" at the end. Switches: when none is there. Raises PeerGone, TimeoutError."""
        while True:
            if self.descriptor.readable:
                with contextlib.suppress(BlockingIOError):
                    return self.receive_now(size)
            wait(wait_for_more)

    def send(self, data: bytes, wait: Wait) -> None:
        """All of `data`. Switches: when the peer reads slowly. Raises PeerGone."""
        sent = self.send_now(data)
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:], wait)

    def send_pieces(self, first: bytes | memoryview, second: bytes, wait: Wait) -> None:
        """Both, without joining them. Else as send."""
        sent = self.send_now(first, second)
        # Both are offered again until the first is out. After it alone the second would be waited for, and no edge
        # tells of room that was there all the time; TLS may have put the second's beginning into one record with it.
        while sent < len(first):
            self._wait_to_send(wait)
            first = memoryview(first)[sent:]
            sent = self.send_now(first, second)
        self._send_rest(memoryview(second)[sent - len(first) :], wait)

    def _send_rest(self, left: memoryview, wait: Wait) -> None:
        while left:
            self._wait_to_send(wait)
            left = left[self.send_now(left) :]

    def send_file(self, fd: int, offset: int, count: int, wait: Wait) -> int:
        """sendfile(2); how many bytes, fewer than `count` at the file's end.

        Switches: when the peer reads slowly.

        Raises PeerGone; OSError, with nothing sent, when this descriptor cannot be sent so.
        """
        total = 0
        while total < count:
            try:
                sent = self._sendfile(
                    self.sock.fileno(), fd, offset + total, min(count - total, _SENDFILE_AT_ONCE)
                )
            except BlockingIOError:
                self._wait_to_send(wait)
                continue
            except OSError as error:
                if total or error.errno in OF_THE_PEER:
                    raise gone(error) from None
                raise  # of the file's; or of the socket's, which the next send meets again
            if sent == 0:
                break
            total += sent
            sleep(0)
        return total

    def _wait_to_send(self, wait: Wait) -> None:
        try:
            wait(wait_writable)
        except TimeoutError:
            self.reset_on_close()
            raise PeerGone("the client reads too slowly (send_timeout, send_min_rate)") from None

    def wait(self, side: Side, timeout: float | None) -> None:
        """Wait for one side of the descriptor. Switches: always. Raises PeerGone, TimeoutError."""
        try:
            side(self.descriptor, timeout)
        except TimeoutError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from None

    # Both ------------------------------------------------------------------------------------------------

    def _gone(self, error: OSError) -> PeerGone:
        sock = self.descriptor.unguard_socket()
        if sock is None:
            return PeerGone(str(error))  # closed by us, or told already
        if error.errno in NOT_OURS:
            sock.detach()  # close() would close what has the number now
        return gone(error)

    def is_reset(self) -> bool:
        """Return True if nothing can reach the peer: it has reset the connection, or closed a unix socket.

        One that has closed its sending side may still read, and over TCP none can tell it from one that has closed
        both until something is sent. Switches: never.
        """
        try:
            poller = select.poll()
            poller.register(self.sock, 0)
            return bool(poller.poll(0))
        except (OSError, ValueError):  # ValueError: closed
            return True

    def is_peer_gone(self) -> bool:
        """Return True if the peer has closed or reset; takes nothing from the socket. Switches: never."""
        if self.descriptor.hangup:
            return True  # also behind bytes that nobody has read
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def untaken(self) -> int:
        """Bytes sent that the peer's machine has not taken yet; 0 where the kernel doesn't tell. Switches: never.

        A socket becomes writable only when a good part of what it holds has gone: minutes, for a slow reader and the
        buffers of today. This tells earlier that it is alive.
        """
        if not _TELLS_UNTAKEN:
            return 0
        try:
            count = fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return 0
        return int.from_bytes(count, sys.byteorder)

    def has_unread(self) -> bool:
        """Return True if the socket holds unread data. Switches: never."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def shut_sending(self) -> None:
        """Tell the peer that nothing more will come (RFC 9112 §9.6). Switches: never."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset_on_close(self) -> None:
        """Have close() reset the connection: the kernel drops what it still holds to send. Switches: never.

        Where the child of a fork holds the socket too, the kernel does so when that has closed it.
        """
        self.descriptor.unguard_socket()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def leave_behind(self) -> None:
        """For the child of a fork: the connection is the parent's. Switches: never."""
        self.descriptor.unguard_socket()
        close_inherited(self.sock)

    def close(self) -> None:
        """Close; repeatable. The peer is told, also where the child of a fork holds the socket. Switches: never."""
        descriptor = self.descriptor
        # Else it is reset, or broken; and a descriptor that is closed is the parent's, in the child of a fork.
        is_open = descriptor.unguard_socket() is not None and not descriptor.closed
        if not descriptor.close():
            self.sock.detach()
        elif is_open:
            close_connection(self.sock)
            return
        with contextlib.suppress(OSError):
            self.sock.close()


def close_connection(sock: socket.socket) -> None:
    """Say that no more will come, and close: close() alone says nothing while another process holds the socket.

    Switches: never.
    """
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno in NOT_OURS:
            sock.detach()
    with contextlib.suppress(OSError):
        sock.close()
