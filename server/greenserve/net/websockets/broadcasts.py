"""Broadcasts: the rooms with messages that have not gone out to all members yet take turns, a slice of time each.

Invariants: in each turn of the hub one slice is taken for all rooms together, so that others are served whatever is
broadcast; what waits in rooms is bounded by _MOST. Beyond it the sender sends faster than this machine can: it holds
the hub until there is room.
"""

from __future__ import annotations

import logging
from typing import Final

from greenserve.net.http.services import Backlogged
from greenserve_hub.loop.hub import Hub

log = logging.getLogger("greenserve.error")

_SLICE: Final = 0.005  # seconds: some hundred members, and a twentieth of block_threshold
_MOST: Final = 16 << 20  # bytes of messages that wait in all rooms


class Broadcasts:
    """What the rooms of one server have to send."""

    def __init__(self, hub: Hub) -> None:
        """Nothing waits."""
        self.bytes = 0
        self._hub = hub
        self._rooms: dict[Backlogged, None] = {}  # in the order of their turns
        self._runs = False

    def add(self, room: Backlogged, size: int) -> None:
        """A message of `size` bytes has been sent to `room`. Switches: never."""
        self._rooms[room] = None
        self.bytes += size
        if not self._runs:
            self._runs = True
            self._hub.call_soon(self._run)
        while self.bytes > _MOST and self._rooms:
            self._take_slice()

    def _run(self) -> None:
        if self._rooms:
            self._take_slice()
        self._runs = bool(self._rooms)
        if self._runs:
            self._hub.call_soon(self._run)

    def _take_slice(self) -> None:
        """Send for one room."""
        room = next(iter(self._rooms))
        del self._rooms[room]
        out = 0
        clock = self._hub.clock
        until = clock() + _SLICE
        try:
            while room.is_behind:
                out += room.go_on(clock, until)
                if clock() >= until:
                    break
        except Exception:
            log.exception("%r: an error in the server; some members miss a message, please report it", room)
            out += room.drop_unsent()
        self.bytes -= out
        if room.is_behind:
            self._rooms[room] = None
