"""A venv of its own for real programs: greenserve from this repository, and what a script asks for from PyPI."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


class Installed:
    """A venv in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.bin = self.python.parent

    def pip(self, *arguments: str) -> None:
        """Run pip; its output is shown only if it fails."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)

    def environ(self, **more: str) -> dict[str, str]:
        """Return an environment that knows nothing of this checkout."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GREENSERVE"))
        }
        return {**kept, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", **more}


@contextmanager
def installed(*requirements: str) -> Iterator[Installed]:
    """Make a venv with greenserve and `requirements`, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="migration") as folder:
        here = Installed(Path(folder))
        venv.create(here.folder / "venv", with_pip=True)
        here.pip("install", str(ROOT), *requirements)
        yield here
