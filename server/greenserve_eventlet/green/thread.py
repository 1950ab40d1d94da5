"""eventlet.green.thread: the standard _thread with green threads, and eventlet's names for its lock."""

from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub.patching.originals import green_modules

globals().update(
    {name: value for name, value in vars(green_modules()["_thread"]).items() if name[:2] != "__"}
)
Lock: Any = green_modules()["_thread"].allocate_lock


def get_ident(gr: greenlet | None = None) -> int:
    """Return the number of a green thread; of the current one, if None. Switches: never."""
    return id(getcurrent() if gr is None else gr)
