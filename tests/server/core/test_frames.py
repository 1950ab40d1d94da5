"""frames.c: what it takes and makes is what Python takes and makes, under every setting; all else it leaves alone."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    TEXT,
    bytewise,
    deflated,
    fragments,
    frame,
    header,
    masked,
)
from tests.support.protocols.frames_both_ways import BothReaders, Setting, all_settings, encode_both_ways
from tests.support.protocols.heads import split

from greenserve.core import core
from greenserve.websocket import ReadLimits, encode_message

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(core is None, reason="without the compiled core"),
]

_SETTINGS = st.sampled_from(all_settings())
_WIDE = Setting(ReadLimits(1 << 30, 1000, 20), is_compressed=False)
_EVER = 1 << 64
# Where the form of the header changes, and where the way of unmasking does.
_SIZES = [*range(35), 63, 64, 65, 124, 125, 126, 127, 128, 255, 256, 65535, 65536, 65537]
_NOT_UTF8 = [b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x98", b"\xff", b"a\xf8"]
_CHARACTERS = st.text(st.sampled_from("a\0\x7f\x80é☃\uffff😀"), max_size=40)


@st.composite
def _payloads(draw: st.DrawFn) -> bytes:
    seed = draw(st.one_of(_CHARACTERS.map(str.encode), st.binary(max_size=20), st.sampled_from(_NOT_UTF8)))
    return draw(st.sampled_from([b"", b"", b"x" * 100, b"x" * 300, b"x" * 65530])) + seed


_HEADERS = st.builds(
    lambda first, second, rest: bytes([first, second]) + rest,
    st.sampled_from([0x81, 0x82]) | st.integers(0, 255),
    st.sampled_from([0xFE, 0xFF, 0x7E, 0x7F, 0x80, 0xFD]) | st.integers(0, 255),
    st.sampled_from([b"\0\x7d", b"\0\x7e", *(n.to_bytes(8, "big") for n in (0, 65535, 65536, 1 << 63))])
    | st.binary(max_size=14),
)
_FRAMES = st.one_of(
    st.builds(frame, st.sampled_from([TEXT, BINARY]), _payloads(), key=st.binary(min_size=4, max_size=4)),
    st.builds(
        frame,
        st.sampled_from([TEXT, BINARY, CONTINUATION, PING, CLOSE]) | st.integers(0, 15),
        _payloads(),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 4, 2, 1, 7]),
        key=st.sampled_from([KEY, KEY, KEY, None]),
    ),
    st.builds(lambda data: frame(TEXT, deflated(data), rsv=4), _payloads()),
    st.builds(
        lambda opcode, *payloads: b"".join(fragments(opcode, *payloads)),
        st.sampled_from([TEXT, BINARY]),
        *[_payloads()] * 2,
    ),
    _HEADERS,
)


@given(_SETTINGS, st.lists(_FRAMES, max_size=6), st.lists(st.integers(0, 700), max_size=4), st.booleans())
@examples(1500)
def test_reads_what_python_reads(setting: Setting, frames: list[bytes], cuts: list[int], eager: bool) -> None:
    BothReaders(setting).read(split(b"".join(frames), cuts), eager)


@given(_SETTINGS, st.lists(_FRAMES, max_size=4))
@examples(150)
def test_byte_by_byte(setting: Setting, frames: list[bytes]) -> None:
    BothReaders(setting).read(bytewise(b"".join(frames)[:2000]))


@pytest.mark.parametrize("is_compressed", [False, True])
def test_cut_at_every_place(is_compressed: bool) -> None:
    stream = b"".join(
        [
            frame(TEXT, "aé☃".encode()),
            frame(BINARY, b"x" * 130),
            frame(PING, b"p"),
            *fragments(TEXT, b"\xe2", b"\x98\x83"),
            frame(TEXT, b""),
            frame(CLOSE, b"\x03\xe8"),
        ]
    )
    for place in range(len(stream)):
        BothReaders(_WIDE._replace(is_compressed=is_compressed)).read([stream[:place], stream[place:]])


@given(
    st.one_of(_CHARACTERS, st.text(max_size=10), st.binary(max_size=40), st.just("\ud800")),
    st.sampled_from([0, 1, 30, 130, 260, 65536]),
    _SETTINGS,
)
@examples(600)
def test_makes_what_python_makes(message: str | bytes, times: int, setting: Setting) -> None:
    encode_both_ways(message * times, setting)


class TestTakes:
    @pytest.mark.parametrize("size", _SIZES)
    def test_whole_messages(self, size: int) -> None:
        assert core is not None
        plain = (bytes(range(128)) * (size // 128 + 1))[:size]
        for key in (KEY, bytes(4), b"\xff" * 4):
            for opcode, message in ((TEXT, plain.decode()), (BINARY, plain)):
                for before, behind in ((b"", b""), (b"xyz", b"\x81")):
                    data = before + frame(opcode, plain, key=key) + behind
                    at, end = len(before), len(data) - len(behind)
                    assert core.take_message(data, at, size) == message
                    assert core.take_message(data, at, _EVER) == message
                    assert core.end_of_message(data, at) == end
                    assert core.take_message(data, at, size - 1) is None

    @pytest.mark.parametrize("text", ["é", "a" * 40 + "☃", "☃" + "a" * 40, "😀" * 100, "\x7f\x80", "\uffff"])
    def test_text(self, text: str) -> None:
        assert core is not None
        assert core.take_message(frame(TEXT, text.encode()), 0, 1000) == text

    @pytest.mark.parametrize("size", _SIZES)
    def test_makes(self, size: int) -> None:
        assert core is not None
        for message in (b"x" * size, "x" * size, "é" * (size // 2)):
            payload = message if isinstance(message, bytes) else message.encode()
            found = core.make_frame(message, sys.maxsize)
            assert found == header(0x82 if message is payload else 0x81, len(payload), mask=False) + payload
            assert core.make_frame(message, len(payload)) == found
            assert core.make_frame(message, len(payload) - 1) is None


class TestLeaves:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x81",
            *(frame(opcode, b"x") for opcode in (0, 3, 7, 8, 9, 10, 15)),
            *(frame(TEXT, b"x", rsv=rsv) for rsv in (1, 2, 4, 7)),
            frame(TEXT, b"x", fin=False),
            frame(TEXT, b"x", key=None),
            frame(BINARY, b"x" * 200, key=None),
            frame(TEXT, b"x", key=None) + bytes(9),
            frame(BINARY, b"x" * 200, key=None) + bytes(9),
            *(frame(TEXT, bad) for bad in _NOT_UTF8),
            *(frame(BINARY, b"x" * size)[:-1] for size in (1, 125, 126, 65535, 65536)),
            *(header(0x82, size, mask=True) + b"key" for size in (0, 126, 65536)),
            b"\x82\xfe\0\x7d" + KEY + bytes(125),
            b"\x82\xfe\0\0" + KEY,
            b"\x82\xff" + (65535).to_bytes(8, "big") + KEY + bytes(65535),
            b"\x82\xff" + bytes(8) + KEY,
            *(b"\x82\xff" + (2**63 + n).to_bytes(8, "big") + KEY for n in (-1, 0, 1)),
            b"\x82" + b"\xff" * 20,
        ],
        ids=lambda data: data[:16].hex(),
    )
    def test_these_to_python(self, data: bytes) -> None:
        assert core is not None
        assert core.take_message(data, 0, _EVER) is None
        BothReaders(_WIDE).read([data])
        BothReaders(_WIDE._replace(is_compressed=True)).read([data])

    def test_what_is_not_bytes_or_not_there(self) -> None:
        assert core is not None
        data = frame(TEXT, b"x")
        for one in (bytearray(data), memoryview(data), data.decode("latin-1"), None):
            assert core.take_message(one, 0, _EVER) is None
        for at in (-1, -len(data), len(data), len(data) + 1, sys.maxsize):
            assert core.take_message(data, at, _EVER) is None
        for longest in (-1, -_EVER, 0):
            assert core.take_message(data, 0, longest) is None

    def test_what_is_no_message(self) -> None:
        assert core is not None
        text = type("Text", (str,), {})
        for message in ("a\ud800", text("a"), bytearray(b"x"), memoryview(b"x"), None, 1):
            assert core.make_frame(message, sys.maxsize) is None


def test_a_message_keeps_no_utf8() -> None:
    """As str.encode() leaves none in it: a str that is sent to a thousand clients takes no more memory for it."""
    message = "é" * 1000
    before = sys.getsizeof(message)
    encode_message(message)
    assert sys.getsizeof(message) == before


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4), st.integers(0, 20))
@examples(200)
def test_unmasks_from_any_address(data: bytes, key: bytes, offset: int) -> None:
    assert core is not None
    view: Any = memoryview(bytes(offset) + masked(data, key))[offset:]
    assert core.unmask(view, key) == data


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        *(("take_message", arguments) for arguments in ((), (b"", 0), (b"", "", 0), (b"", 0, ""), (b"", 0, None))),
        *(("end_of_message", arguments) for arguments in ((), (b"", ""), (b"", 0, 0))),
        *(("make_frame", arguments) for arguments in ((), (b"",), (b"", ""), (b"", None))),
        *(("unmask", arguments) for arguments in ((), (b"",), ("", b"1234"), (b"", "1234"))),
    ],
)  # fmt: skip
def test_wrong_arguments(function: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        getattr(core, function)(*arguments)


def test_wrong_values() -> None:
    assert core is not None
    for key in (b"", b"123", b"12345"):
        with pytest.raises(ValueError, match="4 bytes"):
            core.unmask(b"x", key)
    with pytest.raises(ValueError, match="no message"):
        core.end_of_message(b"\x89\x80" + KEY, 0)
    for call in (lambda: core.take_message(b"", _EVER, 0), lambda: core.make_frame(b"", _EVER)):
        with pytest.raises(OverflowError):
            call()


def test_nothing_is_left_in_memory() -> None:
    """Neither what was taken, nor what was begun and left to Python."""
    assert core is not None
    whole = [frame(opcode, "aé".encode() * 300) for opcode in (TEXT, BINARY)]
    whole.append(frame(TEXT, b"x" * 700))
    wrong = frame(TEXT, b"x" * 700 + b"\xff")

    def rounds(count: int) -> int:
        for _ in range(count):
            for data in whole:
                message = core.take_message(data, 0, 1 << 40)
                assert core.end_of_message(data, 0) == len(data)
                assert core.make_frame(message, sys.maxsize) is not None
                assert core.make_frame(message, 500) is None
            assert core.take_message(wrong, 0, 1 << 40) is None
            assert core.make_frame("x" * 700 + "\ud800", sys.maxsize) is None
            with pytest.raises(ValueError, match="4 bytes"):
                core.unmask(bytearray(b"x"), b"")
        gc.collect()
        return sys.getallocatedblocks()

    rounds(100)
    before = rounds(10)
    assert rounds(5000) <= before + 20
