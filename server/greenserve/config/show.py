"""`--print-config`: every setting, its value, and the source of the value.

The output is a valid greenserve.toml of the same configuration, but for secrets: those stand in comments, without their
values. Called by cli.py.
"""

from __future__ import annotations

import json
from typing import Any

from greenserve.config.settings import SETTINGS
from greenserve.config.sources import Loaded
from greenserve.config.values.registry import Setting

__all__ = ["quoted", "show_config", "toml_value"]

_COLUMN = 42  # the column of the sources, unless a value is longer


def show_config(loaded: Loaded) -> str:
    """Return the configuration as TOML, one setting a line, each with its source as a comment."""
    lines = [f"# file: {file}" for file in (loaded.python_file, loaded.file) if file is not None]
    if loaded.app is not None:
        lines.append(_line("app", quoted(str(loaded.app.value)), loaded.app.origin))
    group = ""
    for name, entry in SETTINGS.items():
        if entry.group != group:
            group = entry.group
            lines += ["", f"# {group}"]
        value = getattr(loaded.config, name)
        # What is shown of a secret is none.
        shown = f"# {name}" if value and entry.kind.metavar == "TOKEN" else name
        lines.append(_line(shown, toml_value(entry, value), loaded.origins[name]))
    return "\n".join(lines).strip() + "\n"


def _line(name: str, value: str, origin: str) -> str:
    return f"{f'{name} = {value}':<{_COLUMN}} # {origin}"


def toml_value(entry: Setting, value: Any) -> str:
    """Return a parsed value of a setting as TOML."""
    if isinstance(value, tuple):
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    text = entry.kind.format(value)
    return text if entry.kind.toml else quoted(text)


def quoted(text: str) -> str:
    """Return a string as TOML."""
    # A JSON string is a TOML basic string, except for DEL, which must be escaped in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
