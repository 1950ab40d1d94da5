"""GreenSSLSocket: ssl.SSLSocket whose blocking calls let other green threads run.

OpenSSL works on the descriptor itself, which is non-blocking, and says whether it needs to read or to write. Made by
SSLContext.wrap_socket in a patched program.
"""

from __future__ import annotations

import _socket
import ssl
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.loop.readiness import wait_for_more, wait_writable

P = ParamSpec("P")
T = TypeVar("T")


class GreenSSLSocket(ssl.SSLSocket, GreenSocket):  # type: ignore[misc]  # typeshed's SSLSocket breaks the rule itself
    """An ssl.SSLSocket for green threads. Every call that can block switches when it does.

    TimeoutError after the socket's timeout, for each call as a whole.
    """

    def _check_open(self) -> None:
        # SSLSocket._create() has detached the socket that this one was made of, which made the descriptor blocking.
        _socket.socket.setblocking(self, False)

    def _shaking(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Repeat the call, with waits, until TLS can complete it."""
        until = self._until()
        while True:
            descriptor = self._descriptor
            edge = None if descriptor is None else descriptor.readable
            try:
                return call(*args, **kwargs)
            except ssl.SSLWantReadError:
                if self._wait == 0:
                    raise
                if descriptor is not None:
                    descriptor.drained(edge)
                self._await(wait_for_more, until)
            except ssl.SSLWantWriteError:
                if self._wait == 0:
                    raise
                self._await(wait_writable, until)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """Like SSLSocket.read. Switches: when nothing is there."""
        return self._shaking(super().read, len, buffer)

    def write(self, data: Any) -> int:
        """Like SSLSocket.write. Switches: when there is no room."""
        return self._shaking(super().write, data)

    def send(self, data: Any, flags: int = 0) -> int:
        """Like SSLSocket.send. Switches: when there is no room."""
        return self._shaking(super().send, data, flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Like SSLSocket.sendfile. Switches: when there is no room."""
        if self._sslobj is None:  # type: ignore[attr-defined]
            return GreenSocket.sendfile(self, file, offset, count)
        # If the kernel encrypts, Python 3.15 makes OpenSSL send the file, and raises when there is no room.
        return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]

    def do_handshake(self, block: bool = False) -> None:
        """Like SSLSocket.do_handshake. Switches: until it is done."""
        wait = self._wait
        if block and wait == 0:
            self._wait = None
        try:
            self._shaking(super().do_handshake)
        finally:
            self._wait = wait

    def unwrap(self) -> GreenSocket:
        """Like SSLSocket.unwrap; returns a GreenSocket. Switches: until the peer has closed its side too."""
        # The standard library returns this same socket, without TLS.
        return self._shaking(super().unwrap)  # type: ignore[return-value]
