"""What a process sets for itself before it imports the app: variables and the umask."""

from __future__ import annotations

import os

from greenserve.config import Config

__all__ = ["set_environment"]


def set_environment(config: Config) -> None:
    """Set what the settings `env` and `umask` name."""
    for variable in config.env:
        name, _, value = variable.partition("=")
        os.environ[name] = value
    if config.umask:
        os.umask(int(config.umask, 8))
