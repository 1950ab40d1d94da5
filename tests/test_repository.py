"""What holds of the repository as a whole: its public names, its layout, its dependencies. See test_house.py too."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import tomllib
import types
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[1]
SOURCES = {
    "greenserve": ROOT / "server",
    "greenserve_eventlet": ROOT / "server",
    "greenserve_hub": ROOT / "hub",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@cache
def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for root in SOURCES.values():
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


# The public names


def names_of(name: str) -> tuple[list[str] | None, set[str]]:
    """A module's `__all__` as it is at run time, and the names that it binds without an underscore."""
    module = importlib.import_module(name)
    for key in getattr(module, "__all__", ()):
        getattr(module, key, None)  # binds a name that is imported when it is first asked for
    own = {key for key, value in vars(module).items() if key[0] != "_" and not inspect.ismodule(value)}
    return getattr(module, "__all__", None), own


@pytest.mark.parametrize("name", sorted(n for n, p in modules().items() if "__all__" in p.read_text()))
def test_every_name_in_all_exists_once(name):
    exported, _ = names_of(name)
    assert exported is not None
    assert len(exported) == len(set(exported))
    missing = [one for one in exported if not hasattr(importlib.import_module(name), one)]
    assert not missing


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_public_name_is_in_all(name):
    exported, own = names_of(name)
    assert own - {"annotations"} == set(exported or ()) - {"__version__"}


def test_greenserve_gives_the_runtime_too():
    server, hub = importlib.import_module("greenserve"), importlib.import_module("greenserve_hub")
    assert set(hub.__all__) <= set(server.__all__)
    # eventlet has both: eventlet.serve takes a handler of sockets, greenserve's an app. The hub's stays in its own
    # package.
    different = {one for one in hub.__all__ if getattr(server, one) is not getattr(hub, one)}
    assert different <= {"serve"}
    assert isinstance(server.serve, types.FunctionType)
    assert server.serve.__module__ == "greenserve.embedding"


# The layout


@pytest.mark.parametrize("package", sorted(SOURCES))
def test_the_packages_are_typed_and_their_roots_are_no_packages(package):
    assert (SOURCES[package] / package / "py.typed").is_file()
    assert not (SOURCES[package] / "__init__.py").exists(), (
        "import server would shadow a user's own server.py"
    )


def test_no_file_knows_everything():
    long = {name: n for name, path in modules().items() if (n := len(path.read_text().splitlines())) > 400}
    assert not long, "split by reason to change"


def test_nothing_is_left_for_later():
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME")) + r")\b")
    folders = [*SOURCES.values(), ROOT / "apps", ROOT / "tests", ROOT / "deploy"]
    texts = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in {".py", ".md", ".js", ".sh"}
    ]
    assert len(texts) > 50
    assert not [str(path.relative_to(ROOT)) for path in texts if marks.search(path.read_text())]


def test_every_module_says_what_it_is():
    silent = [name for name, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def _apps() -> dict[str, Path]:
    """Each app, a file or a package, by its path in apps/; a folder that is no package holds apps of one topic."""
    top = ROOT / "apps"
    packages = {path.parent for path in top.rglob("__init__.py")}
    files = {path for path in top.rglob("*.py") if not packages & set(path.parents)}
    roots = {path for path in packages if not packages & set(path.parents)}
    return {str(path.relative_to(top).with_suffix("")): path for path in files | roots}


def test_every_app_has_a_test_and_a_line_in_the_readme():
    tests = ROOT / "tests/apps"
    apps = set(_apps())
    tested = {
        str(path.relative_to(tests).with_name(path.stem.removeprefix("test_")))
        for path in tests.rglob("test_*.py")
        if path.parent.name != "browsers"  # what two tests of one app share
    }
    table, reasons = (ROOT / "apps/README.md").read_text().split("## When to use which")
    name = r"`([\w/]+?)(?:/|\.py)?`"
    told = set(re.findall(rf"^\| {name}", table, re.MULTILINE))
    explained = {
        one for title in re.findall(r"^\*\*.*?\*\*", reasons, re.MULTILINE) for one in re.findall(name, title)
    }
    assert apps == tested == told == explained


def test_an_app_that_is_one_file_is_at_most_a_page():
    lines = {name: len(path.read_text().splitlines()) for name, path in _apps().items() if path.is_file()}
    assert not {name: count for name, count in lines.items() if count > 125}


def test_every_folder_of_deploy_has_a_readme_and_a_test():
    folders = {path.name for path in (ROOT / "deploy").iterdir() if path.is_dir()}
    assert folders
    for folder in folders:
        assert (ROOT / "deploy" / folder / "README.md").is_file()
        assert (ROOT / f"tests/deploy/test_{folder}.py").is_file()


def test_the_verbs_are_in_the_makefile_and_ci_calls_them():
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".ci/run").read_text()
    for verb in ("run", "test", "lint", "bench"):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
    assert " lint " in ci
    assert " test " in ci
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_licence_is_what_the_project_says():
    assert PROJECT["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_every_hard_dependency_has_its_reason():
    table = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", table, re.MULTILINE | re.DOTALL)[1].splitlines()
    assert len(listed) == len(PROJECT["dependencies"])
    assert all(re.search(r'",\s+# \w+', line) for line in listed)


def _names_of(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", one)[0].lower() for one in requirements}


def _imported_by(*folders: str) -> set[str]:
    """The first names of all imports, wherever they stand."""
    found = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found


def test_every_dependency_is_one_of_code_that_there_is():
    assert _names_of(PROJECT["dependencies"]) <= _imported_by("server", "hub")
    extras = dict(PROJECT["optional-dependencies"])
    assert _names_of(extras.pop("demo")) <= _imported_by("apps")
    for tools in ("bench", "test", "fuzz", "docs", "lint"):
        extras.pop(tools)
    for requirements in extras.values():
        assert _names_of(requirements) <= _imported_by("server", "hub")
    # And none of what is imported comes along with something else by chance.
    ours = _names_of(PROJECT["dependencies"]) | {name for one in extras.values() for name in _names_of(one)}
    own = set(SOURCES)
    own |= {"pytest", "bottle", "django"}  # what is for them is imported by them, or beside them
    assert _imported_by("server", "hub") <= sys.stdlib_module_names | ours | own
