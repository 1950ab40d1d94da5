"""Our reader beside wsproto alone: the same events for any stream, however it is cut; and where we differ, by name."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_LIMITS,
    PING,
    PONG,
    TAIL,
    TEXT,
    MendedDeflate,
    by_wsproto,
    bytewise,
    comparable,
    deflated,
    fragments,
    frame,
    read,
    wsproto_deflate,
)
from tests.support.protocols.heads import split
from websockets.speedups import apply_mask
from wsproto.extensions import PerMessageDeflate

import greenserve.websocket
from greenserve.websocket import Close, Deflate, Ping
from greenserve.websocket.framing import masking, reader

_BITS = st.sampled_from([9, 10, 12, 15])
_KEYS = st.binary(min_size=4, max_size=4)
_CODES = st.sampled_from(
    [0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1013, 1015, 1016, 2999, 3000, 4999, 5000]
)
# Lengths around the places where the header's form, or the way of unmasking, changes.
_SIZES = st.sampled_from([0, 1, 3, 125, 126, 127, 128, 125, 126, 127, 128, 1023, 1024, 1025, 65535, 65536])


@st.composite
def payloads(draw: st.DrawFn, is_text: bool) -> bytes:
    size = draw(_SIZES | st.integers(0, 40))
    seeds = st.text(min_size=1, max_size=8).map(str.encode) if is_text else st.binary(min_size=1, max_size=8)
    seed = draw(seeds)
    data = seed * (size // len(seed) + 1)
    # Cut anywhere: of text that may be half a character, which is then an error to be found.
    return data[:size] if draw(st.integers(0, 9)) == 0 or not is_text else data


@st.composite
def controls(draw: st.DrawFn) -> bytes:
    opcode = draw(st.sampled_from([PING, PONG, PING, PONG, PING, PONG, PING, PONG, CLOSE]))
    payload = draw(st.binary(max_size=125) | st.just(b"") | st.just(bytes(125)))
    if opcode == CLOSE:
        reason = draw(st.text(max_size=30)).encode() + draw(st.sampled_from([b"", b"", b"\xff"]))
        payload = draw(st.sampled_from([b"", b"\x03", draw(_CODES).to_bytes(2, "big") + reason]))
    return frame(opcode, payload, key=draw(_KEYS))


@st.composite
def messages(draw: st.DrawFn, compressor: Any, takeover: bool, bits: int) -> list[bytes]:
    """One message: in one frame or many, with control frames between them; compressed or not."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    data = draw(payloads(opcode == TEXT))
    rsv = 0
    if compressor is not None and draw(st.booleans()):
        rsv = 4
        if not data:
            data = b"\0"
        elif takeover:
            data = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        else:
            data = deflated(data, bits)
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=4))
    pieces = [data[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True)]
    frames: list[bytes] = []
    for one in fragments(opcode, *pieces, rsv=rsv):
        frames += draw(st.lists(controls(), max_size=1)) if frames else []
        frames.append(one)
    return frames


@st.composite
def wrong_frames(draw: st.DrawFn) -> list[bytes]:
    """A frame that may break any rule, or noise."""
    if draw(st.integers(0, 4)) == 0:
        return [draw(st.binary(max_size=20))]
    payload = draw(st.binary(max_size=130))
    return [
        frame(
            draw(st.integers(0, 15)),
            payload,
            fin=draw(st.booleans()),
            rsv=draw(st.sampled_from([0, 0, 4, 2, 1, 7])),
            key=draw(st.none() | _KEYS),
            form=draw(st.sampled_from([None, 126, 127])) if len(payload) < 1 << 16 else None,
        )
    ]


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, int | None, bool]:
    """A stream, the window that was negotiated or None, and whether the client may refer to earlier messages."""
    bits = draw(st.none() | _BITS)
    takeover = draw(st.booleans())
    compressor = None if bits is None else zlib.compressobj(wbits=-bits)
    kinds = ["message"] * 6 + ["control"] * 2 + ["wrong"]
    frames: list[bytes] = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=6)):
        if kind == "message":
            frames += draw(messages(compressor, takeover, bits or 15))
        elif kind == "control":
            frames.append(draw(controls()))
        else:
            frames += draw(wrong_frames())
    if frames and draw(st.integers(0, 4)) == 0:
        # Frames in another order: continuations of nothing, messages inside of messages.
        frames = draw(st.permutations(frames))
    data = b"".join(frames)
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 3)) == 0 else data, bits, takeover


_CUTS = st.lists(st.integers(0, 300) | st.integers(0, 140_000), max_size=12)


@given(streams(), _CUTS, st.booleans(), st.sampled_from(["as it is", "speedups", "python"]))
@example((frame(TEXT, deflated(b"0"), rsv=4) + frame(CONTINUATION, b"00"), 9, False), [8], False, "python")
@examples(900)
def test_any_stream_in_any_pieces(
    stream: tuple[bytes, int | None, bool], cuts: list[int], eager: bool, way: str
) -> None:
    data, bits, takeover = stream
    with reading(way):
        _agree_on(data, split(data, cuts), bits, takeover, eager)


@given(streams())
@examples(60)
def test_any_short_stream_byte_by_byte(stream: tuple[bytes, int | None, bool]) -> None:
    data, bits, takeover = stream
    _agree_on(data[:3000], bytewise(data[:3000]), bits, takeover, True)


@contextmanager
def reading(way: str) -> Iterator[None]:
    """As it is, with the compiled core if it is there; or as it is without, with the extra `speedups` or alone."""
    with pytest.MonkeyPatch.context() as patch:
        if way != "as it is":
            patch.setattr(reader, "take_message", None)
            patch.setattr(reader, "unmask", apply_mask if way == "speedups" else masking.in_python)
            patch.setattr(reader, "SHORT", 0 if way == "speedups" else masking.SHORT_IN_PYTHON)
        yield


def _agree_on(data: bytes, pieces: list[bytes], bits: int | None, takeover: bool, eager: bool) -> None:
    theirs = ours = None
    if bits is not None:
        theirs = wsproto_deflate(MendedDeflate, bits, takeover)
        ours = Deflate(client_no_context_takeover=not takeover, client_max_window_bits=bits)
    wanted = by_wsproto([data], theirs)
    assume(theirs is None or not theirs.differs)
    assert comparable(read(*pieces, limits=NO_LIMITS, deflate=ours, eager=eager)) == wanted


# Where we differ: what the stream is, what wsproto makes of it, what we do.

_HELLO = deflated(b"Hello " * 50)
_FINAL = zlib.compress(b"Hello", wbits=-15)  # its only block has BFINAL (RFC 7692 §7.2.3.4)
DIFFERENCES = {
    "1014, bad gateway, is in IANA's registry": (
        [frame(CLOSE, b"\x03\xf6")],
        ["failure", 1002],
        [Close(1014, "")],
    ),
    "a ping inside a compressed message does not end its compression": (
        [
            frame(TEXT, _HELLO[:5], fin=False, rsv=4),
            frame(PING),
            frame(CONTINUATION, _HELLO[5:]),
        ],
        [Ping(b""), "failure", 1007],
        [Ping(b""), "Hello " * 50],
    ),
    "a message inside of a message is refused before it is inflated": (
        [frame(TEXT, fin=False, rsv=4), frame(TEXT, b"\xff" * 9, rsv=4)],
        ["failure", 1007],
        ["failure", 1002],
    ),
    "a block with BFINAL ends a stream and not the connection's compression": (
        [frame(TEXT, _FINAL + b"\0", rsv=4), frame(TEXT, _HELLO, rsv=4)],
        ["Hello", "failure", 1007],
        ["Hello", "Hello " * 50],
    ),
    "a compressed message of no bytes is empty and breaks nothing": (
        [frame(TEXT, b"", rsv=4), frame(TEXT, _HELLO, rsv=4)],
        ["", "failure", 1007],
        ["", "Hello " * 50],
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_where_we_differ(name: str) -> None:
    frames, theirs, ours = DIFFERENCES[name]
    assert by_wsproto(frames, wsproto_deflate(PerMessageDeflate)) == theirs
    assert comparable(read(*frames, deflate=Deflate())) == ours
    assert comparable(read(*bytewise(b"".join(frames)), deflate=Deflate())) == ours


def test_where_we_differ_a_bomb_is_not_inflated_to_its_end() -> None:
    bomb = frame(BINARY, deflated(bytes(30 << 20)), rsv=4)
    assert by_wsproto([bomb], wsproto_deflate(PerMessageDeflate)) == [bytes(30 << 20)]
    assert comparable(read(bomb, deflate=Deflate())) == ["failure", 1009]


def test_the_readme_names_each_difference() -> None:
    text = (Path(greenserve.websocket.__file__).parent / "README.md").read_text()
    assert [name for name in DIFFERENCES if f"| {name} |" not in text] == []


def test_the_tail_is_what_the_wire_leaves_out() -> None:
    assert zlib.decompress(_HELLO + TAIL + b"\x03\0", wbits=-15) == b"Hello " * 50
