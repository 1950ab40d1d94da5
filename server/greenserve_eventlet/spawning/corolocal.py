"""eventlet.corolocal: greenserve's green-thread locals."""

from greenserve_hub import getcurrent, local


def get_ident() -> int:
    """Return a number for the current green thread, different from those of all others that live. Switches: never."""
    return id(getcurrent())


__all__ = ["get_ident", "local"]
