"""What a process sets for itself before it imports the app, by the settings `env` and `umask`.

What was there before is remembered, for a worker with other settings and for the next program (SIGUSR2). The invariant:
what other code, a hook say, has put in its place since, stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from greenserve.config import Config

__all__ = ["set_environment", "without_settings"]

_variables: dict[str, tuple[str | None, str]] = {}  # the value before, and the one that is set
_umasks: list[tuple[int, int]] = []  # the same, once


def set_environment(config: Config) -> None:
    """Set what the settings `env` and `umask` name, in place of what was set before by them."""
    _restore()
    for variable in config.env:
        name, _, value = variable.partition("=")
        before = _variables[name][0] if name in _variables else os.environ.get(name)
        _variables[name] = before, value
        os.environ[name] = value
    if config.umask:
        umask = int(config.umask, 8)
        _umasks.append((os.umask(umask), umask))


@contextmanager
def without_settings(config: Config) -> Iterator[None]:
    """Have what was there before in the block, which starts another program, and what `config` names after it."""
    _restore()
    try:
        yield
    finally:
        set_environment(config)


def _restore() -> None:
    while _variables:
        name, (before, value) = _variables.popitem()
        if os.environ.get(name) != value:
            continue
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    while _umasks:
        before_it, umask = _umasks.pop()
        if (now := os.umask(before_it)) != umask:
            os.umask(now)
