"""A middleware that tells, at /left, what is left in a process: green threads that wait, and open descriptors."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from greenserve import get_hub


def left() -> dict[str, Any]:
    gc.collect()
    hub = get_hub()
    return {
        "parked": sorted(repr(waiter) for waiter in hub.parked.values()),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


class Leftovers:
    """Around an app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/left":
            return self.app(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(left()).encode()]
