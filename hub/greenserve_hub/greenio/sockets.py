"""Green sockets: the standard socket, whose blocking calls let other green threads run.

GreenSocket is a socket.socket, so that isinstance, ssl and makefile take it as one. Below it is always non-
blocking; `settimeout` and `setblocking` say how long a call may wait in the hub. Used by programs; the
server's connections have streams of their own.

The invariant: try the call first and wait only after the kernel refused it, or when the descriptor is known
to be drained. The descriptor is registered at its first wait and unregistered before it is closed.
"""

from __future__ import annotations

import contextlib
import errno
import math
import socket
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, Self, TypeVar

from greenserve_hub.errors import IOClosed
from greenserve_hub.greenio.green_numbers import note
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.readiness import wait_for_more, wait_writable
from greenserve_hub.osthreads import dns
from greenserve_hub.unpatched import os

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EAGAIN})
_DEFAULT_TIMEOUT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]  # what http.client passes on
_NAMED = (socket.AF_INET, socket.AF_INET6)
_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_SEND_AT_ONCE = 1 << 18  # bytes of a sendfile between two turns of the others


class GreenSocket(socket.socket):
    """A socket.socket for green threads. Every call that can block switches when it does.

    TimeoutError after the socket's timeout; IOClosed when another green thread closes it meanwhile;
    ConcurrentUseError when two read, or two write, at once.
    """

    __slots__ = ("_descriptor", "_edge", "_wait")

    # The parameters have the standard's names.
    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        """As socket.socket."""
        super().__init__(family, type, proto, fileno)
        self._descriptor: Descriptor | None = None
        self._edge: object = None  # what the descriptor knew before the last read
        self._wait: float | None = 0.0 if type != -1 and type & _NONBLOCK else socket.getdefaulttimeout()
        super().setblocking(False)
        note(self)

    # How long to wait ------------------------------------------------------------------------------------

    def settimeout(self, value: float | None) -> None:
        """Seconds that a call may wait; None for ever, 0 not at all. Switches: never."""
        if value is not None:
            value = math.fsum((value,))  # a float of any number, and a TypeError for text
            if not value >= 0:  # NaN too
                raise ValueError("Timeout value out of range")
        super().setblocking(False)  # which it is, but this finds a socket that is closed
        self._wait = value

    def gettimeout(self) -> float | None:
        """What settimeout set. Switches: never."""
        return self._wait

    @property
    def timeout(self) -> float | None:
        """What settimeout set."""
        return self._wait

    def setblocking(self, flag: bool) -> None:
        """True: wait for ever. False: never. Switches: never."""
        super().setblocking(False)
        self._wait = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether a call may wait. Switches: never."""
        return self._wait != 0

    # Waiting -----------------------------------------------------------------------------------------------

    def _registered(self) -> Descriptor:
        descriptor = self._descriptor
        hub = get_hub()
        if descriptor is None or descriptor.hub is not hub or descriptor.closed:
            fd = self.fileno()
            if fd < 0:
                raise OSError(errno.EBADF, "the socket is closed")
            if descriptor is not None:
                descriptor.close()  # it moves to another OS thread
            descriptor = self._descriptor = hub.open_descriptor(fd)
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

    def _reading(self, flags: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if flags & _DONTWAIT:
            return call(*args, **kwargs)
        descriptor = self._descriptor
        until: float | None = None
        timed = False
        if descriptor is not None and not descriptor.readable and not descriptor.closed and self._wait != 0:
            until, timed = self._until(), True
            self._await(wait_for_more, until)
        while True:
            descriptor = self._descriptor
            self._edge = edge = None if descriptor is None else descriptor.readable
            try:
                return call(*args, **kwargs)
            except BlockingIOError:
                if self._wait == 0:
                    raise
                if descriptor is not None:
                    descriptor.drained(edge)
            if not timed:
                until, timed = self._until(), True
            self._await(wait_for_more, until)

    def _writing(self, flags: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        until: float | None = None
        timed = False
        while True:
            try:
                return call(*args, **kwargs)
            except BlockingIOError:
                if self._wait == 0 or flags & _DONTWAIT:
                    raise
            if not timed:
                until, timed = self._until(), True
            self._await(wait_writable, until)

    def _note(self, received: int, asked: int, flags: int) -> None:
        # A stream's read that came back short has emptied the buffer (epoll(7)); a peek or a datagram says
        # nothing of the sort, nor does a unix socket: a message with descriptors ends the read (unix(7)).
        descriptor = self._descriptor
        if (
            descriptor is not None
            and 0 < received < asked
            and not flags
            and self.family != socket.AF_UNIX
            and self.type == socket.SOCK_STREAM
        ):
            descriptor.drained(self._edge)

    def _resolved(self, address: Any) -> Any:
        """An address with a name in it, with what that stands for: looked up below connect(2) it would hold the hub."""
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
        """As socket.connect, a name is looked up first. Switches: until it is decided."""
        number = self._connect(self._resolved(address))
        if number:
            raise OSError(number, os.strerror(number))

    def connect_ex(self, address: Any) -> int:
        """As socket.connect_ex, a name is looked up first. Switches: until it is decided."""
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
        # connect(2): a full backlog refuses with EAGAIN and nothing tells when there is room again.
        pause = 0.001
        while (number := super().connect_ex(address)) == errno.EAGAIN:
            hub = get_hub()
            if until is not None and hub.clock() + pause > until:
                raise TimeoutError("timed out")
            sleep(pause)
            pause = min(pause * 2, 0.05)
        return number

    def accept(self) -> tuple[GreenSocket, Any]:
        """As socket.accept, a GreenSocket. Switches: when nobody has connected."""
        fd, address = self._reading(0, self._accept)  # type: ignore[attr-defined]  # what socket.accept stands on as well
        return GreenSocket(self.family, self.type, self.proto, fileno=fd), address

    # Reading ---------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """As socket.recv. Switches: when nothing is there."""
        data = self._reading(flags, super().recv, bufsize, flags)
        self._note(len(data), bufsize, flags)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As socket.recv_into. Switches: when nothing is there."""
        count = self._reading(flags, super().recv_into, buffer, nbytes, flags)
        self._note(count, nbytes or memoryview(buffer).nbytes, flags)
        return count

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """As socket.recvfrom. Switches: when nothing is there."""
        return self._reading(flags, super().recvfrom, bufsize, flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As socket.recvfrom_into. Switches: when nothing is there."""
        return self._reading(flags, super().recvfrom_into, buffer, nbytes, flags)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As socket.recvmsg. Switches: when nothing is there."""
        return self._reading(flags, super().recvmsg, bufsize, ancbufsize, flags)

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """As socket.recvmsg_into. Switches: when nothing is there."""
        return self._reading(flags, super().recvmsg_into, list(buffers), ancbufsize, flags)

    # Writing ---------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        """As socket.send. Switches: when there is no room."""
        return self._writing(flags, super().send, data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As socket.sendall; the timeout is for all of it. Switches: when there is no room."""
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
        """As socket.sendto, a name is looked up first. Switches: when there is no room."""
        send: Callable[..., int] = super().sendto
        if not 1 <= len(flags_and_address) <= 2:
            return send(data, *flags_and_address)  # which says what is missing
        *flags, address = flags_and_address
        return self._writing(flags[0] if flags else 0, send, data, *flags, self._resolved(address))

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """As socket.sendmsg. Switches: when there is no room."""
        return self._writing(flags, super().sendmsg, list(buffers), ancdata, flags, address)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As socket.sendfile; by sendfile(2) where the file allows. Switches: when there is no room."""
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]  # raises what the standard raises
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

    # The end ---------------------------------------------------------------------------------------------

    def dup(self) -> Self:
        """A second GreenSocket for the same connection. Switches: never."""
        twin = type(self)(self.family, self.type, self.proto, fileno=os.dup(self.fileno()))
        os.set_inheritable(twin.fileno(), False)
        twin.settimeout(self._wait)
        return twin

    def detach(self) -> int:
        """As socket.detach, in the mode that settimeout stands for. Whoever waits gets IOClosed. Switches: never."""
        self._unregister()
        if self._wait is None:
            with contextlib.suppress(OSError):  # it was closed behind its back
                super().setblocking(True)
        return super().detach()

    def _real_close(self, *args: Any) -> None:
        # Called by close() when no makefile() holds it any more.
        self._unregister()
        super()._real_close(*args)  # type: ignore[misc]  # the standard's own hook

    def _unregister(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()


def create_connection(
    address: tuple[str, int],
    timeout: Any = _DEFAULT_TIMEOUT,
    source_address: tuple[str, int] | None = None,
    *,
    all_errors: bool = False,
) -> GreenSocket:
    """As socket.create_connection, a GreenSocket: tries each address that the name stands for.

    Switches: until one is connected.

    `timeout` in seconds for each address; none given: the default timeout.
    """
    errors: list[OSError] = []
    host, port = address
    for family, kind, protocol, _, target in dns.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock: GreenSocket | None = None
        try:
            sock = GreenSocket(family, kind, protocol)
            if timeout is not _DEFAULT_TIMEOUT:
                sock.settimeout(timeout)
            if source_address is not None:
                sock.bind(source_address)
            sock.connect(target)
            return sock
        except OSError as error:
            errors.append(error)
            if sock is not None:
                sock.close()
    if not errors:
        raise OSError(f"the name {host!r} has no address")
    if all_errors and len(errors) > 1:
        raise ExceptionGroup("create_connection failed", errors)
    raise errors[0]


def socketpair(
    family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0
) -> tuple[GreenSocket, GreenSocket]:  # the standard's name
    """As socket.socketpair. Switches: never."""
    pair = socket.socketpair(family, type, proto)
    one, other = (GreenSocket(sock.family, sock.type, sock.proto, fileno=sock.detach()) for sock in pair)
    return one, other


__all__ = ["GreenSocket", "IOClosed", "create_connection", "socketpair"]
