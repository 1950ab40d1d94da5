"""The server that is soaked: the real command in a process of its own, looked at from outside and by its backdoor."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.programs.commands import ROOT
from tests.support.times import PATIENCE

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK = b"from tests.soak.app import look; look(server)\n"
_LISTENING = re.compile(r"listening at http://127\.0\.0\.1:(\d+)")
_TROUBLE = re.compile(r"^\S+ \S+ \S+ \[\d+\] (?:warning|error|critical): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Held:
    """What the server's process holds at a moment."""

    seconds: float
    requests: int  # answered to well-behaved clients by then
    resident: int  # bytes
    descriptors: int
    green: int  # green threads that have begun and not ended, without workers at rest
    resting: int
    connections: int


class ServedApp:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, errors: Path) -> None:
        self.process = process
        self._door = str(folder / "door")
        self._errors = errors
        self._began = time.monotonic()
        limit = time.monotonic() + PATIENCE
        while (found := _LISTENING.search(self.said())) is None:
            if process.poll() is not None or time.monotonic() > limit:
                raise AssertionError(f"the server did not start: {self.said()}")
            time.sleep(0.02)
        self.address = ("127.0.0.1", int(found[1]))

    def said(self) -> str:
        return self._errors.read_text(errors="replace")

    def troubles(self) -> list[str]:
        """The first lines of the log's warnings and errors."""
        return _TROUBLE.findall(self.said())

    def look(self, requests: int = 0) -> Held:
        """Descriptors and memory are read while nobody is at the backdoor; it costs a connection itself."""
        process = Path(f"/proc/{self.process.pid}")
        descriptors = len(list((process / "fd").iterdir()))
        resident = int((process / "statm").read_text().split()[1]) * _PAGE
        _, inside = self._ask_inside(_LOOK)
        return Held(
            time.monotonic() - self._began,
            requests,
            resident,
            descriptors,
            inside["green"],
            inside["resting"],
            inside["connections"],
        )

    def stacks(self) -> str:
        """What every green thread is doing, for a failure's text."""
        return self._ask_inside(b"stacks(); print('LOOK', '{}')\n")[0]

    def _ask_inside(self, statement: bytes) -> tuple[str, dict[str, int]]:
        """All that the backdoor said, and what stands behind LOOK in it."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self._door)
            sock.sendall(statement)
            data = b""
            while not (found := re.search(rb"LOOK (\{.*\})\n", data)):
                more = sock.recv(65536)
                assert more, f"the backdoor said {data!r}"
                data += more
        return data.decode(errors="replace"), json.loads(found[1])


@contextmanager
def served(app: str, folder: Path, *flags: str) -> Iterator[ServedApp]:
    """`greenserve app` with `flags`; ended at the end."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GREENSERVE_")}
    env["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("server", "hub", ""))
    command = [sys.executable, "-m", "greenserve", app, "--bind", "127.0.0.1:0", "--access-logfile", "off"]
    errors = folder / "errors"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--backdoor", f"unix:{folder}/door", *flags],
            cwd=ROOT,
            env=env,
            stderr=file,
            stdout=file,
        )
    try:
        yield ServedApp(process, folder, errors)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def python(module: str, *arguments: Any) -> subprocess.Popen[bytes]:
    """`python -m module` beside the server."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("server", "hub", ""))}
    return subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, env=env)
