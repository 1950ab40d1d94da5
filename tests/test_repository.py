"""What holds of the repository as a whole: its layers, its public names, its layout, the wheel it makes.

The layers are read from the imports with ast, at whatever depth they stand, so that no import can hide in a function.
Imports under TYPE_CHECKING are exempt, as they are gone at run time.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
import types
import zipfile
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[1]
SOURCES = {"greenserve": ROOT / "server", "greenserve_hub": ROOT / "hub"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Each may import those to its left, and itself.
LAYERS = ["http1 websocket", "wsgi", "net", "process"]
# Those on top of the layers, which no layer may import. Whatever else lies in greenserve is a leaf: settings, logs,
# errors. A leaf imports leaves alone.
TOPS = {"", "__main__", "attach", "cli", "embedding", "patched", "pytest_plugin"}
# What a sans-IO core may know: bytes, the errors, grammar and caches that the cores share, and nothing of the world.
# `proxies` is a core, and a leaf.
CORES = {"http1", "websocket", "proxies"}
CORES_MAY_IMPORT = {"errors", "grammar", "caches"}
WORLD = {
    *("socket", "ssl", "time", "os", "select", "selectors", "threading", "signal", "subprocess", "asyncio"),
    *("logging", "greenlet", "greenserve_hub", "datetime", "io", "tempfile", "pathlib"),
}


# The imports


@cache
def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for root in SOURCES.values():
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def import_statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif is_type_checking(child):
            for other in child.orelse:
                yield from import_statements(ast.Module([other], []))
        else:
            yield from import_statements(child)


def imports(name: str, source: str | None = None) -> set[str]:
    """The modules that `name` imports; of its own project the submodule, where a `from` names one."""
    path = modules()[name]
    found = set()
    for node in import_statements(ast.parse(source if source is not None else path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
            continue
        base = node.module or ""
        if node.level:
            package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
            base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            found.add(inner if inner in modules() else base)
    return found


def part(name: str) -> str | None:
    """The part of greenserve that a module belongs to, "" for the package itself; None for other packages."""
    top, _, rest = name.partition(".")
    return rest.split(".")[0] if top == "greenserve" else None


def wrong_arrows(name: str, imported: set[str]) -> list[str]:
    """What `name` imports against the layers."""
    mine = part(name)
    if mine is None:
        return [other for other in imported if part(other) is not None]
    if mine in TOPS:
        return []
    height = {one: index for index, layer in enumerate(LAYERS) for one in layer.split()}
    allowed = {one for one in height if mine in height and height[one] < height[mine]} | {mine}
    wrong = []
    for other in sorted(imported):
        to = part(other)
        if mine in CORES:
            good = to in CORES_MAY_IMPORT | {mine} if to is not None else other.split(".")[0] not in WORLD
        else:
            good = to is None or to in allowed or (to not in height and to not in TOPS)
        if not good:
            wrong.append(other)
    return wrong


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_follow_the_layers(name):
    assert not wrong_arrows(name, imports(name)), "process → net → wsgi → http1, websocket; server → hub"


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("greenserve.net", "from greenserve.process import single", ["greenserve.process.single"]),
        (
            "greenserve.wsgi",
            "def f():\n    from greenserve.net.serving.server import Server",
            ["greenserve.net.serving.server"],
        ),
        ("greenserve.wsgi", "import greenserve", ["greenserve"]),
        ("greenserve.errors", "from .http1 import x", ["greenserve.http1"]),
        ("greenserve.http1", "import time", ["time"]),
        ("greenserve.proxies", "import socket", ["socket"]),
        ("greenserve.proxies", "from greenserve.http1 import x", ["greenserve.http1"]),
        ("greenserve.config", "from greenserve.proxies import Trust", []),
        ("greenserve.http1", "from greenserve_hub import sleep", ["greenserve_hub"]),
        ("greenserve.http1", "from greenserve.config import Config", ["greenserve.config"]),
        ("greenserve_hub", "import greenserve.errors", ["greenserve.errors"]),
        ("greenserve.wsgi", "if TYPE_CHECKING:\n    import greenserve.net", []),
        ("greenserve.net", "from greenserve.wsgi import x\nfrom greenserve_hub import y\nimport os", []),
        ("greenserve.cli", "from greenserve.process import single", []),
    ],
)
def test_the_layer_test_would_find(name, source, wrong):
    assert wrong_arrows(name, imports(name, source)) == wrong


def test_no_module_imports_itself_in_a_circle():
    known = set(modules())
    graph = {name: (imports(name) & known) - {name} for name in known}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_the_hub_and_the_cores_log_nothing():
    quiet = [name for name in modules() if part(name) in CORES or part(name) is None]
    assert not [name for name in quiet if "logging" in imports(name)]


# The public names


def names_of(name: str) -> tuple[list[str] | None, set[str]]:
    """A module's `__all__` as it is at run time, and the names that it binds without an underscore."""
    module = importlib.import_module(name)
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


def test_the_changelog_knows_the_version():
    headings = re.findall(r"^## +(.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(PROJECT["version"] in heading for heading in headings)


def test_every_app_has_a_test_and_a_line_in_the_readme():
    apps = {p.stem for p in (ROOT / "apps").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    tested = {p.stem.removeprefix("test_") for p in (ROOT / "tests/apps").glob("test_*.py")}
    told = set(re.findall(r"^\| `(\w+)", (ROOT / "apps/README.md").read_text(), re.MULTILINE))
    assert apps == tested == told


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
    for tools in ("bench", "test", "fuzz", "lint"):
        extras.pop(tools)
    for requirements in extras.values():
        assert _names_of(requirements) <= _imported_by("server", "hub")
    # And none of what is imported comes along with something else by chance.
    ours = _names_of(PROJECT["dependencies"]) | {name for one in extras.values() for name in _names_of(one)}
    own = {"greenserve", "greenserve_hub", "pytest"}  # the plugin is pytest's to import
    assert _imported_by("server", "hub") <= sys.stdlib_module_names | ours | own


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    # hatchling in the tests' own environment: a build that needs no network.
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_both_packages_whole(wheel):
    names = set(wheel.namelist())
    for package, root in SOURCES.items():
        wanted = {str(path.relative_to(root)) for path in (root / package).rglob("*.py")}
        assert wanted | {f"{package}/py.typed"} <= names
    info = f"greenserve-{PROJECT['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {"greenserve", "greenserve_hub", info}
    assert f"{info}/licenses/LICENSE" in names


def test_the_wheel_brings_the_command_and_the_fixture(wheel):
    entry_points = wheel.read(f"greenserve-{PROJECT['version']}.dist-info/entry_points.txt").decode()
    assert "greenserve = greenserve.cli:main" in entry_points
    assert "greenserve = greenserve.pytest_plugin" in entry_points


def test_the_wheel_imports_alone(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = "import greenserve, greenserve_hub; print(greenserve.__file__, greenserve_hub.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.count(str(tmp_path)) == 2
