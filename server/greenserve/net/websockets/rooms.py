"""Room: a message to many WebSockets at once.

Knows WebSockets as Members, and no hub. A small room is sent to at once. Sending to ten thousand members takes a tenth
of a second, in which no other green thread would run: Broadcasts sends to a large room a slice at a time, and messages
that are sent to it meanwhile wait here, once for all members.

Invariants: a member at the time of send() gets the message, unless its connection is lost or too slow. Each gets the
messages of the room in the order in which they were sent, and before those that are sent to it alone afterwards;
messages of two rooms have no order between them. A message is encoded once, and once more for each compression that
members have agreed on. No member is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from greenserve.net.http.services import Turns
from greenserve.net.sockets.send_budget import PIECE
from greenserve.websocket import Message, encode_shared

_SMALL: Final = 250  # members that are sent to at once: 2 ms
_TOGETHER: Final = 16 * 1024  # bytes up to which messages that a member has missed are joined for one send


class Member(Protocol):
    """A WebSocket, as a room knows it and gives it to those who go through its members."""

    path: str
    rooms: tuple[Room, ...]  # changed by rooms alone

    @property
    def environ(self) -> dict[str, Any]:
        """The environ of its request."""

    @property
    def closed(self) -> bool:
        """Return True if no message can be sent any more."""

    @property
    def window_bits(self) -> int | None:
        """How far a compressed message to it may look back, as a power of two; None: it takes none."""

    @property
    def broadcasts(self) -> Turns:
        """Its server's."""

    def must_be_here(self) -> None:
        """Raise RuntimeError in another OS thread than its server's."""

    def send(self, message: Message) -> bool:
        """Send a message to this one."""

    def send_shared(self, frame: bytes, messages: int = 1) -> bool:
        """Send what encode_shared has made for `window_bits`, this many messages, without waiting."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close it."""


class _Sent:
    """One message, and the frames made of it so far."""

    __slots__ = ("_frames", "message", "size", "skip")

    def __init__(self, message: Message, skip: Member | None) -> None:
        self.message = message
        self.skip = skip
        self._frames: dict[int | None, bytes] = {}  # by window bits
        self.size = len(message) + PIECE

    def frame(self, bits: int | None) -> bytes:
        frame = self._frames.get(bits)
        if frame is None:
            frame = self._frames[bits] = encode_shared(self.message, bits)
        return frame


class Room:
    """WebSockets of one server that get the same messages. To be used in the server's OS thread."""

    def __init__(self, name: str = "") -> None:
        """Make an empty room. `name` is for you, and for dumps."""
        self.name = name
        self.bytes_waiting = 0  # of messages that have not gone out to all
        self._members: dict[Member, int] = {}  # with the number of the message that each gets next
        self._waiting: list[_Sent] = []  # for members that have not got them yet
        self._number = 0  # of the first of these
        self._round: Iterator[Member] = iter(())  # members that this round has not reached
        self._round_gives = 0  # the number up to which all have everything when it is over
        # What was joined for the last member, by window bits, with the number of its first: others miss the same.
        self._joined: dict[int | None, tuple[int, list[tuple[bytes, int]]]] = {}

    def __repr__(self) -> str:
        """For dumps and logs."""
        return f"<Room {self.name} of {len(self)}>"

    def __len__(self) -> int:
        """How many members it has."""
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        """Its members as of now, in the order in which they joined."""
        return iter(tuple(self._members))

    def __contains__(self, ws: object) -> bool:
        """Return True if `ws` is a member."""
        return ws in self._members

    def join(self, ws: Member) -> None:
        """Have `ws` get what is sent from now on, until it leaves or is closed. Repeatable. Switches: never."""
        ws.must_be_here()
        if not ws.closed and ws not in self._members:
            self._members[ws] = self._number + len(self._waiting)
            ws.rooms += (self,)

    def leave(self, ws: Member) -> None:
        """Have `ws` get nothing that is sent from now on. Repeatable. Switches: never."""
        if ws in self._members:
            ws.must_be_here()
            self.catch_up(ws)
            if self._members.pop(ws, None) is not None:
                ws.rooms = tuple(room for room in ws.rooms if room is not self)

    def send(self, message: Message, *, skip: Member | None = None) -> int:
        """Send to all but `skip`. Return how many these are. Raises TypeError for anything but str and bytes.

        A member that is too slow for it (`ws_max_unsent`) misses it if its `when_slow` is drop, and is closed else.
        A large room is sent to little by little, while other green threads have their turns. Switches: never.
        """
        if not isinstance(message, str | bytes):
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        members = self._members
        count = len(members) - (skip in members)
        if not count:
            return 0
        first = next(iter(members))
        first.must_be_here()
        sent = _Sent(message, skip)
        if len(members) <= _SMALL and not self._waiting:
            for ws in tuple(members):
                if ws is not skip:
                    ws.send_shared(sent.frame(ws.window_bits))
            return count
        sent.frame(first.window_bits)  # now, so that the sender gets the error
        self._waiting.append(sent)
        self.bytes_waiting += sent.size
        self._joined.clear()
        first.broadcasts.add(self, sent.size)
        return count

    # For Broadcasts, and members --------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Return True while a member may not have got everything."""
        return bool(self._waiting)

    def catch_up(self, ws: Member) -> None:
        """Send this member what it has not got yet. Switches: never."""
        if not self._waiting or ws.closed:
            return
        end = self._number + len(self._waiting)
        begin = self._members.get(ws, end)
        if begin == end:
            return
        self._members[ws] = end
        missed = self._waiting[begin - self._number :]
        bits = ws.window_bits
        if len(missed) == 1 or any(sent.skip is ws for sent in missed):
            for sent in missed:
                if sent.skip is not ws:
                    ws.send_shared(sent.frame(bits))
            return
        first, joined = self._joined.get(bits, (-1, []))
        if first != begin:
            joined = _join([sent.frame(bits) for sent in missed])
            self._joined[bits] = begin, joined
        for frames, count in joined:
            ws.send_shared(frames, count)

    def go_on(self, clock: Callable[[], float], until: float) -> int:
        """Send to members that have not got everything, at least one of them, until then. Switches: never.

        Return how many bytes no longer wait, as all have them.
        """
        for ws in self._round:
            self.catch_up(ws)
            if clock() >= until:
                return 0
        # What was sent before this round began is out.
        out = self._round_gives - self._number
        size = sum(sent.size for sent in self._waiting[:out])
        self.bytes_waiting -= size
        del self._waiting[:out]
        self._number = self._round_gives
        self._joined.clear()
        self._round_gives += len(self._waiting)
        self._round = iter(tuple(self._members) if self._waiting else ())
        return size

    def drop_unsent(self) -> int:
        """Send no more of what waits. Return how many bytes that was. Switches: never."""
        size = self.bytes_waiting
        self._number = self._round_gives = self._number + len(self._waiting)
        self._waiting.clear()
        self.bytes_waiting = 0
        self._joined.clear()
        self._round = iter(())
        for ws in self._members:
            self._members[ws] = self._number
        return size


def _join(frames: list[bytes]) -> list[tuple[bytes, int]]:
    """Join small frames. Return pieces, each with how many frames it is made of."""
    joined = []
    start = size = 0
    for i, frame in enumerate(frames):
        size += len(frame)
        if size > _TOGETHER and i > start:
            joined.append((b"".join(frames[start:i]), i - start))
            start, size = i, len(frame)
    joined.append((b"".join(frames[start:]), len(frames) - start))
    return joined
