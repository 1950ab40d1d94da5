"""A connection as a socket, for libraries that speak WebSocket themselves: environ["werkzeug.socket"].

simple-websocket, and with it Flask-Sock and Flask-SocketIO, looks for the client's socket there. This is none, but has
the methods over the connection's Stream, so that TLS makes no difference, and waits green. socket_receiving.py and
socket_sending.py are its halves. The invariant: until it is first used the request is HTTP, and never again after that.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from greenserve.errors import AppError
from greenserve.net.hijacked.sending import SocketSending
from greenserve.net.http.activity import Carrier, UpgradeRecord
from greenserve.net.sockets.stream import Stream
from greenserve.websocket import encode_close
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.patching import is_monkey_patched


class TakenSocket(SocketSending):
    """Socket-like. Raises what sockets raise: TimeoutError, BrokenPipeError, ConnectionResetError, BlockingIOError.

    The server's send_timeout, send_min_rate and limit_websockets hold, its request_timeout does not. It is closed when
    the app's call is over.
    """

    def __init__(self, connection: Carrier, environ: dict[str, Any], close_timeout: float) -> None:
        """Of a request that runs. `close_timeout`: seconds that the client has to agree to a Close."""
        super().__init__(connection, close_timeout)
        self.path: str = environ["PATH_INFO"]
        self._environ = environ

    def __repr__(self) -> str:
        """For dumps and logs."""
        return f"<TakenSocket {self.path}>"

    def _take(self) -> None:
        if not is_monkey_patched("thread"):
            # Whoever waits in an OS thread's way holds the hub, and with it everybody.
            raise AppError(
                "a library wants the socket of a WebSocket, to wait for it in threads, and threads are not green here: "
                "start with the greenserve command, or call greenserve.monkey_patch() before all other imports; "
                "or use greenserve.accept_websocket(environ), which needs neither"
            )
        upgrade = self._environ.get("greenserve.upgrade")
        if upgrade is None:
            raise OSError(errno.EBADF, "the request is over: its socket can't be had any more")
        upgrade(b"", self._begin)
        self._watch()

    def _begin(self, connection: Carrier, ahead: bytes) -> TakenSocket:
        self._is_taken = True
        self._ahead = ahead
        self.bytes_received = len(ahead)
        return self

    # What it is ------------------------------------------------------------------------------------------

    @property
    def family(self) -> int:
        """As socket.family."""
        return self._stream.sock.family

    @property
    def type(self) -> int:
        """As socket.type."""
        return self._stream.sock.type

    @property
    def proto(self) -> int:
        """As socket.proto."""
        return self._stream.sock.proto

    def getpeername(self) -> Any:
        """As socket.getpeername; behind a proxy that is the proxy."""
        return self._stream.sock.getpeername()

    def getsockname(self) -> Any:
        """As socket.getsockname."""
        return self._stream.sock.getsockname()

    def getsockopt(self, *args: Any) -> Any:
        """As socket.getsockopt."""
        return self._stream.sock.getsockopt(*args)

    def setsockopt(self, *args: Any) -> None:
        """As socket.setsockopt."""
        self._stream.sock.setsockopt(*args)

    # The end ---------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """As socket.shutdown; TLS ends in both directions where sending ends. Switches: never."""
        self._use(0)
        if how != socket.SHUT_RD:
            self._is_shut = True
            self._stream.shut_sending()
        if how != socket.SHUT_WR or type(self._stream) is not Stream:
            self._end_receiving()

    def close(self) -> None:
        """As socket.close; the client gets what was sent. What was never used stays a request. Switches: never."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_taken:
            self._end()
        if self._alarm is not None:
            self._alarm.close()

    def __enter__(self) -> TakenSocket:
        """Itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def _end(self) -> None:
        """Nothing more is received or sent; the connection closes when the client has, or soon. Switches: never."""
        self._is_shut = True
        self._end_receiving()
        connection = self._connection
        if not connection.is_open:
            return
        if self._is_broken:
            connection.reset()  # the client must not take for the whole what it has
        elif self._peer_has_ended:
            connection.close()
        else:
            connection.linger()

    # The connection's second life: see Upgraded ----------------------------------------------------------

    def expired(self) -> None:
        """See Upgraded: the client has not agreed to the server's Close in time."""
        self._connection.close()

    def app_left(self, error: BaseException | None) -> None:
        """See Upgraded. Threads that the app has left behind find the end."""
        self._end()

    def drain(self) -> None:
        """See Upgraded: say Close; the client answers it, and the library meets that as the client's own."""
        restarts = self._connection.services.restarts()
        code, reason = (1012, "the server restarts") if restarts else (1001, "the server stops")
        self._goodbye = encode_close(code, reason)
        spawn_n(self._drain)

    def leave_behind(self) -> None:
        """See Upgraded."""
        self._is_shut = self._is_at_end = True
        self._ahead = b""
        if self._alarm is not None:
            self._alarm.close()  # setting it would set the parent's

    def lost(self) -> None:
        """See Upgraded."""
        self._is_shut = True
        self._end_receiving()

    def record(self) -> UpgradeRecord:
        """See Upgraded."""
        return UpgradeRecord(self._environ, self.bytes_received, self.bytes_sent, None)
