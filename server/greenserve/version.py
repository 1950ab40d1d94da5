"""The version that is installed: for --version, and for SERVER_SOFTWARE in environ.

A leaf. What freezes programs brings what pip knows of a package where it can read that it is asked for by name.
"""

from __future__ import annotations

import importlib.metadata

__all__ = ["version"]


def version() -> str:
    """Give it, or "0+unknown" in a copy that came without what pip knows: a frozen program, an archive of files."""
    try:
        return importlib.metadata.version("greenserve")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"
