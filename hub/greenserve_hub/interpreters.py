"""Checks the interpreter once, when greenserve_hub is imported.

Knows nothing of green threads. It warns when a free-threaded build runs without the GIL: this package relies on single
operations (of a deque, of a dictionary, between two bytecodes) being atomic, and that is tested with the GIL only.
"""

from __future__ import annotations

import sys
import warnings


def warn_without_gil() -> None:
    """Warn (RuntimeWarning) if the interpreter runs without the GIL. Switches: never."""
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)  # from Python 3.13 on
    if is_gil_enabled is not None and not is_gil_enabled():
        warnings.warn(
            "greenserve needs the GIL, and this free-threaded Python runs without it. Set the environment variable "
            "PYTHON_GIL=1, start it as `python -X gil=1`, or use the ordinary build.",
            RuntimeWarning,
            stacklevel=2,
        )
