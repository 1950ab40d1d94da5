"""Where the file of a module lies: in the standard library, among installed packages, or in the user's project."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["is_installed", "is_standard"]

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_STANDARD: Final = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "")


def is_installed(path: str) -> bool:
    """Return True for a file of a package that pip or Debian has installed."""
    return not _INSTALLED.isdisjoint(path.split(os.sep))


def is_standard(path: str) -> bool:
    """Return True for a file of the standard library."""
    return path.startswith(_STANDARD) and not is_installed(path)
