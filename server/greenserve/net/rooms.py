"""Room: a message to many WebSockets at once.

Knows WebSockets by four of their methods, and no hub. The invariants: each member gets what is sent to it in the order
in which it was sent; a message is encoded once, and once more for each compression that members have agreed on; no
member is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from greenserve.websocket import Message, encode_shared

if TYPE_CHECKING:
    from greenserve.net.websockets import WebSocket


class Room:
    """WebSockets of one server that hear the same. To be used in the server's OS thread."""

    def __init__(self, name: str = "") -> None:
        """Empty. `name` is for you, and for dumps."""
        self.name = name
        self._members: dict[WebSocket, None] = {}

    def __repr__(self) -> str:
        """For dumps and logs."""
        return f"<Room {self.name} of {len(self)}>"

    def __len__(self) -> int:
        """How many are in it."""
        return len(self._members)

    def __iter__(self) -> Iterator[WebSocket]:
        """Its members as of now, in the order in which they joined."""
        return iter(tuple(self._members))

    def __contains__(self, ws: object) -> bool:
        """Whether `ws` is in it."""
        return ws in self._members

    def join(self, ws: WebSocket) -> None:
        """Let `ws` hear what is sent from now on, until it leaves or is closed. Repeatable. Switches: never."""
        if not ws.closed:
            self._members[ws] = None
            if self not in ws.rooms:
                ws.rooms += (self,)

    def leave(self, ws: WebSocket) -> None:
        """Let it hear no more. Repeatable. Switches: never."""
        if ws in self._members:
            del self._members[ws]
            ws.rooms = tuple(room for room in ws.rooms if room is not self)

    def send(self, message: Message, *, skip: WebSocket | None = None) -> int:
        """Send to all, but for `skip`; to how many. Raises TypeError for what is no message. Switches: never.

        A member that is too slow for it (`ws_max_unsent`) misses it where its `when_slow` is drop, and is closed else.
        """
        frames: dict[int | None, bytes] = {}
        sent = 0
        for ws in tuple(self._members):
            if ws is skip:
                continue
            bits = ws.window_bits
            frame = frames.get(bits)
            if frame is None:
                frame = frames[bits] = encode_shared(message, bits)
            sent += ws.send_shared(frame)
        return sent
