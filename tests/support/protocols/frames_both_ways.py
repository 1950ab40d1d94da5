"""Frames read and made both ways, by Python and by the compiled core, under every kind of setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from greenserve.websocket import Deflate, Event, Message, MessageReader, ReadLimits, encode_message
from greenserve.websocket.framing import frames, reader

_SIZES = (0, 1, 125, 126, 300, 65535, 65536, (1 << 63) - 1, 1 << 63, 1 << 80)
_SLOTS = [
    name for name in MessageReader.__slots__ if name not in ("unread", "_at", "_deflate", "_fragmented")
]


class Setting(NamedTuple):
    """The settings that a message depends on, and what was negotiated."""

    limits: ReadLimits
    is_compressed: bool
    takeover: bool = True

    def deflate(self) -> Deflate | None:
        """One end's compression, new."""
        if not self.is_compressed:
            return None
        return Deflate(client_no_context_takeover=not self.takeover)


def all_settings() -> list[Setting]:
    """Every combination."""
    return [
        Setting(ReadLimits(size, most_frames, 20), *compression)
        for size in _SIZES
        for most_frames in (0, 2, 1000)
        for compression in ((False,), (True, True), (True, False))
    ]


@contextmanager
def without_core() -> Iterator[None]:
    """As with GREENSERVE_PURE=1."""
    before = reader.take_message, frames.make_frame
    reader.take_message = frames.make_frame = None
    try:
        yield
    finally:
        reader.take_message, frames.make_frame = before


class BothReaders:
    """One WebSocket's reader, twice."""

    def __init__(self, setting: Setting) -> None:
        """Nothing has come yet."""
        self._by_core = MessageReader(setting.limits, setting.deflate())
        self._by_python = MessageReader(setting.limits, setting.deflate())

    def feed(self, piece: bytes) -> Event | None:
        """Return the next event. Raises AssertionError where they differ, in it or in what they keep."""
        return self._same("feed", piece)

    def next(self) -> Event | None:
        """As feed, without more bytes."""
        return self._same("next")

    def read(self, pieces: list[bytes], eager: bool = True) -> None:
        """Read all of a stream; where not `eager`, take one event after each piece and the rest at the end."""
        for piece in pieces:
            event = self.feed(piece)
            while eager and event is not None:
                event = self.next()
        while self.next() is not None:
            pass

    def _same(self, method: str, *arguments: bytes) -> Event | None:
        event: Event | None = getattr(self._by_core, method)(*arguments)
        with without_core():
            wanted = getattr(self._by_python, method)(*arguments)
        assert event == wanted
        assert type(event) is type(wanted)
        assert _state(self._by_core) == _state(self._by_python)
        return event


def _state(one: MessageReader) -> Any:
    fragmented = one._fragmented
    under_way = None if fragmented is None else (fragmented.frames, fragmented.received)
    return one.unread[one._at :], under_way, [getattr(one, name) for name in _SLOTS]


def encode_both_ways(message: Message, setting: Setting) -> bytes | type[Exception]:
    """Return the message as a frame, or the error. Raises AssertionError where they differ."""
    found = _outcome(message, setting)
    with without_core():
        wanted = _outcome(message, setting)
    assert found == wanted
    return found[0]


def _outcome(message: Message, setting: Setting) -> tuple[Any, str]:
    try:
        return encode_message(message, setting.deflate()), ""
    except (TypeError, ValueError) as error:
        return type(error), str(error)
