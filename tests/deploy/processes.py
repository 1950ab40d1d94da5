"""The greenserve command in a process of its own, and what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.times import PATIENCE

ROOT = Path(__file__).parents[2]
GREENSERVE = [sys.executable, "-m", "greenserve"]


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Starts `command`; gives the process and the URL that it prints. It is killed when the block ends."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **options.pop("env", {})}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    try:
        yield process, read_url(process)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def read_url(process: subprocess.Popen[str]) -> str:
    """The address in the lines of the start."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if found := re.search(r"http://[\d.]+:\d+", line):
            return found[0]
    raise AssertionError(f"ended before it listened:\n{said}")
