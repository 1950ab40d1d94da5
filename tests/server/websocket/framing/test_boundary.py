"""boundary: where frames begin and end, however the bytes come (RFC 6455 §5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.websocket.framing.boundary import Boundary

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def frame(length: int, opcode: int = 2, *, masked: bool = False) -> bytes:
    bit = 0x80 if masked else 0
    if length < 126:
        size = bytes([bit | length])
    elif length < 1 << 16:
        size = bytes([bit | 126]) + length.to_bytes(2)
    else:
        size = bytes([bit | 127]) + length.to_bytes(8)
    return bytes([0x80 | opcode]) + size + (b"mask" if masked else b"") + bytes(length)


def fed(*pieces: bytes) -> Boundary:
    boundary = Boundary()
    for piece in pieces:
        boundary.feed(piece)
    return boundary


def test_is_not_before_the_head_is_out():
    assert not fed().is_between_frames
    assert not fed(HEAD[:20]).is_between_frames
    assert not fed(HEAD[:-1]).is_between_frames
    assert fed(HEAD).is_between_frames


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 100_000])
@pytest.mark.parametrize("masked", [False, True])
def test_is_at_the_end_of_a_frame_and_nowhere_in_it(length: int, masked: bool):
    whole = frame(length, masked=masked)
    assert fed(HEAD + whole).is_between_frames
    for end in {1, 2, 3, 9, len(whole) // 2, len(whole) - 1} & set(range(1, len(whole))):
        assert not fed(HEAD, whole[:end]).is_between_frames


def test_knows_a_close():
    assert not fed(HEAD, frame(5), frame(5, 9)).closes
    assert fed(HEAD, frame(5), frame(2, 8)).closes
    assert fed(HEAD, frame(5) + frame(2, 8)[:2]).closes


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"\x81\x00", b"SSH-2.0", b"HTTP/1.1 101 X\r\n" + b"X: y\r\n" * 20_000],
)
def test_what_is_no_websocket_is_never_between_frames(data: bytes):
    boundary = fed(data, frame(0), HEAD)
    assert not boundary.is_between_frames
    assert not boundary.closes


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 9, 10]), st.integers(0, 70_000), st.booleans()), max_size=6),
    st.lists(st.integers(1, 70_000), max_size=20),
    st.booleans(),
)
def test_is_the_same_for_every_split(frames: list[tuple[int, int, bool]], steps: list[int], whole: bool):
    encoded = [frame(length, opcode, masked=masked) for opcode, length, masked in frames]
    data = HEAD + b"".join(encoded) + (b"" if whole else b"\x82")
    ends = {len(HEAD)}
    for one in encoded:
        ends.add(max(ends) + len(one))
    boundary = Boundary()
    at = 0
    for step in [*steps, len(data)]:
        boundary.feed(data[at : at + step])
        at = min(at + step, len(data))
        assert boundary.is_between_frames is (at in ends)
    assert not boundary.closes
