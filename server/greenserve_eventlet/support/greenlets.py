"""eventlet.support.greenlets: what eventlet takes from greenlet."""

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["GreenletExit", "getcurrent", "greenlet"]
