"""Durations, sizes and other plain values: from text to Python and back.

Every `parse_` takes text, from a flag or variable, or a number or bool, from a file or keyword, and raises ValueError
with the reason; every `format_` prints text that parses to the same value. They know no settings and no sources.

Invariant: parse(format(x)) == x, and parse(parse(x)) == parse(x).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

__all__ = [
    "format_bool",
    "format_duration",
    "format_fraction",
    "format_mode",
    "format_size",
    "is_off",
    "parse_bool",
    "parse_count",
    "parse_duration",
    "parse_fraction",
    "parse_mode",
    "parse_size",
]

# A year is longer than any useful deadline, and short enough for every poller's timeout.
LONGEST = 365 * 86400.0
# The pollers count in milliseconds: a shorter deadline would pass at once.
SHORTEST = 0.001
LARGEST = 1 << 40  # 1 TiB

_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_DURATION = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})\s*(ms|s|m|h|d)?", re.ASCII)

_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,20})\s*(?:([kmgt])(?:ib)?|b)?", re.ASCII | re.IGNORECASE)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def is_off(value: object) -> bool:
    """Return True if a value means disabled: off, 0, False or None."""
    if isinstance(value, str):
        return value.strip().lower() == "off"
    return value is None or value is False or (isinstance(value, (int, float)) and value == 0)


def parse_duration(value: object) -> float:
    """Return seconds for `30`, `30s`, `500ms`, `5m`, `1h`, `1d`; 0.0 for `off` or 0."""
    if is_off(value):
        return 0.0
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip().lower())
        if match is None:
            raise ValueError("not a duration")
        number = Decimal(match[1])
        if not number:
            return 0.0
        seconds = float(number * _SECONDS[match[2] or "s"])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(min(value, 2 * LONGEST))  # a huge int can't become a float
    else:
        raise ValueError("not a duration")
    if math.isnan(seconds) or not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"not between {format_duration(SHORTEST)} and {format_duration(LONGEST)}")
    return seconds


def format_duration(seconds: float) -> str:
    """Print seconds in the largest unit that holds them whole: `5m`, `75s`, `500ms`, `off`."""
    if seconds == 0:
        return "off"
    exact = Decimal(repr(seconds))  # the shortest decimal that is this float
    for unit in ("d", "h", "m", "s", "ms"):
        number = exact / _SECONDS[unit]
        if number == number.to_integral_value():
            return f"{number:.0f}{unit}"
    return f"{exact:f}s"


def parse_size(value: object) -> int:
    """Return bytes for `8190`, `16K`, `16MiB`, `1G` (powers of 1024); 0 for `off`."""
    if is_off(value):
        return 0
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError("not a size")
        size = int(match[1]) * _BYTES[(match[2] or "").lower()]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise ValueError("not a size")
    if not 0 <= size <= LARGEST:
        raise ValueError("not between 0 and 1T")
    return size


def format_size(size: int) -> str:
    """Print bytes in the largest unit that holds them whole: `16M`, `64K`, `8190`."""
    if size == 0:
        return "0"
    for unit in ("t", "g", "m", "k"):
        if size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit.upper()}"
    return str(size)


def parse_count(value: object) -> int:
    """Return a whole number that is not negative and fits a C int."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value.strip(), re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not a whole number")
    if not 0 <= value < 1 << 31:
        raise ValueError("not between 0 and 2147483647")
    return value


def parse_fraction(value: object) -> float:
    """Return a number from 0 to 1 for a number, or for text such as `0.1` and `10%`."""
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)( ?%)?", value.strip(), re.ASCII)
        if match is None:
            raise ValueError("not a part")
        value = float(match[1]) / (100 if match[2] else 1)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("not a part")
    if not 0 <= value <= 1:
        raise ValueError("not between 0 and 1")
    return round(float(value), 4)


def format_fraction(part: float) -> str:
    """Return a part as text."""
    return f"{part:.4f}".rstrip("0").rstrip(".")


def parse_bool(value: object) -> bool:
    """Return True for true, yes, on, 1 and False for false, no, off, 0."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("neither true nor false")


def format_bool(value: bool) -> str:
    """Print a bool in TOML's form."""
    return "true" if value else "false"


def parse_mode(value: object) -> int:
    """Return a file mode for octal text (`660`, `0660`, `0o660`) or an int between 0 and 0o777."""
    if isinstance(value, str):
        match = re.fullmatch(r"(?:0o)?([0-7]{1,4})", value.strip(), re.ASCII)
        if match is None:
            raise ValueError("not an octal mode")
        value = int(match[1], 8)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not an octal mode")
    if not 0 <= value <= 0o777:
        raise ValueError("not between 0000 and 0777")
    return value


def format_mode(mode: int) -> str:
    """Print a file mode as four octal digits."""
    return f"{mode:04o}"
