"""The access log: one line for each request that was answered.

The server calls `log` when the response is out, from the request's green thread. The standard `logging` is not used: it
costs more than all else that a log line takes. formats.py makes a line, files.py writes it.

Invariant: log() raises nothing and never switches. A log may lose lines; it must not harm a request.
"""

from __future__ import annotations

from greenserve.logs.error_log import error_log, open_log_file
from greenserve.logs.files import LogFile
from greenserve.logs.formats import Format, compile_format
from greenserve.logs.record import Finished

__all__ = ["AccessLog", "open_access_log"]


class AccessLog:
    """An open access log."""

    def __init__(self, file: LogFile, write_line: Format) -> None:
        """`file` takes the lines, `write_line` makes them."""
        self._file = file
        self._line = write_line
        self._broken = 0

    def log(self, x: Finished, began: float, seconds: float) -> None:
        """Write the line of a finished exchange; times as in its record. Raises nothing. Switches: never."""
        try:
            line = f"{self._line(x.record(began, seconds))}\n".encode("utf-8", "backslashreplace")
        except Exception:
            # Only a value that the app has put into environ can cause this: its str() fails, say.
            self._broken += 1
            if self._broken == 1:
                error_log.warning(
                    "access log: a line is lost: environ holds a value that can't be printed", exc_info=True
                )
            return
        self._file.write(line)

    @property
    def lost(self) -> int:
        """The number of lines that were lost since the log was opened."""
        return self._file.lost + self._broken

    def reopen(self) -> None:
        """Open the file again, after logrotate has moved it."""
        self._file.reopen()

    def close(self) -> None:
        """Close the file; later lines are dropped. May be called twice."""
        self._file.close()


def open_access_log(place: str, line_format: str) -> AccessLog | None:
    """Open the access log at `place`, a path or `-` for stdout; None for `off`.

    `line_format` as compile_format takes it. Raises ConfigError for a file that can't be opened.
    """
    if place == "off":
        return None
    file = open_log_file(place, "access_logfile", "stdout", _warn)
    return AccessLog(file, compile_format(line_format))


def _warn(message: str) -> None:
    error_log.warning("access log: %s", message)
