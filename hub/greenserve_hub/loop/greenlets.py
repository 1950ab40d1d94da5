"""The greenlets of a hub: its own, and those that wait in it."""

from __future__ import annotations

from typing import Protocol

from greenlet import GreenletExit, greenlet


class HubLoop(greenlet):
    """The greenlet of a hub, or a stand-in's (loop/standins.py)."""

    name = "the hub"


class Relieved(GreenletExit):
    """Ends a stand-in."""


class Parked(Protocol):
    """A wait of a green thread, made by loop/parking.py. str() gives the reason."""

    woken: bool
    since: float  # by the hub's clock
    green: greenlet | None  # from the start of the wait until it is resumed

    def resume(self) -> None:
        """Switch to it, if it still waits. For the hub only."""

    def remind(self) -> None:
        """Resume it in the next turn if it is woken."""

    def leave_behind(self) -> None:
        """Never resume it."""
