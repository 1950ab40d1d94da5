"""eventlet.hubs.asyncio: the hub that runs inside an asyncio loop."""

from typing import Any

from greenserve_eventlet.hubs.hub import BaseHub
from greenserve_hub import available_pollers


class Hub(BaseHub):
    """The hub of this OS thread while it runs inside asyncio."""

    poller = "asyncio"

    def __init__(self) -> None:
        """For the current OS thread, whose green threads see the loop from now on, as in eventlet."""
        super().__init__()
        self.hub.poller.show_loop()  # type: ignore[attr-defined]  # the asyncio poller has one

    @property
    def loop(self) -> Any:
        """The asyncio event loop."""
        return self.hub.poller.loop  # type: ignore[attr-defined]  # the asyncio poller has one


def is_available() -> bool:
    """Return True if this machine has what it needs. Switches: never."""
    return Hub.poller in available_pollers()


__all__ = ["Hub", "is_available"]
