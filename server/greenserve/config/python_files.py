"""A configuration in Python, gunicorn's or hypercorn's, that was named where a TOML file belongs: what to do with it.

The file is read and not run. Called by sources.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from greenserve.config.foreign import advice
from greenserve.config.settings import SETTINGS
from greenserve.errors import ConfigError

__all__ = ["refuse_python"]

_PREFIXES = ("file:", "python:")  # gunicorn's and hypercorn's
_MOST = 8  # names that are explained
_ALIASES = {
    alias.lstrip("-").replace("-", "_"): name for name, entry in SETTINGS.items() for alias in entry.aliases
}


def refuse_python(named: Path, path: Path) -> None:
    """Raise ConfigError, which says what of it there is here, if `named`, at `path`, is a file in Python."""
    if named.suffix != ".py" and not str(named).startswith(_PREFIXES):
        return
    parts = [f"--config {named}: that is Python, and greenserve reads TOML: write a greenserve.toml"]
    names = list(dict.fromkeys(_names(path)))
    if same := [name for name in names if name in SETTINGS]:
        parts.append(f"the same name there: {', '.join(same)}")
    parts += [f"{name}: its name is {_ALIASES[name]}" for name in names if name in _ALIASES]
    others = [(name, helpful) for name in names if name not in SETTINGS and (helpful := advice(name, str))]
    parts += [f"{name}: {helpful}" for name, helpful in others[:_MOST]]
    raise ConfigError("; ".join(parts))


def _names(path: Path) -> Iterator[str]:
    """What the file assigns at its top, as far as it can be read."""
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
