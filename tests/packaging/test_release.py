"""What a release says of itself: one version, classifiers that there are, the versions that get fixes."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from greenserve.version import VERSION

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MINOR = VERSION.rpartition(".")[0]
PYTHONS = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]


def table_of(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table behind a heading, without its head."""
    text = (ROOT / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_classifiers_are_pypis_and_in_order():
    assert set(PROJECT["classifiers"]) <= classifiers
    assert len(set(PROJECT["classifiers"])) == len(PROJECT["classifiers"])
    topics = [one.partition(" :: ")[0] for one in PROJECT["classifiers"]]
    assert topics == sorted(topics)


def test_the_oldest_python_is_the_same_everywhere():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tools["mypy"]["python_version"] == PYTHONS[0]
    assert tools["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")
    assert f"CPython {PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / "README.md").read_text()


def test_the_version_stands_in_one_place():
    sources = [
        path for folder in ("server", "hub", "apps", "deploy") for path in (ROOT / folder).rglob("*.py")
    ]
    sources += [ROOT / "Dockerfile", ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / ".ci").iterdir()]
    assert len(sources) > 300
    named = [path for path in sources if re.search(rf"\b{re.escape(VERSION)}\b", path.read_text())]
    assert named == [ROOT / "server/greenserve/version.py"]


def test_the_changelog_begins_with_the_version():
    newest = re.findall(r"^## +(.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert re.fullmatch(rf"{re.escape(VERSION)}, (unreleased|\d{{4}}-\d\d-\d\d)", newest)


def test_security_names_the_versions_that_get_fixes():
    rows = dict(table_of("SECURITY.md", "Supported versions"))
    assert rows[f"{MINOR}.x"].startswith("yes")
    pythons = f"CPython {PYTHONS[0]} to {PYTHONS[-1]}"
    assert pythons in (ROOT / "SECURITY.md").read_text()


def test_the_checklist_names_files_and_commands_that_there_are():
    text = (ROOT / "RELEASING.md").read_text()
    links = re.findall(r"\]\(([\w./-]+)\)", text)
    assert {"CHANGELOG.md", "SECURITY.md", "server/greenserve/version.py"} <= set(links)
    assert all((ROOT / link).exists() for link in links)
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [
        line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")
    ]
    verbs = {line.split()[1] for line in lines if line.startswith("make ")}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{verb}:", makefile, re.MULTILINE) for verb in verbs)
    for line in lines:  # each is one that a shell can read
        assert subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0, line
