"""The table of attacks in server/README.md: its defaults are the registry's, and each row names its tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from greenserve.config import SETTINGS

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
HEADER = "| attack | setting | default | what happens | test |"


class Row(NamedTuple):
    attack: str
    setting: str
    default: str
    outcome: str
    test: str


def _rows() -> list[Row]:
    text = (ROOT / "server" / "README.md").read_text(encoding="utf-8")
    table = text.partition("<!-- attacks:begin -->")[2].partition("<!-- attacks:end -->")[0].strip()
    header, _, *lines = table.splitlines()
    assert header == HEADER
    rows: list[Row] = []
    for line in lines:
        row = Row(*(cell.strip() for cell in line.strip("|").split("|")))
        if row.attack:
            rows.append(row)
        else:  # the one above goes on
            assert (row.setting, row.default, row.outcome) == ("", "", "")
            rows[-1] = rows[-1]._replace(test=f"{rows[-1].test} {row.test}")
    return rows


ROWS = _rows()


def _tests_of(file: Path) -> set[str]:
    """`test_x` and `TestX::test_y` of one module."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.update(f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))
    return found


def test_there_is_a_table() -> None:
    assert len(ROWS) > 30
    assert len({row.attack for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.attack)
def test_each_row_has_its_tests(row: Row) -> None:
    named = re.findall(r"`([^`]+)`", row.test)
    assert named
    for name in named:
        file, _, test = name.partition("::")
        assert test.rpartition("::")[2].startswith("test_")
        assert test in _tests_of(TESTS / file), f"{name} is no test"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.attack)
def test_each_row_says_the_defaults(row: Row) -> None:
    flags = re.findall(r"`--([a-z-]+)`", row.setting)
    settings = [SETTINGS[flag.replace("-", "_")] for flag in flags]
    assert row.default == (", ".join(s.kind.format(s.default) for s in settings) or "always")
    assert row.outcome
