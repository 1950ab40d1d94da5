"""The queue of TLS handshakes: each is a millisecond or two of arithmetic, and a flood of them would hold the hub.

A step of a handshake is made in a turn of its own, or together with others while they are quick; then requests and
sockets have their turn. First come, first served.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from greenserve_hub.loop.hub import Hub

_TURN: Final = 0.003  # seconds of handshakes before others have their turn


class Handshaking(Protocol):
    """The opening of a connection, in the middle of its handshake."""

    def shake(self) -> None:
        """Go one step on with the handshake. Switches: never."""

    def broke(self) -> None:
        """`shake` has raised. Switches: never."""


class Handshakes:
    """The connections whose client has sent something of its handshake."""

    def __init__(self, hub: Hub) -> None:
        """Empty."""
        self._hub = hub
        self._queue: deque[Handshaking] = deque()
        self._is_due = False

    def put(self, connection: Handshaking) -> None:
        """Queue the next step of this one. Switches: never."""
        self._queue.append(connection)
        self._go_on()

    def _go_on(self) -> None:
        if self._queue and not self._is_due:
            self._is_due = True
            self._hub.call_soon(self._work)

    def _work(self) -> None:
        self._is_due = False
        queue = self._queue
        clock = self._hub.clock
        until = clock() + _TURN
        try:
            while queue:
                connection = queue.popleft()
                try:
                    connection.shake()
                except Exception:
                    connection.broke()
                if clock() >= until:
                    break
        finally:
            self._go_on()
