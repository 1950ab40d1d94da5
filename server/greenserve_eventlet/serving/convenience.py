"""eventlet.convenience: greenserve's TCP functions."""

from greenserve_hub import StopServe, connect, listen, serve

__all__ = ["StopServe", "connect", "listen", "serve"]
