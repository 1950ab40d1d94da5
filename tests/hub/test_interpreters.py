"""interpreters: a Python without its GIL is told of, any other is not."""

from __future__ import annotations

import subprocess
import sys

from tests.support.programs.commands import ROOT
from tests.support.times import PATIENCE


def told_at_import(before: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{before}\nimport greenserve"],
        env={"PYTHONPATH": f"{ROOT}/hub:{ROOT}/server"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_python_with_its_gil_is_told_nothing() -> None:
    assert told_at_import("") == ""
    assert told_at_import("sys._is_gil_enabled = lambda: True") == ""


def test_a_python_without_its_gil_is_told_once_what_to_do() -> None:
    told = told_at_import("sys._is_gil_enabled = lambda: False")
    assert told.count("RuntimeWarning: greenserve needs the GIL") == 1
    assert "PYTHON_GIL=1" in told
