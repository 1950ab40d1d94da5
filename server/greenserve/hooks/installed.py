"""The hooks that installed packages bring: entry points of the group `greenserve.hooks`.

Called by cli.py. The invariant: a hook that can't be loaded is an error that names its package, before anything is
bound.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from greenserve.config.hooks import HOOKS, Hook, check_hook, closest_hook
from greenserve.errors import ConfigError
from greenserve_hub.tracebacks import format_error

__all__ = ["GROUP", "has_installed_hooks", "installed_hooks"]

GROUP = "greenserve.hooks"


def has_installed_hooks() -> bool:
    """Return True if there are any; imports nothing of theirs."""
    return bool(entry_points(group=GROUP))


def installed_hooks() -> tuple[Hook, ...]:
    """Import and return them, in the order of their packages' names. Raises ConfigError."""
    found = sorted(entry_points(group=GROUP), key=lambda one: (_package(one), one.name, one.value))
    return tuple(_load(one) for one in found)


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
