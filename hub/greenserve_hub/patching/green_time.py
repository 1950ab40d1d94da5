"""time.sleep for a patched program."""

from __future__ import annotations

from greenserve_hub import greenthreads
from greenserve_hub.loop import find_hub
from greenserve_hub.natives import time


def sleep(seconds: float, /) -> None:
    """As time.sleep. Switches: always, where there is a hub; elsewhere the OS thread sleeps."""
    if find_hub() is None:
        time.sleep(seconds)
        return
    if not seconds >= 0:  # NaN too
        raise ValueError("sleep length must be non-negative")
    greenthreads.sleep(seconds)


REPLACED = {"time": {"sleep": sleep}}
