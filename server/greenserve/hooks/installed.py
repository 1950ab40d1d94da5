"""The hooks that installed packages bring: entry points of the group `greenserve.hooks`.

Fact: importlib.metadata takes a tenth of a start, to say in most of them that no package has hooks. Decision: it is
asked only where metadata names the group, or where sys.path has a place that only it can read.

Called by cli.py. The invariant: a hook that can't be loaded is an error that names its package, before anything is
bound.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenserve.config.hooks import HOOKS, Hook, check_hook, closest_hook
from greenserve.errors import ConfigError
from greenserve_hub.tracebacks import format_error

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "has_installed_hooks", "installed_hooks"]

GROUP: Final = "greenserve.hooks"


def has_installed_hooks() -> bool:
    """Return True if there are any; imports nothing of theirs."""
    return bool(_found())


def installed_hooks() -> tuple[Hook, ...]:
    """Import and return them, in the order of their packages' names. Raises ConfigError."""
    return tuple(_load(one) for one in sorted(_found(), key=lambda one: (_package(one), one.name, one.value)))


def _found() -> tuple[EntryPoint, ...]:
    others = (finder for finder in sys.meta_path if finder is not PathFinder)
    if not any(map(_may_have_hooks, sys.path)) and not any(
        hasattr(one, "find_distributions") for one in others
    ):
        return ()
    from importlib.metadata import entry_points  # see above

    return tuple(entry_points(group=GROUP))


def _may_have_hooks(place: str) -> bool:
    """Return False if a place of sys.path is a folder that has no metadata with the group's name."""
    try:
        folder = Path(place)
        if not folder.is_dir() or folder.suffix == ".egg":
            return folder.exists()
        return any(
            GROUP in file.read_text(encoding="utf-8", errors="replace")
            for file in folder.glob("*.*-info/entry_points.txt")
        )
    except (OSError, TypeError, ValueError):  # what stands in sys.path need not be a path
        return True


def _load(entry: EntryPoint) -> Hook:
    origin = f"package {_package(entry)}"
    if entry.name not in HOOKS:
        close = closest_hook(entry.name)
        raise ConfigError(
            f"unknown hook {entry.name} ({origin}){f': did you mean {close}?' if close else ''}; the hooks are "
            f"{', '.join(HOOKS)}"
        )
    try:
        call = entry.load()
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"{entry.name} ({origin}): can't load {entry.value}: {what}; mend the package or uninstall it",
            details=format_error(error, error.__traceback__),
        ) from None
    return check_hook(entry.name, call, origin)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"
