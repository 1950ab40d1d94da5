"""What the interpreter must be for green threads, looked at once, when greenserve_hub is imported.

Knows nothing of green threads. A free-threaded build with its GIL off is warned of: steps that this package counts on
being one (a deque's, a dictionary's, those between two bytecodes) are tested with the GIL only.
"""

from __future__ import annotations

import sys
import warnings


def warn_without_gil() -> None:
    """RuntimeWarning where the interpreter runs without its GIL. Switches: never."""
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)  # from Python 3.13 on
    if is_gil_enabled is not None and not is_gil_enabled():
        warnings.warn(
            "greenserve is made for the GIL and not tested without it, and this free-threaded Python runs without. "
            "Start it with the environment variable PYTHON_GIL=1, as `python -X gil=1`, or use the ordinary build.",
            RuntimeWarning,
            stacklevel=2,
        )
