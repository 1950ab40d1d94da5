"""asyncio in a patched program: each green thread may run its own loop."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from greenserve_hub.loop import parking
from greenserve_hub.patching.stdlib.import_hooks import when_imported


def keep_loops_apart() -> None:
    """Keep the running loops of green threads apart, once asyncio is imported. Switches: never."""
    when_imported("asyncio.tasks", _keep_apart)


def _keep_apart(_: ModuleType) -> None:
    from greenserve_hub.pollers.running_loops import get_running_loop, put_aside, put_back

    def apart(switch: parking.Switch) -> Any:
        loop = get_running_loop()
        if loop is None:
            return switch()
        running = put_aside(loop)
        try:
            return switch()
        finally:
            put_back(running)

    parking.apart = apart
