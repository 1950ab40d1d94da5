"""The file of a log: a path, stdout or stderr. A failed write harms nothing, and a file that was moved is followed.

It knows lines and descriptors, not the contents of lines. Called by error_log.py and access_log.py.

A full disk, a closed pipe or a reader that has stopped (a stopped terminal, a stuck log shipper) must not stop ten
thousand connections. So a write that fails loses its line: the loss is counted, reported once, and reported with the
count when writing works again. A stdout that is full is waited for once, for PATIENCE, and then not at all until it
takes lines again.

Rotation: reopen_all() opens the paths again. A path at which another file stands, or none, is noticed by the first line
that comes a second or more after the last look. Until then lines go to the file that was moved away, so none is lost.
Lines are appended (O_APPEND), so a file that was copied and truncated is written from its new beginning.

Invariant: write() raises nothing, and waits no longer than PATIENCE for each 4 KiB.
"""

from __future__ import annotations

import contextlib
import logging
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, Protocol
from weakref import WeakSet

from greenserve_hub.forks import leave_in_children
from greenserve_hub.unpatched import os, select, time  # the patched ones would switch green threads

__all__ = ["LogFile", "Losses", "Sink", "open_sinks", "reopen_all"]

PATIENCE = 10  # milliseconds
LOOK_AGAIN = 1.0  # seconds between two looks whether the file is still at its path
PIECE = 4096  # bytes that a pipe takes whole once it takes any (PIPE_BUF, pipe(7))
MODE = 0o640  # access logs hold addresses of people
_os_write = os.write
_monotonic = time.monotonic


class Sink(Protocol):
    """Where the lines of a log go. Nothing raises or switches."""

    @property
    def lost(self) -> int:
        """The number of lines that were lost since it was opened."""

    @property
    def adds_head(self) -> bool:
        """Return True if it adds time, process and level itself."""

    @property
    def is_terminal(self) -> bool:
        """Return True for a stream that is a terminal."""

    @property
    def is_journal(self) -> bool:
        """Return True for a stream that systemd has connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""

    def write(self, line: bytes, level: int = logging.INFO, fields: Mapping[str, str] | None = None) -> None:
        """Write one line, newline included. `fields` are for a place that takes some."""

    def write_all(self, lines: list[bytes], fields: Sequence[Mapping[str, str]] = ()) -> None:
        """Write several lines, of the level INFO. `fields`: of each line, for a place that takes some."""

    def reopen(self) -> bool:
        """Open it again, after a rotation or a restart of what takes the lines. Return True unless that failed."""

    def duplicate(self) -> int:
        """Return a descriptor of its own for the same place, for C code that can't call write()."""

    def close(self) -> None:
        """Close it; later lines are dropped. May be called twice."""


open_sinks: Final[WeakSet[Sink]] = WeakSet()


def reopen_all() -> bool:
    """Reopen every log of this process, as SIGUSR1 asks. Return True unless one failed, which has told why.

    From any OS thread. Raises nothing. Switches: never.
    """
    return all([sink.reopen() for sink in tuple(open_sinks)])


class Losses:
    """Counts the lines that a log has lost, and tells when a loss begins and when it is over."""

    def __init__(self, name: str, on_trouble: Callable[[str], None]) -> None:
        """`on_trouble` is called with one line, which begins with `name`."""
        self.count = 0
        self.go_on = False  # the last line was lost
        self._name = name
        self._on_trouble = on_trouble
        self._before = 0  # `count` when it began

    def lose(self, error: Exception, lines: int = 1) -> None:
        """So many lines are lost, for this reason. Switches: never."""
        began, self.go_on = not self.go_on, True
        if began:
            self._before = self.count
        self.count += lines
        if began:
            reason = getattr(error, "strerror", None) or str(error)
            self._on_trouble(f"{self._name}: log lines are being lost: {reason}")

    def recover(self) -> None:
        """A line was written. Switches: never."""
        if self.go_on:
            self.go_on = False
            self._on_trouble(
                f"{self._name}: logging works again, {self.count - self._before} lines were lost"
            )


class LogFile:
    """An open log: `write` lines to it, `reopen` it after a rotation, `close` it."""

    adds_head = False

    def __init__(self, place: str, stream: str, on_trouble: Callable[[str], None]) -> None:
        """Open `place`, a path or `-` for sys.<stream>; raises OSError where it can't be opened.

        `on_trouble` is called with one line when lines begin to be lost, and when that is over.
        """
        self.place = place
        self._name = stream if place == "-" else place
        self._on_trouble = on_trouble
        self._losses = Losses(self._name, on_trouble)
        self._torn = False
        self._fd = -1
        self._copied = -1  # of which _fd is a copy
        self._identity: tuple[int, int] | None = None  # of the file at the path, if it can be rotated
        self._look_at = 0.0
        self._is_stuck = False  # it was moved, and its path can't be opened
        self._ready: Callable[[int], object] | None = None
        self._write: Callable[[bytes], int] = _swallow
        if place == "-":
            self._open_stream(stream)
        else:
            self._fd = _open(place)
            self._write = self._to_fd
            self._note_identity()
        open_sinks.add(self)

    @property
    def lost(self) -> int:
        """See Sink."""
        return self._losses.count

    def write(self, line: bytes, level: int = logging.INFO, fields: Mapping[str, str] | None = None) -> None:
        """See Sink."""
        if self._identity is not None and _monotonic() >= self._look_at:
            self._look()
        self._put(line)

    def write_all(self, lines: list[bytes], fields: Sequence[Mapping[str, str]] = ()) -> None:
        """See Sink. One write, or one for each 4 KiB of a pipe."""
        if self._identity is not None and _monotonic() >= self._look_at:
            self._look()
        if self._ready is None:
            self._put(b"".join(lines))
            return
        for piece in _pieces(lines):
            self._put(piece)

    def _put(self, line: bytes) -> None:
        """Write whole lines together."""
        written, was_torn = 0, self._torn
        try:
            if self._ready is not None and not self._ready(0 if self._losses.go_on else PATIENCE):
                raise BlockingIOError(0, "its reader does not read")
            if was_torn:
                line = b"\n" + line
            written = self._write(line)
            self._torn = written != len(line) and (not written or line[written - 1] != 10)
            if written != len(line):
                raise OSError(0, "a line was written in part")
        except (OSError, ValueError) as error:  # ValueError: a stream that other code has closed
            self._losses.lose(error, line.count(b"\n", written or was_torn) or 1)
        else:
            if self._losses.go_on:
                self._losses.recover()

    def reopen(self) -> bool:
        """See Sink. If the path can't be opened, keep the old file."""
        if self.place == "-" or self._fd < 0:
            return True
        try:
            fresh = _open_like(self.place, self._fd)
        except OSError as error:
            if not self._is_stuck:
                self._is_stuck = True
                self._on_trouble(
                    f"{self._name}: can't be reopened, keeping the old file: {error.strerror}; tried again every second"
                )
            return False
        # In one step, and the number stays: another OS thread may be writing.
        os.dup2(fresh, self._fd, inheritable=False)
        os.close(fresh)
        self._torn = self._is_stuck = False
        self._note_identity()
        return True

    def _note_identity(self) -> None:
        seen = os.fstat(self._fd)
        self._identity = (seen.st_dev, seen.st_ino) if stat.S_ISREG(seen.st_mode) else None
        self._look_at = _monotonic() + LOOK_AGAIN

    def _look(self) -> None:
        """Reopen if another file, or none, stands at the path."""
        self._look_at = _monotonic() + LOOK_AGAIN
        with contextlib.suppress(OSError):
            seen = os.stat(self.place)
            if (seen.st_dev, seen.st_ino) == self._identity:
                return
        self.reopen()

    @property
    def is_terminal(self) -> bool:
        """See Sink."""
        return self.place == "-" and self._fd >= 0 and os.isatty(self._fd)

    @property
    def is_journal(self) -> bool:
        """See Sink."""
        if self.place != "-" or self._fd < 0:
            return False
        seen = os.fstat(self._fd)
        return os.environ.get("JOURNAL_STREAM") == f"{seen.st_dev}:{seen.st_ino}"

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
            open_sinks.discard(self)
            os.close(fd)

    def close(self) -> None:
        """Close it; later lines are dropped. May be called twice."""
        self._write, self._ready, self._identity = _swallow, None, None
        open_sinks.discard(self)
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


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    """Join lines up to PIECE bytes: more might block, though the pipe is ready."""
    piece = lines[0]
    for line in lines[1:]:
        if len(piece) + len(line) > PIECE:
            yield piece
            piece = line
        else:
            piece += line
    yield piece


def _ready_of(fd: int) -> Callable[[int], object]:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return poller.poll


def _open(path: str, more: int = 0) -> int:
    # Non-blocking in case the path is a FIFO: then a missing reader is an error at once, and a slow reader costs lines,
    # not time. Regular files ignore it.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags | more, MODE)


def _open_like(path: str, old: int) -> int:
    """Open a path again. If root makes the file, it gets the owner of `old`: workers of another user open it too."""
    if os.geteuid() == 0:
        with contextlib.suppress(FileExistsError):
            fd = _open(path, os.O_EXCL)
            with contextlib.suppress(OSError):  # on a file system without owners
                seen = os.fstat(old)
                os.fchown(fd, seen.st_uid, seen.st_gid)
            return fd
    return _open(path)


def _swallow(line: bytes) -> int:
    return len(line)
