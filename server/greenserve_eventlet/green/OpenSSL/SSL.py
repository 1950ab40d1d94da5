"""OpenSSL.SSL of pyOpenSSL, whose Connection waits green."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from greenserve_eventlet.greenio.base import CONNECT_ERR
from greenserve_hub.greenio.hubs import trampoline

standard: Any = import_module("OpenSSL.SSL")

globals().update({name: value for name, value in vars(standard).items() if not name.startswith("__")})


def __getattr__(name: str) -> Any:
    return getattr(standard, name)  # for type checkers


class GreenConnection:
    """An OpenSSL.SSL.Connection for green threads. Every call that can block switches when it does.

    TimeoutError after the time that settimeout() has set, for each wait.
    """

    def __init__(self, ctx: Any, sock: Any = None) -> None:
        """`sock` is connected, or listens; or `ctx` is a Connection."""
        self.fd = ctx if sock is None else standard.Connection(ctx, sock)
        self._context = self.fd.get_context()
        self._sock = sock  # OpenSSL has its descriptor only: the socket must live as long as this
        self._timeout: float | None = None if sock is None else sock.gettimeout()
        if sock is not None:
            sock.setblocking(False)

    def __getattr__(self, name: str) -> Any:
        """What does not wait is the Connection's own."""
        return getattr(self.fd, name)

    def settimeout(self, seconds: float | None) -> None:
        """Set how long a call may wait; None for ever, 0 not at all. Switches: never."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return what settimeout() has set. Switches: never."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Wait for ever (True), or never. Switches: never."""
        self._timeout = None if flag else 0.0

    def _shaking(self, call: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except (standard.WantReadError, standard.WantWriteError) as error:
                if self._timeout == 0:
                    raise
                reads = isinstance(error, standard.WantReadError)
            late = TimeoutError("timed out")
            trampoline(self.fd.fileno(), read=reads, write=not reads, timeout=self._timeout, timeout_exc=late)

    def do_handshake(self) -> None:
        """Switches: until it is done."""
        self._shaking(self.fd.do_handshake)

    def connect(self, address: Any) -> None:
        """Connect to a server. Switches: until it is connected, without TLS: the first read or write begins that."""
        number = self.connect_ex(address)
        if number:
            raise OSError(number, os.strerror(number))

    def connect_ex(self, address: Any) -> int:
        """Like connect(), but return the error's number, or 0."""
        number: int = self.fd.connect_ex(address)
        if number not in CONNECT_ERR or self._timeout == 0:
            return number
        late = TimeoutError("timed out")
        trampoline(self.fd.fileno(), write=True, timeout=self._timeout, timeout_exc=late)
        return int(self.fd.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def accept(self) -> tuple[GreenConnection, Any]:
        """Return a connection, whose first read or write does the handshake, and its address.

        Switches: when no client has connected.
        """
        plain, address = self._sock.accept() if self._timeout == 0 else self._accepted()
        connection = GreenConnection(self._context, plain)
        connection.set_accept_state()
        return connection, address

    def _accepted(self) -> Any:
        while True:
            try:
                return self._sock.accept()
            except BlockingIOError:
                late = TimeoutError("timed out")
                trampoline(self._sock, read=True, timeout=self._timeout, timeout_exc=late)

    def read(self, size: int, *args: Any) -> bytes:
        """Return up to `size` bytes; b"" at the end, also one without a TLS close. Switches: when nothing is there."""
        try:
            data: bytes = self._shaking(self.fd.recv, size, *args)
        except standard.ZeroReturnError:
            return b""
        except standard.SysCallError as error:
            if error.args[0] == -1 or error.args[0] > 0:
                return b""
            raise
        return data

    recv = read

    def write(self, data: Any, *args: Any) -> int:
        """Return how many bytes were taken. Switches: when there is no room."""
        sent: int = self._shaking(self.fd.send, data, *args) if data else 0
        return sent

    send = write

    def sendall(self, data: Any, *args: Any) -> None:
        """Send all of it. Switches: when there is no room."""
        left = memoryview(data).cast("B")
        while left:
            left = left[self.send(bytes(left[: 1 << 14]), *args) :]

    def shutdown(self) -> Any:
        """Tell the peer that no more comes. Switches: when there is no room."""
        return self._shaking(self.fd.shutdown)

    def close(self) -> None:
        """Close the connection. Switches: never."""
        self.fd.close()

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError: pyOpenSSL has none."""
        raise NotImplementedError("pyOpenSSL's connections have no makefile(): use eventlet.green.ssl")


Connection = ConnectionType = GreenConnection
