"""The error log: the server's own messages, through the standard logger `greenserve.error`.

Everything in the server logs to `error_log`. Nothing is set up at import, so the program decides where an embedded
server's messages go. The command and `greenserve.run` open an ErrorLog, which sends them to `--error-logfile` with
time, pid and level, and restores the logger when it closes.

Invariant: only a record begins in the first column. Text after a newline is indented and control characters are
escaped, so a client's data can't look like a record.
"""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO, cast

from greenserve.errors import ConfigError
from greenserve.logs.files import LogFile
from greenserve.logs.times import local_time
from greenserve_hub.tracebacks import format_error
from greenserve_hub.unpatched import _thread

__all__ = ["ErrorLog", "error_log", "open_error_log", "open_log_file"]

error_log = logging.getLogger("greenserve.error")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_INDENT = "    "


class ErrorLog(logging.Handler):
    """The handler of `error_log` while a command runs. Use it in a `with`."""

    def __init__(self, file: LogFile, level: int) -> None:
        """Take over the logger: it writes to `file` alone, from `level` up."""
        super().__init__()
        self._file = file
        self._before = (error_log.level, error_log.propagate)
        error_log.setLevel(level)
        error_log.propagate = False
        error_log.addHandler(self)

    def createLock(self) -> None:
        """Make an OS lock: emit() never switches, and the hub, the watchdog and signal handlers can't wait green."""
        self.lock = _thread.RLock()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Raises nothing. Switches: never."""
        try:
            text = self.format(record)
        except Exception:  # a message that doesn't fit its arguments must not harm the code that logs it
            text = f"{_head(record)}{record.msg!r} {record.args!r}"
        self._file.write(f"{text}\n".encode("utf-8", "backslashreplace"))

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text: date, time, zone, [pid], level, message, and a traceback below."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + format_error(record.exc_info[1], record.exc_info[2])
        if record.stack_info:
            text += "\n" + record.stack_info
        if "\n" in text:
            text = text.rstrip("\n").replace("\n", "\n" + _INDENT)
        return _head(record) + _CONTROL.sub(_escaped, text)

    def text_stream(self) -> TextIO:
        """Return a text file that writes to the log's file, for wsgi.errors (PEP 3333). It raises nothing either."""
        return cast(TextIO, _TextStream(self._file))

    def reopen(self) -> None:
        """Open the file again, after logrotate has moved it."""
        self._file.reopen()

    def duplicate(self) -> int:
        """Return a descriptor of its own for the log's file, for C code that can't call emit()."""
        return self._file.duplicate()

    def close(self) -> None:
        """Restore the logger. May be called twice."""
        if self in error_log.handlers:
            error_log.removeHandler(self)
            level, error_log.propagate = self._before
            error_log.setLevel(level)
        self._file.close()
        super().close()

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class _TextStream(io.TextIOBase):
    """Writes text into a LogFile, each line when it is complete."""

    def __init__(self, file: LogFile) -> None:
        self._log = file
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        lines = (self._begun + text).splitlines(keepends=True)
        self._begun = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        for line in lines:
            self._log.write(line.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        if self._begun:
            self.write("\n")


def open_error_log(place: str, level: str) -> ErrorLog:
    """Send `greenserve.error` to `place`, a path or `-` for stderr, from `level` up (`info`).

    Raises ConfigError for a file that can't be opened.
    """
    file = open_log_file(place, "error_logfile", "stderr", _warn)
    return ErrorLog(file, logging.getLevelNamesMapping()[level.upper()])


def open_log_file(place: str, setting: str, stream: str, on_trouble: Callable[[str], None]) -> LogFile:
    """Open the file of a log. Raises ConfigError, which names the setting and the reason."""
    try:
        return LogFile(place, stream, on_trouble)
    except OSError as error:
        raise ConfigError(f"{setting} = {place!r}: can't be opened: {error.strerror}") from None


def _warn(message: str) -> None:
    # In the log itself: it can't say there that it loses lines, but when it works again it says how many.
    error_log.warning("error log: %s", message)


def _head(record: logging.LogRecord) -> str:
    now = local_time(record.created)
    return f"{now.date} {now.time} {now.zone} [{os.getpid()}] {record.levelname.lower()}: "


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
