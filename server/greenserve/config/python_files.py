"""A Python file of settings and hooks: greenserve_conf.py, or the one that --config names.

Runs the file and reads what is left at its top level. Called by sources.py. The invariants: an error names the file and
the line; and no setting is passed over in silence, while the file may use names of its own.

A name is a setting or a hook of that name. Any other that the file sets and never reads can only be meant as a setting,
so it is refused, and so is gunicorn's name for a setting. What else is left alone: names that are read or begin with _,
imports, classes, functions.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from greenserve.config.foreign import advice
from greenserve.config.hooks import HOOKS, Hook, check_hook, closest_hook
from greenserve.config.places import is_installed, is_standard
from greenserve.config.settings import SETTINGS
from greenserve.config.unknown_names import closest
from greenserve.config.values.registry import Given
from greenserve.errors import ConfigError
from greenserve_hub.tracebacks import format_error

__all__ = ["PYTHON_FILE", "PythonFile", "find_python", "is_python", "read_python"]

PYTHON_FILE = "greenserve_conf.py"
_MODULE = "greenserve_conf"
_PREFIXES = ("file:", "python:")  # gunicorn's and hypercorn's
_EARLY = ("monkey_patch", "hub")
_ALIASES = {
    alias.lstrip("-").replace("-", "_"): name for name, entry in SETTINGS.items() for alias in entry.aliases
}

_imported: set[str] = set()  # modules of the project that the file has imported when it was run last


@dataclass(frozen=True, slots=True)
class PythonFile:
    """What a file has set: settings, `app` among them, and hooks."""

    settings: dict[str, Given]
    hooks: tuple[Hook, ...]


def is_python(named: str) -> bool:
    """Return True if what --config names is a Python file."""
    return named.endswith(".py") or named.startswith(_PREFIXES)


def find_python(folder: Path, named: str | None) -> Path | None:
    """Return the path of the Python file that is named, or else lies in `folder`; None without one."""
    if named is None:
        path = folder / PYTHON_FILE
        return path if path.is_file() else None
    if named.startswith("python:"):
        raise ConfigError(f"--config {named}: give the path of the module's file")
    path = folder / named.removeprefix("file:")
    if not path.is_file():
        raise ConfigError(f"--config {named}: no such file")
    return path


def read_python(path: Path, prepare: Callable[[dict[str, Given]], None]) -> PythonFile:
    """Run the file and return what it sets. Raises ConfigError.

    `prepare` is called right before, with the values of `hub` and `monkey_patch` that the file's text gives: the
    process is patched before a library is imported, and such a file may import one.
    """
    shown = str(path)
    tree = _parse(path, shown)
    names = _Names(tree)
    early = {
        name: Given(value, f"{shown}:{names.lines[name]}: {name}")
        for name, value in _literals(tree)
        if name in _EARLY
    }
    prepare(early)
    module = _run(tree, path, shown)
    settings: dict[str, Given] = {}
    hooks: list[Hook] = []
    for name, value in vars(module).items():
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        line = names.lines.get(name)
        where = shown if line is None else f"{shown}:{line}"
        if name in HOOKS:
            hooks.append(check_hook(name, value, where))
        elif name in SETTINGS or name == "app":
            settings[name] = Given(value, f"{where}: {name}")
        else:
            names.check(name, value, where)
    for name in _EARLY:
        if name in settings and (name not in early or early[name].value != settings[name].value):
            raise ConfigError(
                f"{settings[name].origin} must be set once, at the top level, to a plain value: it is needed before "
                "the file runs"
            )
    return PythonFile(settings, tuple(hooks))


def _parse(path: Path, shown: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror}") from None
    except SyntaxError as error:
        details = format_error(error, None)
        raise ConfigError(f"{shown}:{error.lineno or 1}: {error.msg}", details=details) from None
    except ValueError as error:  # a NUL
        raise ConfigError(f"{shown}: not Python: {error}") from None


def _run(tree: ast.Module, path: Path, shown: str) -> ModuleType:
    filename = str(path.absolute())
    spec = spec_from_file_location(_MODULE, filename, loader=SourceFileLoader(_MODULE, filename))
    assert spec is not None
    module = module_from_spec(spec)  # with a loader: Python 3.15 warns without one when it shows a traceback
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # as for the app
    for name in _imported:  # a reload reads them again, and workers that are forked then have them anew
        sys.modules.pop(name, None)
    before = set(sys.modules)
    sys.modules[_MODULE] = module  # dataclasses and pickle look it up there
    try:
        exec(compile(tree, filename, "exec", dont_inherit=True), vars(module))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        del sys.modules[_MODULE]
        frame, line = error.__traceback__, 0
        while frame is not None and frame.tb_frame.f_code.co_filename != filename:
            frame = frame.tb_next
        trace = frame
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == filename:
                line = frame.tb_lineno
            frame = frame.tb_next
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{shown}:{line}: {what}", details=format_error(error, trace)) from None
    _imported.clear()
    _imported.update(name for name in sys.modules.keys() - before if _is_own(sys.modules[name]))
    return module


def _is_own(module: ModuleType | None) -> bool:
    """Return True for a module of the user's project: neither installed nor of the standard library."""
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and not (is_installed(path) or is_standard(path))


class _Names:
    """Where a file's top level binds its names, and which it reads."""

    def __init__(self, tree: ast.Module) -> None:
        self.lines: dict[str, int] = {}
        self._set: set[str] = set()
        self._read = {
            one.id
            for one in ast.walk(tree)
            if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Store)
        }
        for one in _top_level(tree):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                self.lines[one.id] = one.lineno
            elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.lines[one.name] = one.lineno
            elif isinstance(one, ast.alias):
                self.lines[one.asname or one.name.partition(".")[0]] = one.lineno
            elif isinstance(one, ast.Assign | ast.AnnAssign):
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                self._set |= {
                    name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
                }

    def check(self, name: str, value: object, where: str) -> None:
        """Raise ConfigError if `name`, which is neither a setting nor a hook, was meant as one."""
        if isinstance(value, FunctionType):
            if name not in self._read and (end := _unknown_hook(name)):
                raise ConfigError(f"unknown hook {name} ({where}){end}; the hooks are {', '.join(HOOKS)}")
        elif name in self._set and (name not in self._read or name in _ALIASES):
            end = f"; named {_ALIASES[name]} here" if name in _ALIASES else closest(name, SETTINGS)
            raise ConfigError(f"unknown setting {name} ({where}){end}")


def _unknown_hook(name: str) -> str:
    if helpful := advice(name, str):
        return f": {helpful}"
    close = closest_hook(name)
    return f": did you mean {close}?" if close else ""


def _top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes outside the bodies of functions, classes and comprehensions."""
    for one in ast.iter_child_nodes(tree):
        yield one
        if not isinstance(
            one,
            ast.FunctionDef
            | ast.AsyncFunctionDef
            | ast.ClassDef
            | ast.Lambda
            | ast.ListComp
            | ast.SetComp
            | ast.DictComp
            | ast.GeneratorExp,
        ):
            yield from _top_level(one)


def _literals(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """The names that the top level sets to plain values."""
    for one in tree.body:
        if isinstance(one, ast.Assign) and len(one.targets) == 1 and isinstance(one.targets[0], ast.Name):
            try:
                yield one.targets[0].id, ast.literal_eval(one.value)
            except ValueError:
                continue
