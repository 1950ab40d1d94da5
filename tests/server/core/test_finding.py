"""core/__init__.py: which core is taken, and what is said of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_hub

_SAYS = "from greenserve.core import core, describe; print(core is None, describe())"


def _says(env: dict[str, str], before: str = "") -> str:
    path = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", before + _SAYS],
        env={**path, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_variable_does_without() -> None:
    assert _says({"GREENSERVE_PURE": "1"}) == "True pure Python, by GREENSERVE_PURE"


def test_there_is_none(tmp_path: Path) -> None:
    for package, root in (("greenserve", "server"), ("greenserve_hub", "hub")):
        source = Path(__file__).parents[3] / root / package
        shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    before = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    assert _says({}, before) == "True pure Python: installed without the compiled core"


@pytest.mark.parametrize(
    ("stand_in", "why"),
    [
        ("", "the compiled core is of another version, install greenserve again"),
        ("raise ImportError('no symbol x')", "the compiled core can't be loaded: no symbol x"),
    ],
)
def test_what_is_no_core_of_ours(stand_in: str, why: str, tmp_path: Path) -> None:
    """A build that an earlier version has left, say, or one for another C library."""
    (tmp_path / "_core.py").write_text(stand_in)
    before = f"import greenserve; greenserve.__path__.insert(0, {str(tmp_path)!r}); "
    assert _says({"GREENSERVE_PURE": "0"}, before) == f"True pure Python: {why}"
