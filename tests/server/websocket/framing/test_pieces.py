"""pieces: what came in many pieces, joined."""

from __future__ import annotations

import pytest

from greenserve.websocket.framing.pieces import Pieces


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 2048, 5000])
def test_they_are_joined_in_their_order(count: int) -> None:
    text, data = Pieces(), Pieces()
    for number in range(count):
        text.add(f"{number},")
        data.add(b"%d," % number)
    wanted = "".join(f"{number}," for number in range(count))
    assert text.whole() == wanted
    assert data.whole() == wanted.encode()


def test_pieces_without_anything_in_them() -> None:
    for empty in ("", b""):
        pieces = Pieces()
        pieces.add(empty)
        pieces.add(empty)
        assert pieces.whole() == empty
