"""Plan: what a server with workers is to serve, and with which settings; read again at each reload."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from greenserve.config import SETTINGS, Config
from greenserve.errors import ConfigError
from greenserve.hooks import Hooks
from greenserve.loading.loader import enter_folder
from greenserve.wsgi import WSGIApplication

__all__ = [
    "Plan",
    "command_of_this_program",
    "logical_folder",
    "needs_master",
    "number_of_workers",
    "reenter",
    "tell_what_waits",
]

log = logging.getLogger("greenserve.error")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the master gets from the command, or from a program that calls run()."""

    config: Config
    load: Callable[[], WSGIApplication]  # in the worker: enter its folder, patch, import the app
    # Read all sources of settings again; None for a program that calls run(), which is their only source.
    reread: Callable[[], Plan] | None
    preloaded: bool  # the app is imported already; a reload of workers does not import it again
    name: str  # of the app, for titles
    command: tuple[str, ...] | None  # to execute this program again; None if that is not known
    has_code: bool  # the settings are Python, which may do anything when they are read again
    folder: str  # the working folder at the start, by the name that it had
    hooks: Hooks = field(default_factory=Hooks)

    def enter_folder(self) -> None:
        """Enter the folders of the start again: their names may stand for others now. Raises ConfigError."""
        reenter(self.folder)
        enter_folder(self.config.chdir)


# The master takes these once, at its start.
_AT_START = (
    *(
        "error_logfile",
        "error_log_format",
        "log_level",
        "log_config",
        "pid",
        "daemon",
        "preload",
        "worker_sockets",
    ),
    *("admin_bind", "admin_open_metrics"),
)


def tell_what_waits(before: Config, after: Config) -> None:
    """Log which changed settings a reload does not carry out."""
    for name in _AT_START:
        if (new := getattr(after, name)) != getattr(before, name):
            log.warning("%s = %s takes effect at SIGUSR2 or a restart", name, SETTINGS[name].kind.format(new))


def reenter(folder: str) -> None:
    """Enter a folder that was the working folder at the start. Raises ConfigError."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise ConfigError(f"the working folder {folder} is gone: {error.strerror}") from None


def logical_folder() -> str:
    """Return the working folder by the name that the shell has for it: a link to the current release, say."""
    named = os.environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    return os.getcwd()


def command_of_this_program() -> tuple[str, ...]:
    """Return the command that has started this process, to execute it again."""
    return (sys.executable, *sys.orig_argv[1:])


def needs_master(config: Config) -> bool:
    """Return True if the settings ask for what only a master can do."""
    return (
        config.workers != 1
        or config.master
        or config.preload
        or config.reload
        or bool(config.max_requests or config.max_lifetime or config.max_rss)
        or bool(config.user or config.group)
    )


def number_of_workers(config: Config, cpus: Callable[[], int]) -> int:
    """Return the number of workers; `auto` is one for each CPU."""
    return config.workers or cpus()
