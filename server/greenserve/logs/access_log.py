"""The access log: one line for each request that was answered.

The server calls `log` once the answer is out, from the request's green thread. The standard `logging`
is not used here: it costs more than the rest of a small request's log line. What a line looks like
is access_format's business, where it goes is log_file's.

Invariant: log() raises nothing and never switches: a log can lose lines, not harm a request.
"""

from __future__ import annotations

from greenserve.config import Config
from greenserve.logs.atoms import Entry, Exchange
from greenserve.logs.error_log import error_log, open_log_file
from greenserve.logs.files import LogFile
from greenserve.logs.formats import Format, compile_format

__all__ = ["AccessLog", "Exchange", "open_access_log"]


class AccessLog:
    """An open access log."""

    def __init__(self, file: LogFile, write_line: Format) -> None:
        """Take where the lines go and the compiled format."""
        self._file = file
        self._line = write_line
        self._broken = 0

    def log(self, exchange: Exchange, began: float, seconds: float) -> None:
        """Write the line of an exchange that began at time.time() `began`. Raises nothing. Switches: never."""
        try:
            line = f"{self._line(Entry(exchange, began, seconds))}\n".encode("utf-8", "backslashreplace")
        except Exception:
            # Only what an app puts into environ can do this: an object whose str() fails.
            self._broken += 1
            if self._broken == 1:
                error_log.warning("access log: a line can't be formatted", exc_info=True)
            return
        self._file.write(line)

    @property
    def lost(self) -> int:
        """Lines that could not be written since it was opened."""
        return self._file.lost + self._broken

    def reopen(self) -> None:
        """Open the file anew, after logrotate moved it."""
        self._file.reopen()

    def close(self) -> None:
        """Close the file; later lines vanish. Safe to call twice."""
        self._file.close()


def open_access_log(config: Config) -> AccessLog | None:
    """Open the access log that the settings ask for: None for `off`, ConfigError where it can't be."""
    if config.access_logfile == "off":
        return None
    file = open_log_file(config.access_logfile, "access_logfile", "stdout", _warn)
    return AccessLog(file, compile_format(config.access_log_format))


def _warn(message: str) -> None:
    error_log.warning("access log: %s", message)
