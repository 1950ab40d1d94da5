"""The rooms: who is in each, what was said there last, and how many there may be.

Knows nothing of what a page may say (`protocol`) or how often (`visitors`). Everything here happens between two
switches: no method waits, so that members, history and what is broadcast always agree.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenserve import Room, spawn_after

from .protocol import Refused

if TYPE_CHECKING:
    from greenserve import WebSocket

HISTORY = 50
MOST_MEMBERS = 200
MOST_ROOMS = 100
EMPTY_SECONDS = 600.0
ROOMS_EVERY = 1.0


@dataclass(slots=True, eq=False)
class Member:
    """One page in a room. `name` is as it is shown, and no one else's in the room."""

    number: int
    name: str
    wanted: str
    tab: str
    ws: WebSocket


class ChatRoom:
    """One room: its members by their tabs, its last messages, and its broadcast."""

    def __init__(self, name: str, broadcast: Room, now: float) -> None:
        """Takes an empty `greenserve.Room`, and what the clock says."""
        self.name = name
        self.broadcast = broadcast
        self.members: dict[str, Member] = {}
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self.newest = 0
        self.forgotten = 0
        self.empty_since = now
        self._numbers = itertools.count(1)

    def expect(self, tab: str) -> None:
        """Refuses whoever has no place here where there is none to give."""
        if tab not in self.members and len(self.members) >= MOST_MEMBERS:
            raise Refused("full", f"The room is full: {MOST_MEMBERS} are here. Join another one.")

    def join(self, ws: WebSocket, wanted: str, tab: str) -> Member:
        """Lets a page in. One that comes back before its old connection was seen to end takes its old place."""
        member = self.members.get(tab)
        if member is not None and member.ws is not ws:
            self.broadcast.leave(member.ws)
            member.ws.close(1000, "this page has a new connection")
            member.ws = ws
        if member is not None and member.wanted != wanted:
            self.leave(member)
            member = None
        if member is None:
            taken = {one.name.casefold() for one in self.members.values()}
            names = itertools.chain([wanted], (f"{wanted} ({n})" for n in itertools.count(2)))
            name = next(one for one in names if one.casefold() not in taken)
            member = self.members[tab] = Member(next(self._numbers), name, wanted, tab, ws)
            self.send("joined", number=member.number, name=name)
        self.broadcast.join(ws)
        return member

    def leave(self, member: Member) -> None:
        """Lets a member go, and tells the others."""
        del self.members[member.tab]
        self.broadcast.leave(member.ws)
        self.send("left", number=member.number, name=member.name)

    def say(self, member: Member, text: str, key: str, now: float) -> dict[str, Any] | None:
        """Sends a message to all. One that was said already goes to no one, and is returned."""
        for message in self.history:
            if message["key"] == key:
                return message
        if len(self.history) == HISTORY:
            self.forgotten = self.history[0]["id"]
        self.newest = max(self.newest + 1, int(now * 1000))
        message = {"id": self.newest, "name": member.name, "text": text, "key": key}
        self.history.append(message)
        self.send("message", **message)
        return None

    def since(self, after: int) -> list[dict[str, Any]]:
        """The messages after that one."""
        # An id to come: the clock was set back between two lives of this room. The page knows again what it has.
        if after > self.newest:
            after = 0
        return [message for message in self.history if message["id"] > after]

    def send(self, kind: str, **fields: Any) -> None:
        """Tells all members."""
        self.broadcast.send(encode(kind, fields))


class House:
    """All rooms. One that nobody is in is dropped when it has been empty for a while and another is asked for."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        calendar: Callable[[], float] = time.time,
        broadcast: Callable[[], Room] = Room,
        later: Callable[..., object] = spawn_after,
    ) -> None:
        """Takes the time as seconds that only grow, and as seconds since 1970; tests bring their own of each."""
        self.clock = clock
        self.calendar = calendar
        self.rooms: dict[str, ChatRoom] = {}
        self.everyone = broadcast()
        self._broadcast = broadcast
        self._later = later
        self._tell_at = 0.0

    def room(self, name: str) -> ChatRoom:
        """The room of that name, made where there is none."""
        now = self.clock()
        for room in list(self.rooms.values()):
            if not room.members and now - room.empty_since > EMPTY_SECONDS:
                del self.rooms[room.name]
        if (found := self.rooms.get(name)) is not None:
            return found
        if len(self.rooms) >= MOST_ROOMS:
            raise Refused("rooms", f"There are {MOST_ROOMS} rooms already. Join one of them, or try later.")
        made = self.rooms[name] = ChatRoom(name, self._broadcast(), now)
        return made

    def leave(self, room: ChatRoom, member: Member) -> None:
        """Lets a member go. An empty room remembers since when it is."""
        room.leave(member)
        room.empty_since = self.clock()
        self.changed()

    def census(self) -> list[tuple[str, int]]:
        """Each room and how many are in it."""
        return [(room.name, len(room.members)) for room in self.rooms.values()]

    def changed(self) -> None:
        """Tells everyone of the rooms, a second later and once a second at most, however many come and go."""
        now = self.clock()
        if now >= self._tell_at:
            self._tell_at = now + ROOMS_EVERY
            self._later(ROOMS_EVERY, self._tell)

    def _tell(self) -> None:
        self.everyone.send(encode("rooms", {"rooms": self.census()}))


def encode(kind: str, fields: dict[str, Any]) -> str:
    """A message to a page."""
    return json.dumps({"type": kind, **fields})
