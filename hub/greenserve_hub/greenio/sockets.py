"""Green sockets: the standard socket, whose blocking calls let other green threads run.

GreenSocket is a socket.socket, so isinstance, ssl and makefile accept it. In the kernel it is always non-blocking;
`settimeout` and `setblocking` say how long a call may wait in the hub. Used by programs; the server's connections have
their own streams.

Invariant: try the call first, and wait only after the kernel refused it, or when the descriptor is known to be drained.
The descriptor is registered at its first wait, and unregistered before it is closed.

Facts: a peer on the same machine has often answered when send() returns, because the kernel runs it first; a turn costs
much more than a refused call. Consequence: while reads of a drained socket find something, they are tried first, at
most `_HITS` without a turn.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import math
import socket
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from greenserve_hub.errors import IOClosed
from greenserve_hub.greenio.green_numbers import note
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.readiness import wait_for_more, wait_writable
from greenserve_hub.osthreads import dns
from greenserve_hub.unpatched import os

T = TypeVar("T")

_CONNECTING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EAGAIN})
_NAMED = (socket.AF_INET, socket.AF_INET6)
_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_SEND_AT_ONCE = 1 << 18  # bytes of a sendfile before other green threads run
_HITS = 16  # tries in a row that find something, before other green threads run
_MISSES = 5  # 2 to this power: of so many reads one is tried, if none has found anything
# As numbers: socket's own properties make enums, at each call.
_family_of = _socket.socket.family.__get__
_type_of = _socket.socket.type.__get__
_UNIX, _STREAM = int(socket.AF_UNIX), int(socket.SOCK_STREAM)


class GreenSocket(socket.socket):
    """A socket.socket for green threads. Every call that can block switches when it does.

    TimeoutError after the socket's timeout; IOClosed if another green thread closes it meanwhile; ConcurrentUseError if
    two green threads read, or two write, at once.
    """

    __slots__ = ("_descriptor", "_edge", "_luck", "_skips", "_wait")

    # The parameters have the standard's names.
    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        """Like socket.socket."""
        super().__init__(family, type, proto, fileno)
        self._descriptor: Descriptor | None = None
        self._edge: object = None  # what the descriptor knew before the last read
        self._luck = 0  # tries in a row that have found something; below 0: nothing
        self._skips = 0  # the next reads of the drained socket that wait at once
        self._wait: float | None = 0.0 if type != -1 and type & _NONBLOCK else socket.getdefaulttimeout()
        super().setblocking(False)
        note(self)

    # Timeouts --------------------------------------------------------------------------------------------

    def settimeout(self, value: float | None) -> None:
        """Set the seconds that a call may wait; None for no limit, 0 for no wait. Switches: never."""
        if value is not None:
            value = math.fsum((value,))  # converts any real number to a float; TypeError for text
            if not value >= 0:  # also true for NaN
                raise ValueError("Timeout value out of range")
        self._check_open()
        self._wait = value

    def gettimeout(self) -> float | None:
        """Return the timeout set by settimeout. Switches: never."""
        return self._wait

    @property
    def timeout(self) -> float | None:
        """The timeout set by settimeout."""
        return self._wait

    def setblocking(self, flag: bool) -> None:
        """Wait without a limit (True), or never (False). Switches: never."""
        self._check_open()
        self._wait = None if flag else 0.0

    def _check_open(self) -> None:
        if self.fileno() < 0:
            raise OSError(errno.EBADF, "the socket is closed")

    def getblocking(self) -> bool:
        """Return True if a call may wait. Switches: never."""
        return self._wait != 0

    # Waiting -----------------------------------------------------------------------------------------------

    def _registered(self) -> Descriptor:
        descriptor = self._descriptor
        hub = get_hub()
        if descriptor is None or descriptor.hub is not hub or descriptor.closed:
            self._check_open()
            if descriptor is not None:
                descriptor.close()  # the socket moves to another OS thread
            descriptor = self._descriptor = hub.open_descriptor(self.fileno())
        return descriptor

    def _await(self, wait: Callable[[Descriptor, float | None], None], until: float | None) -> None:
        descriptor = self._registered()
        if until is None:
            wait(descriptor, None)
            return
        left = until - get_hub().clock()
        if left <= 0:
            raise TimeoutError("timed out")
        wait(descriptor, left)

    def _until(self) -> float | None:
        wait = self._wait
        return None if wait is None else get_hub().clock() + wait

    def _reading(self, flags: int, call: Callable[..., T], /, *args: Any) -> T:
        if flags & _DONTWAIT:
            return call(*args)
        descriptor = self._descriptor
        until: float | None = None
        timed = False
        is_try = False
        if descriptor is not None and not descriptor.readable and not descriptor.closed and self._wait != 0:
            if self._skips or descriptor.reader is not None:
                self._skips = max(self._skips - 1, 0)
                until, timed = self._until(), True
                self._await(wait_for_more, until)
            else:
                is_try = True
        while True:
            descriptor = self._descriptor
            self._edge = edge = None if descriptor is None else descriptor.readable
            try:
                found = call(*args)
            except BlockingIOError:
                if self._wait == 0:
                    raise
                if descriptor is not None:
                    descriptor.drained(edge)
            else:
                if is_try:
                    self._tried(True)
                return found
            if is_try:
                is_try = False
                self._tried(False)
            if not timed:
                until, timed = self._until(), True
            self._await(wait_for_more, until)

    def _tried(self, hit: bool) -> None:
        if hit:
            self._luck = (max(self._luck, 0) + 1) % _HITS
            self._skips = not self._luck
        else:
            self._luck = max(min(self._luck, 0) - 1, -_MISSES)
            self._skips = (1 << -self._luck) - 1

    def _writing(self, flags: int, call: Callable[..., T], /, *args: Any) -> T:
        until: float | None = None
        timed = False
        while True:
            try:
                return call(*args)
            except BlockingIOError:
                if self._wait == 0 or flags & _DONTWAIT:
                    raise
            if not timed:
                until, timed = self._until(), True
            self._await(wait_writable, until)

    def _note_short(self, received: int, flags: int) -> None:
        # A short read on a stream has emptied the buffer (epoll(7)). This is not so for a peek, for a datagram, and for
        # a unix socket, where a message with descriptors ends the read (unix(7)).
        descriptor = self._descriptor
        if (
            descriptor is not None
            and received
            and not flags
            and _family_of(self) != _UNIX
            and _type_of(self) == _STREAM
        ):
            descriptor.drained(self._edge)

    def _resolved(self, address: Any) -> Any:
        """Return the address with its name looked up: a lookup inside connect(2) would block the hub."""
        if self.family not in _NAMED or not isinstance(address, tuple) or not address:
            return address
        host = address[0]
        if not isinstance(host, str) or host in ("", "<broadcast>"):
            return address
        try:
            socket.inet_pton(self.family, host)
        except OSError:
            host = dns.getaddrinfo(host, None, self.family, self.type, self.proto)[0][4][0]
            return (host, *address[1:])
        return address

    # Connections --------------------------------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """Like socket.connect; a name is looked up first. Switches: until it is connected or fails."""
        number = self._connect(self._resolved(address))
        if number:
            raise OSError(number, os.strerror(number))

    def connect_ex(self, address: Any) -> int:
        """Like socket.connect_ex; a name is looked up first. Switches: until it is connected or fails."""
        try:
            return self._connect(self._resolved(address))
        except TimeoutError:
            return errno.EAGAIN

    def _connect(self, address: Any) -> int:
        number = super().connect_ex(address)
        if number not in _CONNECTING or self._wait == 0:
            return number
        until = self._until()
        if number == errno.EAGAIN and self.family == socket.AF_UNIX:
            return self._connect_unix(address, until)
        self._await(wait_writable, until)
        return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _connect_unix(self, address: Any, until: float | None) -> int:
        # connect(2): a full backlog gives EAGAIN, and no event reports when there is room again.
        pause = 0.001
        while (number := super().connect_ex(address)) == errno.EAGAIN:
            hub = get_hub()
            if until is not None and hub.clock() + pause > until:
                raise TimeoutError("timed out")
            sleep(pause)
            pause = min(pause * 2, 0.05)
        return number

    def accept(self) -> tuple[GreenSocket, Any]:
        """Like socket.accept; returns a GreenSocket. Switches: when no client has connected."""
        fd, address = self._reading(0, self._accept)  # type: ignore[attr-defined]  # socket.accept uses it too
        return self._accepted(fd), address

    def _accepted(self, fd: int) -> GreenSocket:
        # A subclass that adds arguments makes its own kind. Not type(self): that of TLS comes behind a handshake.
        return GreenSocket(self.family, self.type, self.proto, fileno=fd)

    # Reading ---------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Like socket.recv. Switches: when nothing is there."""
        data = self._reading(flags, super().recv, bufsize, flags)
        if len(data) < bufsize:
            self._note_short(len(data), flags)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Like socket.recv_into. Switches: when nothing is there."""
        count = self._reading(flags, super().recv_into, buffer, nbytes, flags)
        if count < (nbytes or memoryview(buffer).nbytes):
            self._note_short(count, flags)
        return count

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Like socket.recvfrom. Switches: when nothing is there."""
        return self._reading(flags, super().recvfrom, bufsize, flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Like socket.recvfrom_into. Switches: when nothing is there."""
        return self._reading(flags, super().recvfrom_into, buffer, nbytes, flags)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """Like socket.recvmsg. Switches: when nothing is there."""
        return self._reading(flags, super().recvmsg, bufsize, ancbufsize, flags)

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """Like socket.recvmsg_into. Switches: when nothing is there."""
        return self._reading(flags, super().recvmsg_into, list(buffers), ancbufsize, flags)

    # Writing ---------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        """Like socket.send. Switches: when there is no room."""
        return self._writing(flags, super().send, data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Like socket.sendall; the timeout is for the whole call. Switches: when there is no room."""
        left = memoryview(data).cast("B")
        if not left:
            self.send(left, flags)
            return
        until = self._until()
        send = super().send
        while True:
            try:
                left = left[send(left, flags) :]
            except BlockingIOError:
                if self._wait == 0:
                    raise
                self._await(wait_writable, until)
            if not left:
                return

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """Like socket.sendto; a name is looked up first. Switches: when there is no room."""
        send: Callable[..., int] = super().sendto
        if not 1 <= len(flags_and_address) <= 2:
            return send(data, *flags_and_address)  # raises the standard error
        *flags, address = flags_and_address
        return self._writing(flags[0] if flags else 0, send, data, *flags, self._resolved(address))

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """Like socket.sendmsg. Switches: when there is no room."""
        return self._writing(flags, super().sendmsg, list(buffers), ancdata, flags, address)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Like socket.sendfile; uses sendfile(2) if the file allows it. Switches: when there is no room."""
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]  # raises the standard errors
        if self._wait == 0:
            raise ValueError("non-blocking sockets are not supported")
        try:
            source = file.fileno()
            size = os.fstat(source).st_size
        except (AttributeError, OSError):
            return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]
        if not size:
            return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]
        total = 0
        try:
            while count is None or total < count:
                step = _SEND_AT_ONCE if count is None else min(_SEND_AT_ONCE, count - total)
                try:
                    sent = self._writing(0, os.sendfile, self.fileno(), source, offset + total, step)
                except OSError as error:
                    if (
                        total
                        or isinstance(error, TimeoutError)
                        or error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
                    ):
                        raise
                    return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]
                if sent == 0:
                    break
                total += sent
            return total
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)

    # Closing ---------------------------------------------------------------------------------------------

    def dup(self) -> Self:
        """Make a second GreenSocket for the same connection. Switches: never."""
        twin = type(self)(self.family, self.type, self.proto, fileno=os.dup(self.fileno()))
        os.set_inheritable(twin.fileno(), False)
        twin.settimeout(self._wait)
        return twin

    def detach(self) -> int:
        """Like socket.detach, in the mode of settimeout. Waiters get IOClosed. Switches: never."""
        self._unregister()
        if self._wait is None:
            with contextlib.suppress(OSError):  # other code has closed it
                super().setblocking(True)
        return super().detach()

    def _real_close(self, *args: Any) -> None:
        # Called by close() after the last makefile() is closed.
        self._unregister()
        super()._real_close(*args)  # type: ignore[misc]  # the standard library's hook

    def _unregister(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()


def socketpair(
    family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0
) -> tuple[GreenSocket, GreenSocket]:  # the standard's name
    """Like socket.socketpair. Switches: never."""
    pair = socket.socketpair(family, type, proto)
    one, other = (GreenSocket(sock.family, sock.type, sock.proto, fileno=sock.detach()) for sock in pair)
    return one, other


__all__ = ["GreenSocket", "IOClosed", "socketpair"]
