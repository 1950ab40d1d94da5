"""How a record of the error log looks: text, with colours on a terminal and priorities for the journal, or json.

Called by error_log.py. Writes nothing.

Invariant: a record is one line of json, or text of which only the beginning stands in the first column and control
characters are escaped, so a client's data can't look like a record.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping

from greenserve.logs.request_ids import ids_of, request_id, trace_id
from greenserve.logs.times import local_time, rfc3339
from greenserve_hub.tracebacks import format_error

__all__ = [
    "RecordFormat",
    "format_app_line",
    "format_bare",
    "format_json",
    "priority_of",
    "text_format",
    "wants_colours",
]

RecordFormat = Callable[[logging.LogRecord], str]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_INDENT = "    "
_COLOURS = {
    logging.DEBUG: "\x1b[2m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
_PLAIN = "\x1b[0m"
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def text_format(*, colours: bool = False, priorities: bool = False) -> RecordFormat:
    """Return the format: date, time, zone, [pid], level, the request's id, message, and a traceback below.

    `priorities`: each line begins with the priority that the journal takes from it (sd-daemon(3)).
    """

    def write(record: logging.LogRecord) -> str:
        now = local_time(record.created)
        level = record.levelname.lower()
        known = ids_of(record)[0]
        if colours and (colour := _COLOURS.get(record.levelno)):
            level = f"{colour}{level}{_PLAIN}"
        if known:
            level = f"{level} [{known}]"
        text = f"{now.date} {now.time} {now.zone} [{os.getpid()}] {level}: {format_bare(record)}"
        if priorities:
            start = f"<{priority_of(record.levelno)}>"
            text = start + text.replace("\n", "\n" + start)
        return text

    return write


def format_bare(record: logging.LogRecord) -> str:
    """Return the message and a traceback below, without what a daemon adds itself."""
    text = _message(record)
    if trace := _trace(record):
        text += "\n" + trace
    if "\n" in text:
        text = text.rstrip("\n").replace("\n", "\n" + _INDENT)
    return _CONTROL.sub(_escaped, text)


def format_json(record: logging.LogRecord) -> str:
    """Return one line of json."""
    known, trace = ids_of(record)
    optional = {"request_id": known, "trace_id": trace, "traceback": _trace(record)}
    return _encode(
        {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "message": _message(record),
            **{name: value for name, value in optional.items() if value},
        }
    )


def format_app_line(text: str) -> str:
    """Return one line of json for a line that an app has written to wsgi.errors; its level is `app`."""
    optional = {"request_id": request_id.get(), "trace_id": trace_id.get()}
    head = {"time": rfc3339(time.time()), "level": "app", "pid": os.getpid(), "message": text}
    return _encode(head | {name: value for name, value in optional.items() if value})


def priority_of(level: int) -> int:
    """Return the severity of syslog(3) for a level of the logging module."""
    return 2 if level >= 50 else 3 if level >= 40 else 4 if level >= 30 else 6 if level >= 20 else 7


def wants_colours(setting: str, is_terminal: bool, environ: Mapping[str, str]) -> bool:
    """Return True if a log gets colours. `setting`: auto, always or never (https://no-color.org, force-color.org)."""
    if setting != "auto":
        return setting == "always"
    if environ.get("NO_COLOR"):
        return False
    forced = environ.get("FORCE_COLOR", "")
    return forced not in ("", "0") or (is_terminal and environ.get("TERM") != "dumb" and forced != "0")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a message that doesn't fit its arguments must not harm the code that logs it
        return f"{record.msg!r} {record.args!r}"


def _trace(record: logging.LogRecord) -> str:
    text = ""
    if record.exc_info and record.exc_info[1] is not None:
        text = format_error(record.exc_info[1], record.exc_info[2])
    if record.stack_info:
        text += record.stack_info
    return text.rstrip("\n")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
