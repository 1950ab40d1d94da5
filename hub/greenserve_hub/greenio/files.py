"""GreenFileIO: opens, reads and writes pipes, terminals and other descriptors that are not regular files.

It is the raw layer under the standard buffers, so open_pipe(fd, "rb") returns the same as open(). Used for the pipes of
subprocess, and by open() and os.fdopen in a patched program. Regular files are always ready, and are opened as usual.

Facts: opening a FIFO waits until its other end is opened (fifo(7)), and poll(2) does not report that. Consequence: an
OS thread opens it. If its caller gives up, that thread closes the descriptor again.
"""

from __future__ import annotations

import stat
import sys
import warnings
from typing import Any, Final

from greenserve_hub.greenio.green_numbers import waits_for_ever
from greenserve_hub.greenio.kinds import READY, can_block, is_always_ready, state_of
from greenserve_hub.greenio.transfers import read, write
from greenserve_hub.loop.current import find_hub
from greenserve_hub.osthreads.thread_pools import waiting
from greenserve_hub.unpatched import _thread, io, os, select

_CHUNK: Final = 1 << 16
# With these flags, and for both ends at once, opening a FIFO does not wait.
_NO_WAIT: Final = os.O_NONBLOCK | os.O_RDWR | getattr(os, "O_PATH", 0)
_WAYS: Final = ("r", "w", "a", "x")


class GreenFileIO(io.FileIO):
    """An io.FileIO for green threads. Every call that can block switches when it does."""

    def __init__(self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:
        """Like FileIO. Switches: when `file` is a FIFO, until its other end is opened."""
        if opener is None and not isinstance(file, int) and _is_fifo(file):
            opener = _open_fifo
        super().__init__(file, mode, closefd, opener)

    def readinto(self, buffer: Any, /) -> int:
        """Like FileIO.readinto. Switches: when nothing is there."""
        if self._is_ready():
            count = super().readinto(buffer)
            if count is not None or not waits_for_ever(self.fileno()):
                return count
        with memoryview(buffer) as view, view.cast("B") as room:
            data = read(self.fileno(), len(room))
            room[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        """Like FileIO.read. Switches: when nothing is there."""
        if size is None or size < 0:
            return self.readall()
        if self._is_ready():
            data = super().read(size)
            if data is not None or not waits_for_ever(self.fileno()):
                return data
        return read(self.fileno(), size)

    def readall(self) -> bytes:
        """Like FileIO.readall. Switches: until the other end is closed."""
        pieces: list[bytes] = []
        while piece := self.read(_CHUNK):
            pieces.append(piece)
        # In non-blocking mode None means that there is nothing yet; it is not the end.
        return b"".join(pieces) if pieces or piece is not None else piece

    def write(self, data: Any, /) -> int:
        """Like FileIO.write. Switches: when there is no room."""
        if find_hub() is None or not self.writable() or not can_block(self.fileno()):
            return super().write(data)
        return write(self.fileno(), data)

    def _is_ready(self) -> bool:
        """Return True if FileIO's own call would not block."""
        return find_hub() is None or not self.readable() or state_of(self.fileno(), select.POLLIN) is READY


class _Opening:
    """A descriptor that an OS thread opens, and closes again if its caller has given up."""

    def __init__(self, *args: Any) -> None:
        self._args = args
        self._lock = _thread.allocate_lock()
        self._fd = -1
        self._is_given_up = False

    def open(self) -> int:
        path, flags, mode, dir_fd = self._args
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        with self._lock:
            if self._is_given_up:
                os.close(fd)
            self._fd = fd
        return fd

    def give_up(self) -> None:
        with self._lock:
            self._is_given_up = True
            if self._fd >= 0:
                os.close(self._fd)


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Like os.open. Switches: when it is a FIFO, until its other end is opened."""
    if find_hub() is None or flags & _NO_WAIT or not _is_fifo(path, dir_fd):
        return os.open(path, flags, mode, dir_fd=dir_fd)
    opening = _Opening(path, flags, mode, dir_fd)
    try:
        return waiting.execute(opening.open)
    except BaseException:
        opening.give_up()
        raise


def _is_fifo(path: Any, dir_fd: int | None = None) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path, dir_fd=dir_fd).st_mode)
    except (OSError, TypeError, ValueError):
        return False  # opening it raises the right error


def _open_fifo(path: Any, flags: int) -> int:
    return open_descriptor(path, flags, 0o666)


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
    """Like io.open; green if `file` (a name or a number) is of a kind that may block, and there is no `opener`.

    Switches: when it is a FIFO, until its other end is opened.
    """
    plain = mode.replace("b", "", 1).replace("t", "", 1) if isinstance(mode, str) else ""
    binary = "b" in str(mode)
    if not binary and encoding is None and sys.flags.warn_default_encoding:
        encoding = io.text_encoding(encoding)  # here, because otherwise the warning would name a line of ours
    if (
        opener is not None
        or plain.replace("+", "", 1) not in _WAYS
        or (binary and ("t" in mode or encoding is not None or errors is not None or newline is not None))
        or (not binary and buffering == 0)
        or not _may_block(file)
    ):
        return io.open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = GreenFileIO(file, plain, closefd)
    try:
        return _buffered(raw, mode, plain, buffering, encoding, errors, newline)
    except BaseException:
        raw.close()
        raise


def _may_block(file: Any) -> bool:
    if isinstance(file, int):
        status = os.fstat(file)
    else:
        try:
            status = os.stat(file)
        except (OSError, TypeError, ValueError):
            return False  # opening it raises the right error
    return not is_always_ready(status.st_mode, status.st_rdev)


def _buffered(
    raw: GreenFileIO,
    mode: str,
    plain: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """Wrap a raw file like io.open."""
    if buffering == 0:
        return raw
    binary = "b" in mode
    if buffering == 1 and binary:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used",
            RuntimeWarning,
            stacklevel=3,
        )
    line_buffering = buffering == 1 or (buffering < 0 and raw.isatty())
    size: int = buffering if buffering > 1 else raw._blksize  # type: ignore[attr-defined]  # like io.open itself
    buffer: Any
    if "+" in plain:
        buffer = io.BufferedRandom(raw, size)
    elif plain == "r":
        buffer = io.BufferedReader(raw, size)
    else:
        buffer = io.BufferedWriter(raw, size)
    if binary:
        return buffer
    text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering)
    text.mode = mode  # type: ignore[misc]  # like open()
    return text


__all__ = ["GreenFileIO", "open_descriptor", "open_pipe", "read", "write"]
