"""The compiled core: what every request does, in C.

Python is the reference and the fallback. At each seam C accepts what is ordinary, or leaves it to the Python that
stands behind it.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Final

__all__ = ["core", "describe"]


_SEAMS: Final = 2  # of core.h


def _find() -> tuple[ModuleType | None, str]:
    """The module, and what --version says of it."""
    if os.environ.get("GREENSERVE_PURE", "") not in ("", "0"):
        return None, "pure Python, by GREENSERVE_PURE"
    try:
        import greenserve._core as _core
    except ModuleNotFoundError:
        return None, "pure Python: installed without the compiled core"
    except ImportError as error:
        return None, f"pure Python: the compiled core can't be loaded: {error}"
    if getattr(_core, "SEAMS", 0) != _SEAMS:
        return None, "pure Python: the compiled core is of another version, install greenserve again"
    return _core, "compiled core"


_found: Final = _find()
core: Final = _found[0]


def describe() -> str:
    """Say in a few words whether requests go through C, and if not, why."""
    return _found[1]
