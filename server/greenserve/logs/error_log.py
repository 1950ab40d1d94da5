"""The error log: the server's own messages, through the standard logger `greenserve.error`.

Everything in the server logs to `error_log`. Nothing is set up at import, so the program decides where an embedded
server's messages go. The command and `greenserve.run` open an ErrorLog, which sends them to `--error-logfile` with
time, pid and level, and restores the logger when it closes. error_formats.py says how a record looks.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO, cast

from greenserve.errors import ConfigError
from greenserve.logs.datagrams import DatagramLog, parse_place
from greenserve.logs.error_formats import (
    RecordFormat,
    format_app_line,
    format_bare,
    format_json,
    text_format,
    wants_colours,
)
from greenserve.logs.files import LogFile, Sink
from greenserve.logs.log_config import LOGGING, Handlers, Relay
from greenserve.logs.request_ids import ids_of
from greenserve_hub.unpatched import _thread

__all__ = ["ErrorLog", "error_log", "open_error_log", "open_log_file"]

error_log = logging.getLogger("greenserve.error")


class ErrorLog(logging.Handler):
    """The handler of `error_log` while a command runs. Use it in a `with`."""

    def __init__(self, file: Sink, level: int, form: RecordFormat, handlers: Handlers | None = None) -> None:
        """Take over the logger: it writes to `file` alone, from `level` up, as `form` has it.

        With `handlers`, records go to these, and only wsgi.errors to `file`; a level that the logger has stays.
        """
        super().__init__()
        self._file = file
        self._form = form
        self._handlers = handlers
        self._relay = None if handlers is None else Relay(handlers.handle)
        self._before = (error_log.level, error_log.propagate)
        if handlers is None or error_log.level == logging.NOTSET:
            error_log.setLevel(level)
        error_log.propagate = False
        error_log.addHandler(self)

    def createLock(self) -> None:
        """Make an OS lock: emit() never switches, and the hub, the watchdog and signal handlers can't wait green."""
        self.lock = _thread.RLock()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Raises nothing. Switches: never."""
        if self._relay is not None:
            self._relay.put(record)
            return
        fields = None
        if self._file.adds_head:
            fields = {"LOGGER": record.name}
            known, trace_id = ids_of(record)
            if known:
                fields["REQUEST_ID"] = known
            if trace_id:
                fields["TRACE_ID"] = trace_id
        line = f"{self._form(record)}\n".encode("utf-8", "backslashreplace")
        self._file.write(line, record.levelno, fields)

    def text_stream(self) -> TextIO:
        """Return a text file that writes to the log's file, for wsgi.errors (PEP 3333). It raises nothing either.

        Text stands there as it is written; in a log of json each line is a record of the level `app`.
        """
        return cast(TextIO, _TextStream(self._file, self._form is format_json))

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
            if self._handlers is not None and self._relay is not None:
                self._relay.close()
                self._handlers.give_back()
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

    def __init__(self, file: Sink, is_json: bool) -> None:
        self._log = file
        self._is_json = is_json
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        lines = (self._begun + text).splitlines(keepends=True)
        self._begun = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        for line in lines:
            if self._is_json:
                line = f"{format_app_line(line.rstrip(chr(10)))}\n"
            self._log.write(line.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        if self._begun:
            self.write("\n")


def open_error_log(
    place: str, level: str, form: str = "text", colours: str = "auto", is_configured: bool = False
) -> ErrorLog:
    """Send `greenserve.error` to `place`, a path or `-` for stderr, from `level` up (`info`).

    `form` and `colours` as the settings error_log_format and log_color have them. `is_configured`: by log_config, so
    that handlers of the logger's own take the place of `-`. Raises ConfigError for a file that can't be opened.
    """
    handlers = None
    if place == LOGGING or (is_configured and place == "-" and error_log.handlers):
        place = "-"
        handlers = Handlers(error_log)
    file = open_log_file(place, "error_logfile", "stderr", _warn)
    number = logging.getLevelNamesMapping()[level.upper()]
    if handlers is not None:
        return ErrorLog(file, number, format_bare, handlers)
    if form == "json":
        return ErrorLog(file, number, format_json)
    if file.adds_head:
        return ErrorLog(file, number, format_bare)
    shows = wants_colours(colours, file.is_terminal, os.environ)
    return ErrorLog(file, number, text_format(colours=shows, priorities=not shows and file.is_journal))


def open_log_file(place: str, setting: str, stream: str, on_trouble: Callable[[str], None]) -> Sink:
    """Open a path, `-`, `syslog:…` or `journald`. Raises ConfigError, which names the setting and the reason."""
    try:
        to = parse_place(place)
        return LogFile(place, stream, on_trouble) if to is None else DatagramLog(to, place, on_trouble)
    except OSError as error:
        # The daemon may start later, or the name be found.
        raise ConfigError(
            f"{setting} = {place!r}: can't be opened: {error.strerror}",
            may_pass=parse_place(place) is not None and not isinstance(error, PermissionError),
        ) from None


def _warn(message: str) -> None:
    # In the log itself: it can't say there that it loses lines, but when it works again it says how many.
    error_log.warning("error log: %s", message)
