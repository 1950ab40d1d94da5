"""Channel: messages between the master and one worker: JSON objects, each on a line, with descriptors if need be.

Both sides run a hub. Sending never waits: a green thread of the channel's own writes what is to be sent, so that a
worker that stands still holds up nobody.
"""

from __future__ import annotations

import array
import contextlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from greenserve_hub.forks import leave_in_children
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.unpatched import socket

__all__ = ["Channel", "Message", "pair"]

log = logging.getLogger("greenserve.error")

Message = dict[str, Any]

_AT_ONCE: Final = 65536  # bytes
_LONGEST: Final = 64 << 20  # bytes of one message: more is no message of ours
_MOST_FDS: Final = 250  # SCM_MAX_FD is 253


def pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends, for the master and for a worker that is about to be forked. Raises OSError."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


class Channel:
    """One end. The other one is in another process."""

    def __init__(
        self, sock: socket.socket, heard: Callable[[Message, list[int]], object], ended: Callable[[], object]
    ) -> None:
        """`heard(message, fds)` is called for each message, `ended()` when the other process is gone.

        Both run in the green thread that reads. The descriptors belong to `heard`.
        """
        self._sock = GreenSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._heard = heard
        self._ended = ended
        self._to_send: deque[tuple[bytes, Sequence[int]]] = deque()
        self._is_sending = False
        self._begun = bytearray()  # of a message that has not come whole
        self.is_closed = False
        leave_in_children(self)
        spawn_n(self._read)

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fileno()

    @property
    def is_quiet(self) -> bool:
        """Return True if no message is under way on this side."""
        return not (self._to_send or self._is_sending or self._begun)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message soon, with copies of descriptors; lost if the other process is gone. Switches: never."""
        if self.is_closed:
            return
        line = json.dumps(message | ({"fds": len(fds)} if fds else {})).encode() + b"\n"
        # Copies: the numbers may stand for other files by the time that a busy worker reads.
        self._to_send.append((line, [os.dup(fd) for fd in fds]))
        if not self._is_sending:
            self._is_sending = True
            spawn_n(self._write)

    def _write(self) -> None:
        try:
            while self._to_send:
                line, fds = self._to_send[0]
                if fds:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                    line = line[self._sock.sendmsg([line], rights) :]
                self._sock.sendall(line)
                self._drop_first()
        except OSError:  # the reader sees the end
            while self._to_send:
                self._drop_first()
        finally:
            self._is_sending = False

    def _drop_first(self) -> None:
        for fd in self._to_send.popleft()[1]:
            os.close(fd)

    def _read(self) -> None:
        begun = self._begun
        fds: list[int] = []
        with contextlib.suppress(OSError):
            while data := self._receive(fds):
                begun += data
                if len(begun) > _LONGEST:
                    break
                while (end := begun.find(b"\n")) >= 0:
                    message = json.loads(begun[:end])
                    del begun[: end + 1]
                    count = message.pop("fds", 0)
                    own, fds = fds[:count], fds[count:]
                    try:
                        self._heard(message, own)
                    except Exception:
                        log.exception(
                            "a fault of greenserve's own, please report it; %s was not done", message
                        )
        for fd in fds:  # of a message whose end never came
            os.close(fd)
        if not self.is_closed:
            self.close()
            self._ended()

    def _receive(self, fds: list[int]) -> bytes:
        data, ancillary, _, _ = self._sock.recvmsg(_AT_ONCE, socket.CMSG_SPACE(_MOST_FDS * 4))
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                for fd in numbers:
                    os.set_inheritable(fd, False)
                    fds.append(fd)
        return data

    def close(self) -> None:
        """Close this end. Repeatable. Switches: never."""
        if not self.is_closed:
            self.is_closed = True
            self._sock.close()

    def leave_behind(self) -> None:
        """In the child of a fork: close the copy, or the other end would never see the end. Switches: never."""
        if not self.is_closed:
            self.is_closed = True
            while self._to_send:
                self._drop_first()
            os.close(socket.socket.detach(self._sock))  # its own detach() would have the parent's end block
