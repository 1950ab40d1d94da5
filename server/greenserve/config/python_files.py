"""A Python configuration file, gunicorn's or hypercorn's, given to --config: refused, with each setting's name here.

The file is parsed and not run. Called by sources.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from greenserve.config.foreign import advice
from greenserve.config.settings import SETTINGS
from greenserve.errors import ConfigError

__all__ = ["refuse_python"]

_PREFIXES = ("file:", "python:")  # of hypercorn and gunicorn
_MOST = 8  # the number of names that are explained
_ALIASES = {
    alias.lstrip("-").replace("-", "_"): name for name, entry in SETTINGS.items() for alias in entry.aliases
}


def refuse_python(named: Path, path: Path) -> None:
    """Raise ConfigError if `named`, at `path`, is a Python file; it says how to write its settings here."""
    if named.suffix != ".py" and not str(named).startswith(_PREFIXES):
        return
    parts = [f"--config {named}: this is Python, and greenserve reads TOML: write a greenserve.toml"]
    names = list(dict.fromkeys(_names(path)))
    if same := [name for name in names if name in SETTINGS]:
        parts.append(f"the same names: {', '.join(same)}")
    parts += [f"{name}: named {_ALIASES[name]} here" for name in names if name in _ALIASES]
    others = [(name, helpful) for name in names if name not in SETTINGS and (helpful := advice(name, str))]
    parts += [f"{name}: {helpful}" for name, helpful in others[:_MOST]]
    raise ConfigError("; ".join(parts))


def _names(path: Path) -> Iterator[str]:
    """The names that the file assigns at its top level; none if it can't be parsed."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for one in tree.body:
        if isinstance(one, ast.Assign):
            yield from (target.id for target in one.targets if isinstance(target, ast.Name))
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            yield one.target.id
        elif isinstance(one, ast.FunctionDef):
            yield one.name
