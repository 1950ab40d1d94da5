"""get_errno and bytes_to_str: from the days when Python 2 and 3 differed; programs still import them."""

from __future__ import annotations

from typing import Any


def get_errno(error: BaseException) -> Any:
    """Return the errno of an error, else its first argument, else None."""
    number = getattr(error, "errno", None)
    return number if number is not None else next(iter(error.args), None)


def bytes_to_str(data: bytes, encoding: str = "ascii") -> str:
    """Decode."""
    return data.decode(encoding)


__all__ = ["bytes_to_str", "get_errno"]
