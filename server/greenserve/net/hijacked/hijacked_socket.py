"""A connection as a socket, for libraries that speak WebSocket themselves: environ["werkzeug.socket"].

simple-websocket, and with it Flask-Sock and Flask-SocketIO, looks for the client's socket there. This is no socket, but
has its methods, over the connection's Stream: TLS makes no difference, and whatever waits waits green. SocketReceiver
and SocketSender are its halves. The invariant: until it is first used the request is HTTP, and never again after that.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from greenserve.errors import AppError
from greenserve.net.hijacked.receiving import SocketReceiver
from greenserve.net.hijacked.sending import SocketSender
from greenserve.net.hijacked.wait_limit import WaitLimit
from greenserve.net.http.activity import UpgradeRecord
from greenserve.net.http.services import Carrier
from greenserve.net.sockets.stream import Stream
from greenserve.websocket import encode_close
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN
from greenserve_hub.patching import is_monkey_patched
from greenserve_hub.unpatched import _thread


class HijackedSocket:
    """Socket-like. Raises what sockets raise: TimeoutError, BrokenPipeError, ConnectionResetError, BlockingIOError.

    The server's send_timeout, send_min_rate and limit_websockets hold, its request_timeout does not. It is closed when
    the app's call is over.
    """

    def __init__(self, carrier: Carrier, environ: dict[str, Any], close_timeout: float) -> None:
        """Of a request that runs. `close_timeout`: seconds that the client has to agree to a Close."""
        self.path: str = environ["PATH_INFO"]
        self._environ = environ
        self._carrier = carrier
        self._limit = WaitLimit(carrier.services.hub)
        self._receiver = SocketReceiver(carrier.stream, self._limit)
        self._sender = SocketSender(carrier, self._limit, close_timeout)
        self._is_begun = False  # the connection has left HTTP
        self._is_closed = False
        self.waits_green = False  # what waits for it does so in green threads, patched or not

    def __repr__(self) -> str:
        """For dumps and logs."""
        return f"<HijackedSocket {self.path}>"

    # Receiving and sending -------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """As socket.recv; b"" also when the app's call is over or the server has ended it. Switches: when empty."""
        self._use(flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        return self._receiver.receive(bufsize)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As socket.recv_into. Switches: when empty."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0) -> int:
        """As socket.send, but all of `data`, unless the timeout is 0.

        Switches: when the client reads slowly, or another green thread is sending. Of a timeout of 0 over TLS the same
        piece has to be offered again, as to an SSLSocket.
        """
        self._use(flags)
        return self._sender.send(data if type(data) is bytes else bytes(data))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As socket.sendall. Switches: as send."""
        left = memoryview(data).cast("B")
        sent = self.send(left, flags)
        while sent < len(left):  # with a timeout of 0
            left = left[sent:]
            sent = self.send(left, flags)

    def fileno(self) -> int:
        """A descriptor that select() and its kin find readable when recv() would not wait; -1 when it is closed.

        It is not the connection's own: for anything but waiting it is of no use. Switches: never.
        """
        if self._is_closed:
            return -1
        self._must_be_here()
        return self._receiver.fileno()

    @property
    def bytes_received(self) -> int:
        """Bytes received from the client, whether recv() has given them or not."""
        return self._receiver.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Bytes sent to the client."""
        return self._sender.bytes_sent

    # How long to wait ------------------------------------------------------------------------------------

    def settimeout(self, value: float | None) -> None:
        """Seconds that a call may wait; None for ever, 0 not at all. The server's send_timeout holds besides."""
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._limit.seconds = value

    def gettimeout(self) -> float | None:
        """What settimeout set."""
        return self._limit.seconds

    def setblocking(self, flag: bool) -> None:
        """True: wait for ever. False: never."""
        self._limit.seconds = None if flag else 0.0

    def getblocking(self) -> bool:
        """Return True if a call may wait."""
        return self._limit.seconds != 0

    # Every call ------------------------------------------------------------------------------------------

    def _use(self, flags: int) -> None:
        """Begin a call: the first one hijacks the connection. Raises what the call is to raise."""
        if self._is_closed:
            raise OSError(errno.EBADF, "the socket is closed")
        if flags:
            raise OSError(errno.EOPNOTSUPP, "this socket takes no flags")
        self._must_be_here()
        if not self._is_begun:
            self._hijack()
        hub = self._carrier.services.hub
        if hub.clock() - hub.now > MAX_TURN and self._limit.seconds != 0:
            sleep(0)

    def _must_be_here(self) -> None:
        if _thread.get_ident() != self._carrier.services.hub.thread_id:
            raise RuntimeError(
                "environ['werkzeug.socket'] is for green threads of its server, and not for another OS thread"
            )

    def _hijack(self) -> None:
        if not self.waits_green and not is_monkey_patched("thread"):
            # A wait in an OS thread's way holds the hub, and with it everybody.
            raise AppError(
                "a library wants the socket of a WebSocket, to wait for it in threads, and threads are not green here: "
                "start with the greenserve command, or call greenserve.monkey_patch() before all other imports; "
                "or use greenserve.accept_websocket(environ), which needs neither"
            )
        upgrade = self._environ.get("greenserve.upgrade")
        if upgrade is None:
            raise OSError(errno.EBADF, "the request is over: its socket can't be had any more")
        upgrade(b"", self._begin)

    def _begin(self, carrier: Carrier, ahead: bytes) -> HijackedSocket:
        self._is_begun = True
        self._receiver.begin(ahead)
        return self

    # What it is ------------------------------------------------------------------------------------------

    @property
    def family(self) -> int:
        """As socket.family."""
        return self._carrier.stream.sock.family

    @property
    def type(self) -> int:
        """As socket.type."""
        return self._carrier.stream.sock.type

    @property
    def proto(self) -> int:
        """As socket.proto."""
        return self._carrier.stream.sock.proto

    def getpeername(self) -> Any:
        """As socket.getpeername; behind a proxy that is the proxy."""
        return self._carrier.stream.sock.getpeername()

    def getsockname(self) -> Any:
        """As socket.getsockname."""
        return self._carrier.stream.sock.getsockname()

    def getsockopt(self, *args: Any) -> Any:
        """As socket.getsockopt."""
        return self._carrier.stream.sock.getsockopt(*args)

    def setsockopt(self, *args: Any) -> None:
        """As socket.setsockopt."""
        self._carrier.stream.sock.setsockopt(*args)

    # The end ---------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """As socket.shutdown; TLS ends in both directions where sending ends. Switches: never."""
        self._use(0)
        stream = self._carrier.stream
        if how != socket.SHUT_RD:
            self._sender.shut()
            stream.shut_sending()
        if how != socket.SHUT_WR or type(stream) is not Stream:
            self._receiver.end()

    def close(self) -> None:
        """As socket.close; the client gets what was sent. What was never used stays a request. Switches: never."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_begun:
            self._end()
        self._receiver.close_alarm()

    def __enter__(self) -> HijackedSocket:
        """Itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def _end(self) -> None:
        """Nothing more is received or sent; the connection closes when the client has, or soon. Switches: never."""
        self._sender.shut()
        self._receiver.end()
        carrier = self._carrier
        if not carrier.is_open:
            return
        if self._sender.is_broken:
            carrier.reset()  # the client must not take for the whole what it has
        elif self._receiver.peer_has_ended:
            carrier.close()
        else:
            carrier.linger()

    # Its connection calls: see Upgraded ------------------------------------------------------------------

    def expired(self) -> None:
        """Close: the client has not agreed to the server's Close in time."""
        self._carrier.close()

    def app_left(self, error: BaseException | None) -> None:
        """End it. Threads that the app has left behind find the end."""
        self._end()

    def drain(self) -> None:
        """Send a Close: the client answers it, and the library meets that as the client's own."""
        restarts = self._carrier.services.restarts()
        code, reason = (1012, "the server restarts") if restarts else (1001, "the server stops")
        self._sender.close(encode_close(code, reason))
        if self.waits_green:
            self._receiver.end()  # its code may speak another protocol than RFC 6455, which has no answer to that

    def leave_behind(self) -> None:
        """Become as closed, without a word to anybody."""
        self._sender.shut()
        self._receiver.leave_behind()

    def lost(self) -> None:
        """End what waits."""
        self._sender.shut()
        self._receiver.end()

    def record(self) -> UpgradeRecord:
        """Return what the access log tells of it."""
        return UpgradeRecord(self._environ, self.bytes_received, self.bytes_sent, None)
