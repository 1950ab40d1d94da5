"""Reads gunicorn's configuration file, which is Python: by its text, or by running it in a process of its own.

By its text, only plain values are found; what is computed stays an expression. Called by migrate.py. The invariant:
nothing of the file runs unless run_file is called, and then not in this process.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from greenserve.config.gunicorn import GUNICORN
from greenserve.config.hooks import HOOKS
from greenserve.errors import ConfigError

__all__ = ["GunicornFile", "read_file", "run_file"]

_PATIENCE: Final = 30  # seconds

# Run by another Python: prints the settings as JSON, and for what JSON can't hold its repr.
_RUN = """
import json, os, sys, types
path, names = sys.argv[1], set(json.loads(sys.argv[2]))
sys.path.insert(0, os.getcwd())
module = types.ModuleType("__config__")
module.__file__ = path
said, sys.stdout = sys.stdout, sys.stderr
exec(compile(open(path, "rb").read(), path, "exec"), module.__dict__)
found, others = {}, {}
for name, value in vars(module).items():
    if name in names:
        value = sorted(value) if isinstance(value, (set, frozenset)) else value
        try:
            found[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            others[name] = repr(value)
json.dump([found, others], said)
"""


@dataclass
class GunicornFile:
    """What a file sets, by gunicorn's names."""

    values: dict[str, Any] = field(default_factory=dict)
    computed: dict[str, str] = field(
        default_factory=dict
    )  # the expressions of those that are no plain values
    lines: dict[str, int] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)  # of hooks: their source
    imports: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # assigned, and no settings of gunicorn's


def read_file(path: Path) -> GunicornFile:
    """Read the text of the file, without running it. Raises ConfigError."""
    source, tree = _parse(path)
    found = GunicornFile()
    plain: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            found.imports.append(ast.unparse(statement))
            for alias in statement.names:
                _forget(found, plain, alias.asname or alias.name)
                if (alias.asname or alias.name) in GUNICORN:
                    found.computed[alias.asname or alias.name] = (
                        f"imported at line {statement.lineno}, where the text does not tell its value"
                    )
                    found.lines[alias.asname or alias.name] = statement.lineno
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name in GUNICORN:
            found.functions[statement.name] = ast.get_source_segment(source, statement) or ""
            found.lines[statement.name] = statement.lineno
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            # At once, as in `a, b = b, a`.
            known = dict(plain)
            for target in targets:
                for name, value in _pairs(target, statement.value):
                    _take(found, plain, name, value, statement.lineno, known)
        else:
            # In an if or a with, where the text does not tell the value.
            for name, line in _bound(statement):
                _forget(found, plain, name)
                found.computed[name] = f"set at line {line}, where the text does not tell its value"
                found.lines[name] = line
    found.computed = {name: text for name, text in found.computed.items() if name in GUNICORN}
    return found


def run_file(path: Path) -> GunicornFile:
    """Run the file in a process of its own and return what it sets. Raises ConfigError. Blocks."""
    found = read_file(path)
    settings = json.dumps([name for name in GUNICORN if name not in HOOKS and name not in found.functions])
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(path), settings],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{path}: ran for {_PATIENCE} s without an end; migrate it without --run") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise ConfigError(f"{path}: it failed when it was run: {last}", details=done.stderr)
    found.values, found.computed = json.loads(done.stdout)
    return found


def _parse(path: Path) -> tuple[str, ast.Module]:
    try:
        source = path.read_text(encoding="utf-8")
        return source, ast.parse(source, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno or 1}: {error.msg}") from None
    except ValueError as error:  # not UTF-8, or a NUL
        raise ConfigError(f"{path}: not Python: {error}") from None


def _forget(found: GunicornFile, plain: dict[str, Any], name: str) -> None:
    """The name is bound anew."""
    found.values.pop(name, None)
    found.computed.pop(name, None)
    plain.pop(name, None)


def _take(
    found: GunicornFile,
    plain: dict[str, Any],
    name: str,
    value: ast.expr | None,
    line: int,
    known: dict[str, Any],
) -> None:
    """A name is set to the value; None: to a part of one, which the text does not tell."""
    found.lines[name] = line
    _forget(found, plain, name)
    try:
        if value is None:
            raise KeyError(name)
        plain[name] = _evaluate(value, known)
    except (ValueError, TypeError, KeyError):
        where = f"set at line {line}, where the text does not tell its value"
        found.computed[name] = where if value is None else ast.unparse(value)
    else:
        if name in GUNICORN:
            found.values[name] = plain[name]
    if name not in GUNICORN and not name.startswith("_") and name not in found.unknown:
        found.unknown.append(name)


def _evaluate(value: ast.expr, plain: dict[str, Any]) -> Any:
    """The value of an expression of literals, of names that are known, and of both in an f-string or a sum."""
    if isinstance(value, ast.Name):
        return plain[value.id]
    if isinstance(value, ast.List | ast.Tuple):
        return [_evaluate(one, plain) for one in value.elts]
    if isinstance(value, ast.JoinedStr):
        return "".join(_piece(one, plain) for one in value.values)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add | ast.Mult):
        left, right = _evaluate(value.left, plain), _evaluate(value.right, plain)
        if isinstance(value.op, ast.Add):
            return left + right
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        raise ValueError("only numbers are multiplied: a text could become endless")
    return ast.literal_eval(value)


def _piece(value: ast.expr, plain: dict[str, Any]) -> str:
    if isinstance(value, ast.FormattedValue):
        if value.format_spec is not None or value.conversion != -1:
            raise ValueError("a format")
        return str(_evaluate(value.value, plain))
    return str(ast.literal_eval(value))


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a target binds, each with its value: `a, (b, c) = 1, f()` gives b and c without one."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Starred):
        yield from _pairs(target.value, None)
    elif isinstance(target, ast.Tuple | ast.List):
        given: list[ast.expr] = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        fits = len(given) == len(target.elts)
        fits = fits and not any(isinstance(one, ast.Starred) for one in (*given, *target.elts))
        for number, one in enumerate(target.elts):
            yield from _pairs(one, given[number] if fits else None)


def _bound(statement: ast.stmt) -> Iterator[tuple[str, int]]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for one in ast.walk(statement):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            yield one.id, one.lineno
