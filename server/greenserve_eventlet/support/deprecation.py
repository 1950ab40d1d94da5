"""wrap_deprecated: marks an old name for a function or a class."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any


def wrap_deprecated(old: str, new: str) -> Callable[[Any], Any]:
    """Return a decorator: a call of the result warns that `old` is now `new`. A class stays a class."""
    old, new = (name if "." in name else f"eventlet.{name}" for name in (old, new))

    def wrap(fn: Any) -> Any:
        is_class = isinstance(fn, type)
        made_by = fn.__init__ if is_class else fn

        @wraps(made_by)
        def warn(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(f"{old} is deprecated: use {new}", DeprecationWarning, stacklevel=2)
            return made_by(*args, **kwargs)

        if not is_class:
            return warn
        # Programs catch it and subclass it, so it has to be a class.
        return type(fn.__name__, (fn,), {"__init__": warn, "__module__": fn.__module__})

    return wrap


__all__ = ["wrap_deprecated"]
