"""time.sleep for a patched program."""

from __future__ import annotations

import math

from greenserve_hub.greenthreads import greenthreads
from greenserve_hub.loop.current import find_hub
from greenserve_hub.unpatched import time


def sleep(seconds: float, /) -> None:
    """Like time.sleep. Switches: always; in an OS thread without a hub the OS thread sleeps."""
    if find_hub() is None:
        time.sleep(seconds)
        return
    try:
        length = math.fsum((seconds,))  # converts any real number to a float, else TypeError
    except TypeError:
        time.sleep(seconds)  # raises the standard error
        return
    if not length >= 0:  # also true for NaN
        raise ValueError("sleep length must be non-negative")
    greenthreads.sleep(length)


REPLACED = {"time": {"sleep": sleep}}
