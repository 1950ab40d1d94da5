"""Rooms with messages that have not gone out to all members yet: they take turns, a slice of each turn of the hub.

Knows rooms by a few methods. The invariants: in each turn of the hub no more than one slice is taken for all rooms
together, so that whatever is broadcast others are served; what waits in rooms is bounded by _MOST, beyond which the
sender's own time is taken: it sends faster than this machine can, and holds the hub until there is room.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from greenserve_hub.loop.hub import Hub

if TYPE_CHECKING:
    from greenserve.net.websockets.rooms import Room

log = logging.getLogger("greenserve.error")

_SLICE: Final = 0.005  # seconds: some hundred members, and a twentieth of block_threshold
_MOST: Final = 16 << 20  # bytes of messages that wait in all rooms


class Broadcasts:
    """What the rooms of one server have to send."""

    def __init__(self, hub: Hub) -> None:
        """Nothing."""
        self.bytes = 0
        self._hub = hub
        self._rooms: dict[Room, None] = {}  # in the order of their turns
        self._runs = False

    def add(self, room: Room, size: int) -> None:
        """A message has been sent to it. Switches: never."""
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
