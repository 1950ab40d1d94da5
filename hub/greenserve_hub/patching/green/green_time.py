"""time.sleep for a patched program."""

from __future__ import annotations

import math

from greenserve_hub.greenthreads import greenthreads
from greenserve_hub.loop.current import find_hub
from greenserve_hub.unpatched import time


def sleep(seconds: float, /) -> None:
    """As time.sleep. Switches: always, where there is a hub; elsewhere the OS thread sleeps."""
    if find_hub() is None:
        time.sleep(seconds)
        return
    try:
        length = math.fsum((seconds,))  # a float of any number, and a TypeError for the rest
    except TypeError:
        time.sleep(seconds)  # which says what is wrong
        return
    if not length >= 0:  # NaN too
        raise ValueError("sleep length must be non-negative")
    greenthreads.sleep(length)


REPLACED = {"time": {"sleep": sleep}}
