"""One connection: what it says is heard, judged, and done, not faster than anyone could type.

The callback form of a WebSocket: while a page is silent it costs no green thread.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from greenserve import WebSocketClosed

from . import protocol
from .protocol import Refused
from .rooms import ChatRoom, House, Member, encode

if TYPE_CHECKING:
    from greenserve import WebSocket

# At once, and a second from then on.
BURST = 10
RATE = 2.0
# So many in a row that came too fast are no accident.
MOST_STRIKES = 50


class Visitor:
    """Hears one page, and answers it."""

    def __init__(self, house: House, ws: WebSocket) -> None:
        """From here on the WebSocket calls."""
        self.house = house
        self.ws = ws
        self.room: ChatRoom | None = None
        self.member: Member | None = None
        self.credit = float(BURST)
        self.heard = house.clock()
        self.strikes = 0
        ws.on_message = self.hear
        ws.on_close = self.leave

    def hear(self, message: str | bytes) -> None:
        """Does what a message asks for, or says why not."""
        said: dict[str, Any] = {}
        try:
            try:
                said = protocol.parse(message)
            finally:
                self.pace()  # nonsense counts as well
            match said.get("type"):
                case "join":
                    self.join(said)
                case "say":
                    self.say(said)
                case _:
                    raise Refused("malformed", "`type` must be `join` or `say`.")
        except Refused as refused:
            # Its type and its key in return, where they are such that it can know them again.
            known = {"about": said.get("type"), "key": said.get("key")}
            known = {
                field: value for field, value in known.items() if isinstance(value, str) and len(value) <= 64
            }
            self.tell("error", code=refused.code, text=str(refused), **known, **refused.details)

    def pace(self) -> None:
        """Takes one message off this connection's credit."""
        now = self.house.clock()
        self.credit = min(BURST, self.credit + (now - self.heard) * RATE)
        self.heard = now
        if self.credit < 1:
            self.strikes += 1
            if self.strikes >= MOST_STRIKES:
                self.ws.close(1008, "too many messages, too fast")
            wait = (1 - self.credit) / RATE
            raise Refused("fast", f"Too many messages at once. Wait for {wait:.1f} s.", retry=round(wait, 2))
        self.credit -= 1
        self.strikes = 0

    def join(self, said: dict[str, Any]) -> None:
        """Lets it into a room, and out of the one before."""
        name, tab = protocol.line(said, "name"), protocol.key(said, "tab")
        after = protocol.after(said)
        room = self.house.room(protocol.line(said, "room").casefold())
        room.expect(tab)
        # From here on nothing is refused, so that who is refused stays where it was.
        if self.member is not None and (self.room, self.member.tab) != (room, tab):
            self.leave()
        member = room.join(self.ws, name, tab)
        self.room, self.member = room, member
        self.house.everyone.join(self.ws)
        self.house.changed()
        self.tell(
            "welcome",
            room=room.name,
            name=member.name,
            you=member.number,
            people=[(one.number, one.name) for one in room.members.values()],
            history=room.since(after),
            missed=0 < after < room.forgotten,
            rooms=self.house.census(),
        )

    def say(self, said: dict[str, Any]) -> None:
        """Says something in its room."""
        if self.room is None or self.member is None:
            raise Refused("malformed", "Join a room first.")
        text, key = protocol.text(said), protocol.key(said, "key")
        # A page that says something again has missed that it was heard.
        if message := self.room.say(self.member, text, key, self.house.calendar()):
            self.tell("message", **message)

    def leave(self) -> None:
        """It goes; unless its page has come back on another connection, and has its place."""
        room, member, self.room, self.member = self.room, self.member, None, None
        if room is not None and member is not None and member.ws is self.ws:
            self.house.leave(room, member)

    def tell(self, kind: str, **fields: Any) -> None:
        """Answers this page alone."""
        with suppress(WebSocketClosed):  # it went away in the meantime, and `leave` is on its way
            self.ws.send(encode(kind, fields))
