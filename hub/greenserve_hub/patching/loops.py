"""asyncio in a patched program: each green thread may run a loop of its own.

Facts: asyncio keeps the loop that runs in a place of the OS thread's, and a green thread that waits while its loop runs
(in the selector, or in a coroutine that blocks) leaves it there for the next one, for whom no loop runs. Consequence:
who waits takes it along.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from greenserve_hub import parking
from greenserve_hub.patching.import_hooks import when_imported


def keep_loops_apart() -> None:
    """From the moment on when asyncio is imported. Switches: never."""
    when_imported("asyncio.events", _keep_apart)


def _keep_apart(events: ModuleType) -> None:
    get, put = events._get_running_loop, events._set_running_loop

    def apart(switch: parking.Switch) -> Any:
        loop = get()
        if loop is None:
            return switch()
        put(None)
        try:
            return switch()
        finally:
            put(loop)

    parking.apart = apart
