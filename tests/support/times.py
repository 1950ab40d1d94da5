"""One unit of time for all tests, so that a slow machine is one variable and not a hundred edits.

`GREENSERVE_TEST_SLOWNESS=5` makes every MS five milliseconds long. What a test measures is written in MS; how long it
waits for something that must come is PATIENCE, which only a failing test uses up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

MS = 0.001 * float(os.environ.get("GREENSERVE_TEST_SLOWNESS", "1"))
PATIENCE = 30_000 * MS


def eventually(condition: Callable[[], object], what: str = "it") -> None:
    """Wait, as an outsider in another OS thread must, until `condition()` is true; fail when it never is."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"{what} never came"
        time.sleep(MS)
