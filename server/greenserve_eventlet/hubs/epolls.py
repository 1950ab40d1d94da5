"""eventlet.hubs.epolls: the hub that waits by the kernel's epoll."""

from greenserve_eventlet.hubs.hub import BaseHub
from greenserve_hub import available_pollers


class Hub(BaseHub):
    """The hub of this OS thread while it uses epoll."""

    poller = "epoll"


def is_available() -> bool:
    """Return True if this machine has it. Switches: never."""
    return Hub.poller in available_pollers()


__all__ = ["Hub", "is_available"]
