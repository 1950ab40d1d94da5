"""Handover: what one program gives to the next in the same process (SIGUSR2): sockets, workers, the board.

Facts: exec(2) keeps the process id, the children, and the descriptors that are inheritable. So a pid file, systemd, a
container and a supervisor see no change. The workers of before serve on: their master is the same process. Decision:
the next program is tried first, as `--check-config`, and executed only if that succeeds. Cost: the check imports the
app once more, in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from greenserve_hub.unpatched import time

__all__ = ["HandedWorker", "Handover", "Trial", "is_trial"]

_VARIABLE: Final = "_GREENSERVE_HANDOVER"
_TRIAL: Final = "_GREENSERVE_TRIAL"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class HandedWorker:
    """A worker of the program before."""

    pid: int
    number: int
    seat: int
    row: int
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


def is_trial(environ: Mapping[str, str]) -> bool:
    """Return True if this program is to check its settings and app only."""
    return _TRIAL in environ


class Trial:
    """The next program in a process of its own, which checks its settings and imports its app, and ends."""

    def __init__(self, command: Sequence[str], folder: str, environ: Mapping[str, str], until: float) -> None:
        """`until` by time.monotonic(). Raises OSError."""
        self._until = until
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # outcome() closes it
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environ, _TRIAL: "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )

    def outcome(self) -> tuple[bool, str] | None:
        """Return None while it runs, then if it has succeeded and what it said."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() < self._until:
                return None
            self._process.kill()
            self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        self._said.close()
        return (
            code == 0,
            said if code is not None else f"it was not ready in time (worker_start_timeout) {said}",
        )
