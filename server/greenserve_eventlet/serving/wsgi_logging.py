"""Where wsgi.server logs: a logging.Logger, or a file that gets the lines."""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from typing import Any

from greenserve.logs.record import Record

__all__ = ["LoggerFileWrapper", "LoggerNull", "get_logger", "values_of"]


class LoggerNull:
    """Takes all messages and keeps none: log_output=False."""

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """See logging.Logger."""

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """See logging.Logger."""

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """See logging.Logger."""

    def write(self, msg: str, *args: Any) -> None:
        """Take a line."""


class LoggerFileWrapper(LoggerNull):
    """Writes lines into a file; those for debugging if it is asked to."""

    def __init__(self, log: Any, debug: object) -> None:
        """`log` has write()."""
        self.log = log
        self._debug = debug

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """See logging.Logger."""
        self.write(msg, *args)

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """See logging.Logger."""
        self.write(msg, *args)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """See logging.Logger."""
        if self._debug:
            self.write(msg, *args)

    def write(self, msg: str, *args: Any) -> None:
        """Write a line."""
        self.log.write(f"{msg % args if args else msg}\n")


def get_logger(log: Any, debug: object) -> Any:
    """Return `log` if it is a logger, else one that writes into it, or into sys.stderr."""
    if callable(getattr(log, "info", None)) and callable(getattr(log, "debug", None)):
        return log
    return LoggerFileWrapper(log or sys.stderr, debug)


def values_of(record: Record, with_forwarded: bool) -> dict[str, Any]:
    """Return what log_format may name; `with_forwarded`: the client's address behind those in X-Forwarded-For."""
    host = record.peer or "unix"
    if with_forwarded and record.environ is not None:
        forwarded = str(record.environ.get("HTTP_X_FORWARDED_FOR") or "").replace(" ", "")
        host = f"{forwarded},{host}" if forwarded else host
    return {
        "client_ip": host,
        "client_port": record.peer_port,
        "date_time": _date(int(time.time())),
        "request_line": f"{record.method} {record.target} {record.version}",
        "status_code": record.status,
        "body_length": record.bytes_sent,
        "wall_seconds": record.seconds,
    }


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return time.strftime("%d/%b/%Y %H:%M:%S", time.localtime(second))
