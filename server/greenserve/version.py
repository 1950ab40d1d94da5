"""The installed version, for --version and for SERVER_SOFTWARE in environ.

A program that freezes others includes a package's metadata only if it finds the package's name in such a call.
"""

from __future__ import annotations

import importlib.metadata
from functools import cache

__all__ = ["version"]


@cache  # it reads a file
def version() -> str:
    """Return the version, or "0+unknown" in a copy without metadata: a frozen program, an archive of files."""
    try:
        return importlib.metadata.version("greenserve")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"
