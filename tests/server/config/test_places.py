"""places: whose a file is."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

import greenserve
from greenserve.config.places import is_installed, is_standard


@pytest.mark.parametrize("path", [json.__file__, os.__file__])
def test_the_standard_library(path: str) -> None:
    assert is_standard(path)
    assert not is_installed(path)


@pytest.mark.skipif(not hasattr(math, "__file__"), reason="this Python has it built in")
def test_its_extensions_in_c() -> None:
    assert is_standard(math.__file__)


@pytest.mark.parametrize("path", [pytest.__file__, "/usr/lib/python3/dist-packages/flask/app.py"])
def test_an_installed_package(path: str) -> None:
    assert is_installed(path)
    assert not is_standard(path)


@pytest.mark.parametrize("path", [greenserve.__file__, "/srv/site-packages-of-ours/app.py", "app.py", ""])
def test_a_project(path: str, tmp_path: Path) -> None:
    assert not is_installed(path)
    assert not is_standard(path)
    assert not is_standard(str(tmp_path / "json" / "__init__.py"))
