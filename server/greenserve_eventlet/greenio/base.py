"""eventlet.greenio.base: GreenSocket with eventlet's arguments, and the functions beside it.

Each of these is greenserve's own, changed where programs written for eventlet rely on it: a GreenSocket can be made of
another socket, `recv` gives b"" after a reset, and a read of no bytes waits for some.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Self

from greenserve_hub import GreenSocket as _GreenSocket
from greenserve_hub.greenio.hubs import notify_opened, trampoline

__all__ = [
    "CONNECT_ERR",
    "CONNECT_SUCCESS",
    "SOCKET_BLOCKING",
    "SOCKET_CLOSED",
    "_GLOBAL_DEFAULT_TIMEOUT",
    "GreenSocket",
    "notify_opened",
    "set_nonblocking",
    "shutdown_safe",
    "socket_timeout",
    "trampoline",
]

BUFFER_SIZE = 4096
CONNECT_ERR = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
CONNECT_SUCCESS = {0, errno.EISCONN}
SOCKET_BLOCKING = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN}
SOCKET_CLOSED = {errno.ECONNRESET, errno.ESHUTDOWN, errno.EPIPE}
_NOT_CONNECTED = {errno.ENOTCONN, errno.EBADF, errno.ENOTSOCK}

socket_timeout = TimeoutError
_GLOBAL_DEFAULT_TIMEOUT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]  # http.client passes it


def __getattr__(name: str) -> Any:
    if name == "SSL":
        # Not before it is wanted: programs without pyOpenSSL are most of them, and its import takes a while.
        from greenserve_eventlet.greenio.pyopenssl import SSL

        return SSL
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class GreenSocket(_GreenSocket):
    """A socket for green threads, made as by socket.socket(), or of another socket."""

    # The other socket, of which this one was made.
    _made_of: Any = None

    def __init__(
        self,
        family: Any = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        set_nonblocking: bool = True,
    ) -> None:
        """`family` may be a socket: this one is then a second one for the same connection, and closes both.

        `set_nonblocking` changes nothing: a green socket never blocks in the kernel.
        """
        if isinstance(family, int):
            super().__init__(family, type, proto, fileno)
            return
        made_of = family
        timeout = made_of.gettimeout()
        super().__init__(made_of.family, made_of.type, made_of.proto, _duplicate(made_of))
        self.settimeout(timeout or socket.getdefaulttimeout())
        self._made_of = made_of

    @property
    def fd(self) -> Self:
        """The socket; in eventlet, the one of the standard library that it wraps."""
        return self

    @property
    def act_non_blocking(self) -> bool:
        """Return True if no call waits."""
        return self.gettimeout() == 0

    def _accepted(self, fd: int) -> GreenSocket:
        return GreenSocket(self.family, self.type, self.proto, fd)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Like socket.recv; b"" after a reset. Switches: when nothing is there."""
        try:
            if not bufsize:
                self._wait_for_data()
            return super().recv(bufsize, flags)
        except ConnectionResetError:
            return b""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Like socket.recv_into; 0 after a reset. Switches: when nothing is there."""
        try:
            if not len(buffer):
                self._wait_for_data()
            return super().recv_into(buffer, nbytes, flags)
        except ConnectionResetError:
            return 0

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Like socket.recvfrom. Switches: when nothing is there."""
        if not bufsize:
            self._wait_for_data()
        return super().recvfrom(bufsize, flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Like socket.recvfrom_into. Switches: when nothing is there."""
        if not len(buffer):
            self._wait_for_data()
        return super().recvfrom_into(buffer, nbytes, flags)

    def _wait_for_data(self) -> None:
        if not self.act_non_blocking:
            trampoline(self, read=True, timeout=self.gettimeout(), timeout_exc=TimeoutError("timed out"))

    def makeGreenFile(self, *args: Any, **kwargs: Any) -> Any:  # eventlet's name
        """The same as makefile()."""
        return self.makefile(*args, **kwargs)

    def _real_close(self, *args: Any) -> None:
        super()._real_close(*args)
        made_of, self._made_of = self._made_of, None
        if made_of is not None:
            made_of.close()


def _duplicate(sock: Any) -> int:
    """Return a descriptor of our own for the socket: each may be closed before the other."""
    if not isinstance(sock, _GreenSocket):
        sock.setblocking(False)
    return os.dup(sock.fileno())


def set_nonblocking(fd: Any) -> None:
    """Make a socket, or a file that has a descriptor, non-blocking. Switches: never."""
    setblocking = getattr(fd, "setblocking", None)
    if setblocking is not None:
        setblocking(False)
        return
    os.set_blocking(fd.fileno(), False)


def shutdown_safe(sock: Any) -> None:
    """Shut a socket down in both directions, of TLS too; nothing if it is not connected. Switches: never."""
    try:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except TypeError:
            sock.shutdown()  # pyOpenSSL's takes no argument
    except OSError as error:
        if error.errno not in _NOT_CONNECTED:
            raise
