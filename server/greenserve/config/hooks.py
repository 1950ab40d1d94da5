"""The hooks: functions of the user that the server calls at certain moments, under gunicorn's names.

Says which there are and what each is called with, and checks a function before it is taken. A hook comes from a Python
file of settings (python_files.py) or from an installed package; hooks/ calls it. This module runs none.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from greenserve.errors import ConfigError

__all__ = ["HOOKS", "Hook", "check_hook", "closest_hook"]

# The parameters of each, as gunicorn has them. They are given by position: their names are free.
HOOKS = {
    "on_starting": ("server",),
    "when_ready": ("server",),
    "post_fork": ("server", "worker"),
    "worker_exit": ("server", "worker"),
    "pre_request": ("worker", "req"),
    "post_request": ("worker", "req", "environ", "resp"),
}


@dataclass(frozen=True, slots=True)
class Hook:
    """A function for one of HOOKS, and where it was found."""

    name: str
    call: Callable[..., object]
    origin: str


def check_hook(name: str, value: object, origin: str) -> Hook:
    """Return `value` as the hook `name`. Raises ConfigError if it can't be called as this hook is."""
    wanted = f"def {name}({', '.join(HOOKS[name])})"
    if not callable(value):
        raise ConfigError(f"{name} ({origin}) is a hook, and no {type(value).__name__}: write {wanted}")
    if kind := _kind_that_never_runs(value):
        raise ConfigError(f"{name} ({origin}) is {kind}: write {wanted}")
    try:
        inspect.signature(value).bind(*HOOKS[name])
    except TypeError as error:
        raise ConfigError(
            f"{name} ({origin}) can't be called as the hook is: {error}; write {wanted}"
        ) from None
    except ValueError:  # a function in C may not tell its parameters
        pass
    return Hook(name, value, origin)


def _kind_that_never_runs(value: object) -> str:
    """Return in words why a call would only make an object, which nobody runs; "" if a call runs it."""
    while isinstance(value, partial):
        value = value.func
    call = getattr(type(value), "__call__", None)  # noqa: B004
    for one in (value, call):
        if inspect.iscoroutinefunction(one):
            return "a coroutine function, which is never awaited"
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            return "a generator function, whose body never runs, since nobody iterates over it"
    return ""


def closest_hook(name: str) -> str:
    """Return the hook that `name` is a misspelling of, or ""."""
    close: list[Any] = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.8)
    return str(close[0]) if close else ""
