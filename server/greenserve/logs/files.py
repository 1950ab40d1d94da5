"""The file of a log: a path, stdout or stderr. One write for each line; a failed write harms nothing.

It knows lines and descriptors, not the contents of lines. Called by error_log.py and access_log.py.

A full disk, a closed pipe or a reader that has stopped (a stopped terminal, a stuck log shipper) must not stop ten
thousand connections. So a write that fails loses its line: the loss is counted, reported once, and reported with the
count when writing works again. A stdout that is full is waited for once, for PATIENCE, and then not at all until it
takes lines again.

Invariant: write() raises nothing, and waits no longer than PATIENCE.
"""

from __future__ import annotations

import contextlib
import stat
import sys
from collections.abc import Callable
from functools import partial

from greenserve_hub.forks import leave_in_children
from greenserve_hub.unpatched import os, select  # the patched ones would switch green threads

__all__ = ["LogFile"]

PATIENCE = 10  # milliseconds
MODE = 0o640  # access logs hold addresses of people
_os_write = os.write


class LogFile:
    """An open log: `write` lines to it, `reopen` it after a rotation, `close` it."""

    def __init__(self, place: str, stream: str, on_trouble: Callable[[str], None]) -> None:
        """Open `place`, a path or `-` for sys.<stream>; raises OSError where it can't be opened.

        `on_trouble` is called with one line when lines begin to be lost, and when that is over.
        """
        self.place = place
        self.lost = 0
        self._name = stream if place == "-" else place
        self._on_trouble = on_trouble
        self._lost_before = -1  # `lost` when the trouble began; -1 if there is none
        self._torn = False
        self._fd = -1
        self._copied = -1  # of which _fd is a copy
        self._ready: Callable[[int], object] | None = None
        self._write: Callable[[bytes], int] = _swallow
        if place == "-":
            self._open_stream(stream)
        else:
            self._fd = _open(place)
            self._write = self._to_fd

    def write(self, line: bytes) -> None:
        """Write one line, newline included. Raises nothing."""
        try:
            if self._ready is not None and not self._ready(PATIENCE if self._lost_before < 0 else 0):
                raise BlockingIOError(0, "its reader does not read")
            if self._torn:
                line = b"\n" + line
            written = self._write(line)
            self._torn = written != len(line)
            if self._torn:
                raise OSError(0, "a line was written in part")
        except (OSError, ValueError) as error:  # ValueError: a stream that other code has closed
            self._lose(error)
        else:
            if self._lost_before >= 0:
                self._recover()

    def reopen(self) -> None:
        """Open the path again, after logrotate has moved the file; if that fails, keep the old file."""
        if self.place == "-" or self._fd < 0:
            return
        try:
            fresh = _open(self.place)
        except OSError as error:
            self._on_trouble(f"{self._name}: can't be reopened, keeping the old file: {error.strerror}")
            return
        old, self._fd = self._fd, fresh
        self._torn = False
        os.close(old)

    def duplicate(self) -> int:
        """Return a descriptor of its own for the same file, for C code that can't call write()."""
        with contextlib.suppress(OSError):
            return os.dup(self._fd if self._fd >= 0 else self._copied)
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def leave_behind(self) -> None:
        """In the child of a fork, write to the stream itself, which a daemon closes."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._write = partial(_os_write, self._copied)
            if self._ready is not None:
                self._ready = _ready_of(self._copied)
            os.close(fd)

    def close(self) -> None:
        """Close it; later lines are dropped. May be called twice."""
        self._write, self._ready = _swallow, None
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _open_stream(self, stream: str) -> None:
        target = getattr(sys, stream)
        if target is None:  # the program was started with the stream closed
            return
        try:
            number = target.fileno()
        except (OSError, ValueError, AttributeError):

            def to_text(line: bytes) -> int:  # a notebook's or a test's stream
                target.write(line.decode("utf-8", "replace"))
                target.flush()
                return len(line)

            self._write = to_text
            return
        target.flush()
        # A copy: if the program closed 1 or 2, the next client's socket would get the number.
        self._fd = os.dup(number)
        self._write = self._to_fd
        self._copied = number
        leave_in_children(self)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._ready = _ready_of(self._fd)

    def _to_fd(self, line: bytes) -> int:
        return _os_write(self._fd, line)

    def _lose(self, error: Exception) -> None:
        if self._lost_before < 0:
            self._lost_before = self.lost
            self.lost += 1
            reason = getattr(error, "strerror", None) or str(error)
            self._on_trouble(f"{self._name}: log lines are being lost: {reason}")
        else:
            self.lost += 1

    def _recover(self) -> None:
        count = self.lost - self._lost_before
        self._lost_before = -1
        self._on_trouble(f"{self._name}: logging works again, {count} lines were lost")


def _ready_of(fd: int) -> Callable[[int], object]:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return poller.poll


def _open(path: str) -> int:
    # Non-blocking in case the path is a FIFO: then a missing reader is an error at once, and a slow reader costs lines,
    # not time. Regular files ignore it.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags, MODE)


def _swallow(line: bytes) -> int:
    return len(line)
