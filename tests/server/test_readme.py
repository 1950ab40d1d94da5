"""What the READMEs of the server draw and name is what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.support.protocols.diagrams import DRAWINGS, ROOT, readme_of, with_drawing

pytestmark = pytest.mark.repository

PACKAGE = ROOT / "server" / "greenserve"


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_drawn_machines_are_those_of_the_code(name):
    text = readme_of(name).read_text()
    assert with_drawing(name, text) == text, "run: python -m tests.support.protocols.diagrams"


def _defined_in(path: Path) -> set[str]:
    """`function`, `Class` and `Class.method` of one module."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))
    return found


def test_what_the_net_decides_is_where_its_readme_says():
    text = (PACKAGE / "net" / "README.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| ([^|]*\.py[^|]*) \| ([^|]+) \|$", text, re.MULTILINE)
    assert len(rows) > 20
    for files, functions in rows:
        names = re.findall(r"`([^`]+)`", files)
        paths = [
            next(path for path in (PACKAGE / "net" / name, PACKAGE / name) if path.exists()) for name in names
        ]
        defined = set().union(*map(_defined_in, paths))
        assert not set(re.findall(r"`([^`]+)`", functions)) - defined, files
