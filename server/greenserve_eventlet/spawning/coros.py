"""eventlet.coros: metaphore, all that is left there."""

from __future__ import annotations

from greenserve_hub import Event


class metaphore:
    """A counter whose wait() lasts until it is zero."""

    def __init__(self) -> None:
        """Zero: nothing to wait for."""
        self.counter = 0
        self.event = Event()
        self.event.send()

    def inc(self, by: int = 1) -> None:
        """Count up. Switches: never."""
        assert by > 0
        if self.counter == 0:
            self.event.reset()
        self.counter += by

    def dec(self, by: int = 1) -> None:
        """Count down, at most to zero. Switches: never."""
        assert by > 0
        if self.counter > 0:
            self.counter = max(0, self.counter - by)
            if self.counter == 0:
                self.event.send()

    def wait(self) -> None:
        """Wait until it is zero. Switches: unless it is."""
        self.event.wait()


__all__ = ["metaphore"]
