"""Handover and Held: what the running program passes on by the environment when SIGUSR2 comes.

The program that is executed gets a Handover. The process that checks it before gets what is Held. Every command imports
this module, so it imports little.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

__all__ = ["HandedWorker", "Handover", "Held"]

_VARIABLE: Final = "_GREENSERVE_HANDOVER"
_TRIAL: Final = "_GREENSERVE_TRIAL"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class HandedWorker:
    """A worker of the program before."""

    pid: int
    number: int
    seat: int
    row: int  # 0: of a board before
    channel: int  # descriptor
    is_leaving: bool


@dataclass(frozen=True, slots=True)
class Handover:
    """All of it. Descriptors are inherited."""

    sockets: list[list[Any]]
    workers: list[HandedWorker]
    board: int
    pid_file: int  # -1 without one
    number: int  # of workers so far
    admin_file: list[Any] | None = None  # of the admin pages' unix socket: path and inode

    def put(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for the next program."""
        return {**environ, _VARIABLE: json.dumps({"version": _VERSION, "pid": os.getpid(), **asdict(self)})}

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Self | None:
        """Return what the program before has left in the environment, and remove it there; None for nothing."""
        text = environ.pop(_VARIABLE, None)
        if text is None:
            return None
        told = json.loads(text)
        if told.pop("version") != _VERSION or told.pop("pid") != os.getpid():
            return None  # it is for another process
        workers = [HandedWorker(**one) for one in told.pop("workers")]
        return cls(workers=workers, **told)


@dataclass(frozen=True, slots=True)
class Held:
    """What the running program holds: a process that checks the next one could not open it a second time."""

    addresses: list[str]
    pid_file: str
    admin_bind: str
    settings_only: bool  # the check reads the settings and imports nothing
    process: int  # of the running program; the check ends with it

    def put(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for the process that checks."""
        return {**environ, _TRIAL: json.dumps(asdict(self))}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self | None:
        """Return it in a process that only checks a start; else None."""
        text = environ.get(_TRIAL)
        return None if text is None else cls(**json.loads(text))
