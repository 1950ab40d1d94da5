"""WebSocket of the drafts 75 and 76, before RFC 6455: text between a byte 0x00 and a byte 0xFF.

No browser of today speaks it. It is here for programs that eventlet serves without asking: WebSocketWSGI takes it
unless it was made with configured().
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from collections.abc import Mapping
from hashlib import md5
from struct import pack
from typing import Any

from greenserve_hub import Semaphore

__all__ = ["BadRequest", "WebSocket", "handshake_reply"]

_LONGEST = 8 << 20  # bytes of a message
_CLOSE = b"\xff\x00"


class BadRequest(Exception):
    """A handshake that is refused, with a status."""

    def __init__(
        self,
        status: str = "400 Bad Request",
        body: bytes | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        """`headers` go with the response."""
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class WebSocket:
    """One WebSocket, on any socket that waits green. `path`, `origin`, `protocol` and `environ` are the request's."""

    def __init__(self, sock: Any, environ: dict[str, Any], version: int = 76) -> None:
        """The handshake is done."""
        self.log: Any = environ.get("wsgi.errors", sys.stderr)
        self.socket = sock
        self.origin = environ.get("HTTP_ORIGIN")
        self.protocol = environ.get("HTTP_WEBSOCKET_PROTOCOL")
        self.path = environ.get("PATH_INFO")
        self.environ = environ
        self.version = version
        self.websocket_closed = False
        self._buf = b""
        self._msgs: deque[str] = deque()
        self._sendlock = Semaphore()

    def send(self, message: Any) -> None:
        """Send a message: str, bytes, or what str() makes one of. Switches: when the client reads slowly. OSError."""
        if not isinstance(message, bytes):
            message = str(message).encode()
        self._send_bytes(b"\x00" + message + b"\xff")

    def _send_bytes(self, data: bytes) -> None:
        with self._sendlock:  # a frame of another green thread must not come into this one
            self.socket.sendall(data)

    def wait(self) -> Any:
        """Return the next message, None when the client has closed. Switches: when there is none.

        Raises ValueError for bytes that are no message.
        """
        while not self._msgs:
            if self.websocket_closed:
                return None
            received = self.socket.recv(8096)
            if not received:
                return None
            self._buf += received
            self._take_messages()
        return self._msgs.popleft()

    def _take_messages(self) -> None:
        while self._buf:
            if self._buf[0] == 0:
                message, end, rest = self._buf[1:].partition(b"\xff")
                if not end:
                    if len(message) > _LONGEST:
                        raise ValueError(f"a message of more than {_LONGEST} bytes")
                    return
                self._msgs.append(message.decode("utf-8", "replace"))
                self._buf = rest
            elif _CLOSE.startswith(self._buf[:2]):
                self.websocket_closed = len(self._buf) > 1
                return
            else:
                raise ValueError(f"byte {self._buf[0]:#x} begins no message of draft 76")

    def _send_closing_frame(self, ignore_send_errors: bool = False) -> None:
        if self.version != 76 or self.websocket_closed:
            return
        self.websocket_closed = True
        try:
            self.socket.sendall(_CLOSE)
        except OSError:
            if not ignore_send_errors:
                raise

    def close(self) -> None:
        """Close it now; to return from the handler does the same. Switches: as send()."""
        self._send_closing_frame(True)
        self._close_socket(socket.SHUT_RDWR)

    def _close_socket(self, how: int) -> None:
        try:
            self.socket.shutdown(how)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                self.log.write(f"{self.path}: the WebSocket's socket can't be shut down: {error}\n")
        finally:
            self.socket.close()


def handshake_reply(environ: Mapping[str, Any], key3: bytes | None) -> bytes:
    """Return the response to a handshake; `key3`: the 8 bytes behind the head, None for draft 75. Raises BadRequest."""
    scheme = "wss" if environ.get("wsgi.url_scheme") == "https" else "ws"
    host, origin = environ.get("HTTP_HOST"), environ.get("HTTP_ORIGIN")
    if not host or not origin:
        raise BadRequest
    location = f"{scheme}://{host}{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    mark, query = "?" if "?" in environ.get("RAW_URI", "") else "", environ.get("QUERY_STRING")
    location += f"?{query}" if query else mark
    if key3 is None:
        name, prefix, fields = "Web Socket Protocol Handshake", "", ""
        answer = b""
    else:
        name, prefix = "WebSocket Protocol Handshake", "Sec-"
        fields = f"Sec-WebSocket-Protocol: {environ.get('HTTP_SEC_WEBSOCKET_PROTOCOL', 'default')}\r\n"
        keys = [_number_in(environ[f"HTTP_SEC_WEBSOCKET_KEY{number}"]) for number in (1, 2)]
        answer = md5(pack(">II", *keys) + key3, usedforsecurity=False).digest()
    head = (
        f"HTTP/1.1 101 {name}\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        f"{prefix}WebSocket-Origin: {origin}\r\n{fields}{prefix}WebSocket-Location: {location}\r\n\r\n"
    )
    return head.encode("latin-1") + answer


def _number_in(key: str) -> int:
    """Return what a key means: its digits as one number, divided by how many spaces it has. Raises BadRequest."""
    digits = "".join(character for character in key if character in "0123456789")
    spaces = key.count(" ")
    if not digits or not spaces or (number := int(digits) // spaces) >= 1 << 32:
        raise BadRequest
    return number
