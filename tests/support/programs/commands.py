"""Python as a program of its own: the command, started, read from and signalled, or a script that runs to its end."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.times import PATIENCE

ROOT = Path(__file__).parents[3]


def run_python(
    *arguments: str | Path, folder: Path | None = None, typed: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """`python ...`, run to its end with this process's sys.path: what it printed and said, and its status."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


_LISTENS: Final = r"listening at https?://(.*):(\d+)$"


def _address(found: re.Match[str]) -> tuple[str, int]:
    return found[1].strip("[]"), int(found[2])


class Command:
    """A running program, whose lines on stderr are read as they come."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        pass_fds: tuple[int, ...] = (),
        limit: int = 0,
        program: str = sys.executable,
        checkout: bool = True,
    ) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GREENSERVE_")}
        env["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("server", "hub", "") if checkout)
        if "GREENSERVE_HUB" in os.environ:
            env["GREENSERVE_HUB"] = os.environ["GREENSERVE_HUB"]
        command = [program, *arguments]
        if limit:
            command = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, pattern: str) -> re.Match[str]:
        """The next line on stderr that `pattern` is found in."""
        limit = time.monotonic() + PATIENCE  # for all lines: a program may repeat an error for ever
        while (line := self._lines.get(timeout=max(0.0, limit - time.monotonic()))) is not None:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"ended without {pattern!r}: {self.said}")

    def listens(self) -> tuple[str, int]:
        """Wait until the server listens: the address that it says."""
        return _address(self.until(_LISTENS))

    def listens_and_watches(self) -> tuple[str, int]:
        """Wait for both, in either order, of a server with --reload: the address that it says."""
        said = [self.until(f"{_LISTENS}|files are watched") for _ in range(2)]
        return _address(next(found for found in said if found[1]))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end: the exit code, with all that was said in `said`."""
        code = self.process.wait(PATIENCE)
        self._reading.join(PATIENCE)
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.said.append(line)
        return code

    @property
    def text(self) -> str:
        return "".join(self.said)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reading.join(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@contextmanager
def command(*arguments: str, folder: Path, **options: Any) -> Iterator[Command]:
    """`python ...`, or another program, in `folder`; killed at the end if it still runs."""
    running = Command(*arguments, folder=folder, **options)
    try:
        yield running
    finally:
        running.close()
