"""eventlet.hubs.kqueue: the hub that waits by the kernel's kqueue."""

from greenserve_eventlet.hubs.hub import BaseHub
from greenserve_hub import available_pollers


class Hub(BaseHub):
    """The hub of this OS thread while it uses kqueue."""

    poller = "kqueue"


def is_available() -> bool:
    """Return True if this machine has it. Switches: never."""
    return Hub.poller in available_pollers()


__all__ = ["Hub", "is_available"]
