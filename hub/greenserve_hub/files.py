"""GreenFileIO: reading and writing pipes, terminals and other descriptors that are no regular files.

The raw layer under the standard's buffers, so that open_pipe(fd, "rb") gives what open() does. Used for the pipes of
subprocess and by os.fdopen in a patched program. Regular files are always ready: they are opened as ever.

Facts: whether calls on a descriptor may block is a property of what was opened, which other processes may share (a
shell's terminal). Consequence: O_NONBLOCK is never set here; the hub is asked to wait, then one call is made that can't
block: a read, or a write of what a pipe takes whole (POLLOUT promises PIPE_BUF bytes, pipe(7)).
"""

from __future__ import annotations

import io
import stat
import warnings
from typing import Any

from greenserve_hub.loop import find_hub
from greenserve_hub.natives import os, select
from greenserve_hub.selecting import wait_for_event

_CHUNK = 1 << 16


def may_block(fd: int) -> bool:
    """Whether it is of a kind that is not always ready. OSError. Switches: never."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


def read(fd: int, length: int, /) -> bytes:
    """As os.read. Switches: when nothing is there."""
    hub = find_hub()
    if hub is not None and may_block(fd):
        wait_for_event(hub, fd, select.POLLIN)
    return os.read(fd, length)


def write(fd: int, data: Any, /) -> int:
    """As os.write; in blocking mode all of it. Switches: when there is no room."""
    hub = find_hub()
    if hub is None or not may_block(fd) or not os.get_blocking(fd):
        return os.write(fd, data)
    with memoryview(data) as view, view.cast("B") as left:
        total = len(left)
        done = 0
        while True:
            wait_for_event(hub, fd, select.POLLOUT)
            done += os.write(fd, left[done : done + select.PIPE_BUF])
            if done >= total:
                return done


class GreenFileIO(io.FileIO):
    """An io.FileIO for green threads. Every call that can block switches when it does."""

    def readinto(self, buffer: Any, /) -> int:
        """As FileIO.readinto. Switches: when nothing is there."""
        self._wait(select.POLLIN)
        return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        """As FileIO.read. Switches: when nothing is there."""
        if size is None or size < 0:
            return self.readall()
        self._wait(select.POLLIN)
        return super().read(size)

    def readall(self) -> bytes:
        """As FileIO.readall. Switches: until the other end is closed."""
        pieces: list[bytes] = []
        while piece := self.read(_CHUNK):
            pieces.append(piece)
        # In non-blocking mode there may be nothing yet, which is None and not the end.
        return b"".join(pieces) if pieces or piece is not None else piece

    def write(self, data: Any, /) -> int:
        """As FileIO.write. Switches: when there is no room."""
        if find_hub() is None or not self.writable() or not os.get_blocking(self.fileno()):
            return super().write(data)
        return write(self.fileno(), data)

    def _wait(self, mask: int) -> None:
        hub = find_hub()
        if hub is not None and not self.closed:
            wait_for_event(hub, self.fileno(), mask)


def open_pipe(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """As io.open; green when `file` is a descriptor of a kind that may block. Switches: never."""
    plain = mode.replace("b", "").replace("t", "")
    if not isinstance(file, int) or plain not in ("r", "w", "a") or not may_block(file):
        return open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    binary = "b" in mode
    if binary and (encoding is not None or errors is not None or newline is not None):
        return open(file, mode, buffering, encoding, errors, newline, closefd, opener)  # which says why not
    raw = GreenFileIO(file, plain, closefd)
    if buffering == 0:
        if binary:
            return raw
        raise ValueError("can't have unbuffered text I/O")
    if buffering == 1 and binary:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used",
            RuntimeWarning,
            stacklevel=2,
        )
    line_buffering = buffering == 1
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    buffer: Any = io.BufferedReader(raw, size) if plain == "r" else io.BufferedWriter(raw, size)
    if binary:
        return buffer
    text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering)
    text.mode = mode  # type: ignore[misc]  # as open() leaves it
    return text
