"""natives: neither the runtime nor the server calls what it has put in place for others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest

import greenserve
import greenserve_hub
from greenserve_hub import unpatched as natives
from greenserve_hub.patching import monkey

# The program's own handlers, which are to be as its others are.
ALLOWED = {
    f"{file}: signal.{name}"
    for file in (
        "starting.py",
        "log_reopening.py",
        "unused_signals.py",
        "runserver.py",
    )  # as the app's handlers are
    for name in ("getsignal", "signal")
}
# They run in programs of their own, which nothing patches.
UNPATCHED = ("commands/screen.py", "process/reloading/watcher.py", "process/reloading/marks.py")


def functions() -> set[str]:
    """The dotted names of what is a function, and replaced. Classes stand in annotations, and below our own."""
    found = set()
    for module, names in monkey.replacements().items():
        for name in names:
            native = vars(__import__(module)).get(name)
            if isinstance(native, (FunctionType, BuiltinFunctionType)):
                found.add(f"{module}.{name}")
    return found


def uses(source: str) -> Iterator[str]:
    """The dotted names that a module takes from the standard library's own modules."""
    tree = ast.parse(source)
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases.update({one.asname or one.name: one.name for one in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{aliases.get(node.value.id, '')}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield f"builtins.{node.func.id}"


def test_what_is_patched_is_taken_from_natives():
    patched = functions()
    assert {"os.read", "select.poll", "time.sleep", "builtins.open", "fcntl.fcntl"} <= patched
    found = set()
    for package in (greenserve, greenserve_hub):
        for path in Path(package.__path__[0]).rglob("*.py"):
            if not path.as_posix().endswith(UNPATCHED):
                found |= {f"{path.name}: {name}" for name in patched.intersection(uses(path.read_text()))}
    assert found - ALLOWED == set(), "import it from greenserve_hub.unpatched"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import os\nos.read(1, 2)", "os.read"),
        ("import select as s\ndef f(): return s.poll()", "select.poll"),
        ("from time import sleep", "time.sleep"),
        ("with open(x) as y: pass", "builtins.open"),
    ],
)
def test_the_test_would_find(source: str, name: str):
    assert name in set(uses(source))


def test_they_are_copies():
    for name in natives.__all__:
        module = getattr(natives, name)
        if isinstance(module, ModuleType):
            assert module is not __import__(name)
