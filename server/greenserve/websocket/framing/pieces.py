"""The pieces of a message that came in many, joined at its end.

Called by reader.py. The invariant: joining is linear, and a message that comes byte by byte takes little more memory
than one that comes whole, as every thousand pieces become one.
"""

from __future__ import annotations

from typing import Final

_MOST: Final = 1024


class Pieces:
    """Either str or bytes, not both."""

    __slots__ = ("_joined", "_loose")

    def __init__(self) -> None:
        """Nothing yet."""
        self._joined: list[str | bytes] = []
        self._loose: list[str | bytes] = []

    def add(self, piece: str | bytes) -> None:
        """Take the next piece."""
        self._loose.append(piece)
        if len(self._loose) == _MOST:
            self._joined.append(_join(self._loose))
            self._loose.clear()

    def whole(self) -> str | bytes:
        """Join them all; at least one has been added."""
        return _join(self._joined + self._loose)


def _join(pieces: list[str | bytes]) -> str | bytes:
    empty = pieces[0][:0]
    return empty.join(pieces)  # type: ignore[arg-type]  # all of one kind
