"""The access log: one line for each request that was answered.

The server calls `log` when the response is out or is about to be, from the request's green thread. The standard
`logging` is not used: it costs more than all else that a log line takes. formats.py makes a line, a Sink writes it.

Facts: a write is a system call, as dear as the line itself, and the response of the same turn would wait for it.
Decision: lines are kept until the next turn of the hub, and written together, behind the responses. Cost: a process
that is killed loses the lines of one turn, at most MOST of them.

Invariant: log() raises nothing and never switches. A log may lose lines; it must not harm a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenserve.logs.error_log import error_log, open_log_file
from greenserve.logs.files import Sink
from greenserve.logs.formats import Line, compile_line
from greenserve.logs.log_config import LOGGING, AccessLogger, access_logger
from greenserve.logs.record import REQUEST_ID, TRACE_ID, Finished, Record

__all__ = ["AccessLog", "open_access_log"]

MOST: Final = 256  # lines that are kept; more are written at once, in the middle of a turn


class AccessLog:
    """An open access log."""

    def __init__(
        self,
        file: Sink,
        write_line: Line,
        skip: Iterable[str] = (),
        call_soon: Callable[[Callable[[], object]], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`file` takes the lines, `write_line` makes them. Requests for the paths `skip` have none.

        `call_soon(fn)` calls `fn` behind the responses of the turn, to write what is kept; without it, lines are not
        kept. `clock` is the hub's.
        """
        self._file = file
        self._line = write_line
        self._skips = _Skips(skip) if skip else None
        self._call_soon = call_soon
        self._clock = clock
        self._began = -1.0  # of the latest request, by the hub's clock
        self._began_at = 0.0  # the same, of time.time(): the requests of a turn mostly share both
        self._kept: list[str] = []
        self._adds_ids = file.adds_head
        self._looks = self._adds_ids or self._skips is not None
        self._ids: list[dict[str, str]] = []  # of each line, for a sink that takes some
        self._broken = 0
        self._is_left = False

    def log(self, x: Finished, began: float) -> None:
        """Write the line of a finished exchange, soon; `began` by the clock. Raises nothing. Switches: never."""
        if self._is_left:
            return
        seconds = self._clock() - began
        if began != self._began:
            self._began, self._began_at = began, time.time() - seconds
        try:
            if self._looks:
                record = x.tell(Record, self._began_at, seconds)
                if self._skips is not None and self._skips.match(record):
                    return
            line = x.tell(self._line, self._began_at, seconds)
        except Exception:
            # Only a value that the app has put into environ can cause this: its str() fails, say.
            self._broken += 1
            if self._broken == 1:
                error_log.warning(
                    "access log: a line is lost: environ holds a value that can't be printed", exc_info=True
                )
            return
        if self._adds_ids:
            self._ids.append(_ids_of(record.environ))
        kept = self._kept
        kept.append(line)
        count = len(kept)
        if count == 1 or count >= MOST:
            if self._call_soon is None or count >= MOST:
                self.flush()
            else:
                self._call_soon(self.flush)

    def leave_behind(self) -> None:
        """For the child of a fork: the lines are the parent's to write. Switches: never."""
        self._is_left = True
        self._kept = []

    def flush(self) -> None:
        """Write the lines that are kept. Raises nothing. Switches: never."""
        if self._kept:
            text, self._kept = "\n".join([*self._kept, ""]), []
            ids, self._ids = self._ids, []
            # No line has a line end in it: formats.py allows no literal, and escape() leaves none.
            self._file.write_all(text.encode("utf-8", "backslashreplace").splitlines(True), ids)

    @property
    def lost(self) -> int:
        """The number of lines that were lost since the log was opened."""
        return self._file.lost + self._broken

    def reopen(self) -> None:
        """Open the file again, after logrotate has moved it. Lines that are kept go to the new one."""
        self._file.reopen()

    def close(self) -> None:
        """Write what is kept and close the file; later lines are dropped. May be called twice."""
        self.flush()
        self._call_soon = None
        self._file.close()


def _ids_of(environ: dict[str, Any] | None) -> dict[str, str]:
    known = {"REQUEST_ID": REQUEST_ID, "TRACE_ID": TRACE_ID}
    return {name: str(environ[key]) for name, key in known.items() if key in environ} if environ else {}


class _Skips:
    """Matches the paths whose requests have no line."""

    def __init__(self, paths: Iterable[str]) -> None:
        """`paths` as the setting access_log_skip has them."""
        self._exact = frozenset(path for path in paths if path[-1] != "*")
        self._beginnings = tuple(path[:-1] for path in paths if path[-1] == "*")

    def match(self, x: Record) -> bool:
        """Return True if the request is to be left out: a failure of the server or the app never is."""
        path = x.target.partition("?")[0]
        return x.status < 500 and (path in self._exact or path.startswith(self._beginnings))


def open_access_log(
    place: str,
    line_format: str,
    skip: Iterable[str] = (),
    call_soon: Callable[[Callable[[], object]], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AccessLog | None:
    """Open the access log at `place`, a path or `-` for stdout; None for `off`.

    `logging`, or `-` if the logger greenserve.access has handlers of its own: they get the lines.

    `line_format` as compile_line takes it, the rest as AccessLog. Raises ConfigError for a file that can't be opened.
    """
    if place == "off":
        return None
    file: Sink
    if place == LOGGING or (place == "-" and access_logger.handlers):
        file = AccessLogger()
    else:
        file = open_log_file(place, "access_logfile", "stdout", _warn)
    return AccessLog(file, compile_line(line_format), skip, call_soon, clock)


def _warn(message: str) -> None:
    error_log.warning("access log: %s", message)
