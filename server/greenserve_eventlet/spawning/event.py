"""eventlet.event: greenserve's events."""

from greenserve_hub import Event

__all__ = ["Event"]
