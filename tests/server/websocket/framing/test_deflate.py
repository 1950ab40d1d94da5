"""deflate: permessage-deflate, in the order of RFC 7692 §6 and §7."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.frames import (
    BINARY,
    NO_LIMITS,
    PING,
    TAIL,
    TEXT,
    bytewise,
    deflated,
    fragments,
    frame,
    read,
)

from greenserve.websocket import Deflate, Failure, MessageReader, Ping, ReadLimits, compress_alone
from greenserve.websocket.framing.events import Broken

_TEXT = "Hello, world. " * 40


class _Client:
    """A client's compressor, which may refer to earlier messages."""

    def __init__(self, bits: int = 15) -> None:
        self._compressor = zlib.compressobj(wbits=-bits)

    def compress(self, data: bytes) -> bytes:
        return (self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _by_client(data: bytes, inflater: zlib._Decompress) -> bytes:
    return inflater.decompress(data + TAIL)


class TestReservedBits:
    """RFC 7692 §6: RSV1 on the first frame of a message, and there alone."""

    def test_6_compressed_and_plain_messages_in_turn(self) -> None:
        client = _Client()
        stream = [
            frame(TEXT, client.compress(_TEXT.encode()), rsv=4),
            frame(TEXT, b"plain"),
            *fragments(BINARY, b"pl", b"ain"),
            *fragments(TEXT, *bytewise(client.compress(_TEXT.encode())), rsv=4),
            frame(BINARY, client.compress(b"x" * 300), rsv=4),
        ]
        assert read(*stream, deflate=Deflate()) == [_TEXT, "plain", b"plain", _TEXT, b"x" * 300]

    @pytest.mark.parametrize("fin", [True, False])
    def test_6_rsv1_on_a_continuation(self, fin: bool) -> None:
        data = deflated(b"Hello")
        for first in (frame(TEXT, data[:2], fin=False, rsv=4), frame(TEXT, b"a", fin=False)):
            assert read(first, frame(0, data[2:], fin=fin, rsv=4), deflate=Deflate())[-1:] == [
                Failure(1002, "error in extension (RFC 6455 §5)")
            ]

    def test_6_1_rsv1_on_a_control_frame(self) -> None:
        for opcode in (8, 9, 10):
            (failure,) = read(frame(opcode, b"", rsv=4), deflate=Deflate())
            assert isinstance(failure, Failure)
            assert failure.code == 1002

    def test_5_control_frames_are_never_compressed(self) -> None:
        one, two = fragments(TEXT, deflated(b"Hello")[:3], deflated(b"Hello")[3:], rsv=4)
        assert read(one, frame(PING, b"plain"), two, deflate=Deflate()) == [Ping(b"plain"), "Hello"]


class TestContextTakeover:
    """RFC 7692 §7.1.1."""

    def test_7_1_1_1_the_server_refers_to_what_it_sent_before(self) -> None:
        deflate, inflater = Deflate(), zlib.decompressobj(-15)
        first, second = deflate.compress(_TEXT.encode()), deflate.compress(_TEXT.encode())
        assert len(second) < len(first) // 2
        assert _by_client(first, inflater) == _by_client(second, inflater) == _TEXT.encode()

    def test_7_1_1_1_or_never(self) -> None:
        deflate = Deflate(server_no_context_takeover=True)
        first, second = deflate.compress(_TEXT.encode()), deflate.compress(_TEXT.encode())
        assert first == second == compress_alone(_TEXT.encode(), 15)
        assert _by_client(second, zlib.decompressobj(-15)) == _TEXT.encode()

    def test_7_1_1_2_the_client_refers_to_what_it_sent_before(self) -> None:
        client = _Client()
        frames = [frame(TEXT, client.compress(_TEXT.encode()), rsv=4) for _ in range(3)]
        assert len(frames[1]) < len(frames[0])
        assert read(*frames, deflate=Deflate()) == [_TEXT] * 3
        # Who has promised not to has broken the stream.
        assert [type(one) for one in read(*frames, deflate=Deflate(client_no_context_takeover=True))] == [
            str,
            Failure,
        ]

    def test_7_1_1_2_or_never(self) -> None:
        frames = [frame(TEXT, deflated(_TEXT.encode()), rsv=4)] * 3
        for deflate in (Deflate(), Deflate(client_no_context_takeover=True)):
            assert read(*frames, deflate=deflate) == [_TEXT] * 3

    def test_forgetting(self) -> None:
        deflate = Deflate()
        alone = deflate.compress(_TEXT.encode())
        assert deflate.compress(_TEXT.encode()) != alone
        deflate.forget()
        assert deflate.compress(_TEXT.encode()) == alone


class TestWindows:
    """RFC 7692 §7.1.2."""

    @pytest.mark.parametrize("bits", range(9, 16))
    def test_7_1_2_1_ours(self, bits: int) -> None:
        data = bytes(range(256)) * 200
        deflate, inflater = Deflate(server_max_window_bits=bits), zlib.decompressobj(-bits)
        for _ in range(3):
            assert _by_client(deflate.compress(data), inflater) == data
        assert _by_client(compress_alone(data, bits), zlib.decompressobj(-bits)) == data

    @pytest.mark.parametrize("bits", range(9, 16))
    def test_7_1_2_2_the_clients(self, bits: int) -> None:
        client, data = _Client(bits), bytes(range(256)) * 200
        frames = [frame(BINARY, client.compress(data), rsv=4) for _ in range(3)]
        assert read(*frames, deflate=Deflate(client_max_window_bits=bits)) == [data] * 3

    def test_7_1_2_2_a_client_that_uses_more_than_it_has_promised(self) -> None:
        client, far = _Client(15), bytes(range(256))
        stream = [frame(BINARY, client.compress(data), rsv=4) for data in (far, bytes(4000), far)]
        assert read(*stream, deflate=Deflate(client_max_window_bits=13)) == [far, bytes(4000), far]
        assert read(*stream, deflate=Deflate(client_max_window_bits=9)) == [
            *(far, bytes(4000)),
            Failure(1007, "not deflate data (RFC 7692 §7.2.2)"),
        ]

    @pytest.mark.parametrize("bits", [8, 16, 0, -15])
    def test_7_1_2_zlib_has_9_to_15(self, bits: int) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            with pytest.raises(ValueError, match="between 9 and 15"):
                Deflate(**{name: bits})

    def test_compressor_and_decompressor_are_made_when_they_are_used(self) -> None:
        deflate = Deflate()
        assert (deflate._out, deflate._in) == (None, None)
        deflate.compress(b"x")
        assert deflate._in is None
        deflate.inflate(deflated(b"x"), ended=True)
        assert deflate._in is not None


class TestMessages:
    """RFC 7692 §7.2."""

    @pytest.mark.parametrize(
        "payload",
        [
            "f2 48 cd c9 c9 07 00",  # §7.2.3.1, one block
            "00 05 00 fa ff 48 65 6c 6c 6f 00",  # §7.2.3.3, not compressed
            "f3 48 cd c9 c9 07 00 00",  # §7.2.3.4, with BFINAL
            "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",  # §7.2.3.5, two blocks
        ],
    )
    def test_7_2_3_the_examples(self, payload: str) -> None:
        data = bytes.fromhex(payload)
        again = frame(TEXT, deflated(_TEXT.encode()), rsv=4)
        for frames in ([frame(TEXT, data, rsv=4)], fragments(TEXT, *bytewise(data), rsv=4)):
            assert read(*frames, *frames, again, deflate=Deflate()) == ["Hello", "Hello", _TEXT]

    def test_7_2_3_1_in_fragments(self) -> None:
        assert read(
            bytes.fromhex("41 83 00 00 00 00 f2 48 cd 80 84 00 00 00 00 c9 c9 07 00"), deflate=Deflate()
        ) == ["Hello"]

    def test_7_2_3_2_sharing_the_window(self) -> None:
        one, two = (
            frame(TEXT, bytes.fromhex(data), rsv=4) for data in ("f2 48 cd c9 c9 07 00", "f2 00 11 00 00")
        )
        assert read(one, two, deflate=Deflate()) == ["Hello", "Hello"]

    def test_7_2_3_6_an_empty_message(self) -> None:
        assert Deflate().compress(b"") == compress_alone(b"", 15) == b"\0"
        assert read(frame(TEXT, b"\0", rsv=4), frame(BINARY, b"\0", rsv=4), deflate=Deflate()) == ["", b""]
        deflate, inflater = Deflate(), zlib.decompressobj(-15)
        for data in (b"", b"abc", b"", b"", b"abc"):
            assert _by_client(deflate.compress(data), inflater) == data

    def test_7_2_2_a_message_without_a_byte(self) -> None:
        client = _Client()
        one, two = (frame(TEXT, client.compress(_TEXT.encode()), rsv=4) for _ in range(2))
        for empty in ([frame(TEXT, b"", rsv=4)], fragments(TEXT, b"", b"", rsv=4)):
            assert read(*empty, one, *empty, *empty, two, deflate=Deflate()) == ["", _TEXT, "", "", _TEXT]

    def test_7_2_3_4_a_final_block_with_nothing_behind_it(self) -> None:
        final = zlib.compress(_TEXT.encode(), wbits=-15)
        for frames in ([frame(TEXT, final, rsv=4)], fragments(TEXT, *bytewise(final), b"", rsv=4)):
            assert read(*frames, *frames, frame(TEXT, deflated(b"x"), rsv=4), deflate=Deflate()) == [
                _TEXT,
                _TEXT,
                "x",
            ]

    def test_7_2_3_4_a_final_block_that_ends_in_what_the_wire_leaves_out(self) -> None:
        # An empty block that is stored, with BFINAL; and one that is not, and has no end of its own.
        for data, text in ((deflated(b"Hello") + TAIL + b"\x01", "Hello"), (b"\x0b", "P")):
            for frames in ([frame(TEXT, data, rsv=4)], fragments(TEXT, data, b"", rsv=4)):
                assert read(*frames, *frames, deflate=Deflate()) == [text, text]

    def test_7_2_3_4_messages_with_final_blocks_inside(self) -> None:
        data = zlib.compress(b"Hello", wbits=-15) + zlib.compress(b", ", wbits=-15) + deflated(b"world")
        for frames in ([frame(TEXT, data, rsv=4)], fragments(TEXT, *bytewise(data), rsv=4)):
            assert read(*frames, *frames, deflate=Deflate()) == ["Hello, world"] * 2

    def test_7_2_3_4_final_blocks_by_the_thousand(self) -> None:
        # Each would cost a fresh decompressor, for two bytes.
        for frames in (
            [frame(TEXT, b"\x03\0" * 100_000, rsv=4)],
            fragments(TEXT, b"\x03\0" * 50, b"\x03\0", rsv=4),
        ):
            assert read(*frames, deflate=Deflate()) == [
                Failure(1008, "more than 16 final blocks in a message (RFC 7692 §7.2.3.4)")
            ]
        good, bad = b"\x03\0" * 16 + b"\0", b"\x03\0" * 17
        assert read(frame(TEXT, good, rsv=4), frame(TEXT, good, rsv=4), deflate=Deflate()) == ["", ""]
        # However they are cut.
        for place in range(len(good)):
            assert read(*fragments(TEXT, good[:place], good[place:], rsv=4), deflate=Deflate()) == [""]
            (failure,) = read(*fragments(TEXT, bad[:place], bad[place:], rsv=4), deflate=Deflate())
            assert isinstance(failure, Failure)

    @pytest.mark.parametrize("data", [b"\xff", b"\xff\xff\xff", b"\x06", b"\x00\x01\x00\x00\x00x"])
    def test_7_2_2_what_is_not_deflate_data(self, data: bytes) -> None:
        for frames in ([frame(BINARY, data, rsv=4)], fragments(BINARY, *bytewise(data), rsv=4)):
            assert read(*frames, deflate=Deflate()) == [Failure(1007, "not deflate data (RFC 7692 §7.2.2)")]

    @given(
        st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 50), st.booleans(), st.integers(9, 15)
    )
    @examples(100)
    def test_7_2_any_messages_there_and_back(
        self, messages: list[bytes], times: int, forgets: bool, bits: int
    ) -> None:
        ours = Deflate(server_max_window_bits=bits, server_no_context_takeover=forgets)
        theirs = Deflate(client_max_window_bits=bits, client_no_context_takeover=forgets)
        for message in messages:
            assert theirs.inflate(ours.compress(message * times), ended=True) == message * times


class TestBounds:
    """What is inflated at all: tests of the reader have the limits."""

    def test_no_more_than_one_byte_above(self) -> None:
        deflate = Deflate()
        deflate.limits = ReadLimits(size=1000, frames=0, ratio=0)
        assert deflate.inflate(deflated(bytes(1000)), ended=True) == bytes(1000)
        with pytest.raises(Broken) as caught:
            deflate.inflate(deflated(bytes(50_000_000)), ended=True)
        assert caught.value.failure == Failure(1009, "message inflates to more than 1000 bytes (ws_max_size)")

    def test_the_count_goes_on_over_pieces_and_begins_anew_with_a_message(self) -> None:
        deflate = Deflate()
        deflate.limits = ReadLimits(size=1000, frames=0, ratio=0)
        client = _Client()
        for _ in range(3):
            data = client.compress(bytes(1000))
            assert deflate.inflate(data[:3], ended=False) + deflate.inflate(data[3:], ended=True) == bytes(
                1000
            )
        data = client.compress(bytes(1001))
        with pytest.raises(Broken):
            _ = [deflate.inflate(piece, ended=False) for piece in bytewise(data)]

    def test_final_blocks_count_together(self) -> None:
        deflate = Deflate()
        deflate.limits = ReadLimits(size=1000, frames=0, ratio=0)
        six_hundred = zlib.compress(bytes(600), wbits=-15)
        with pytest.raises(Broken):
            deflate.inflate(six_hundred * 2, ended=True)

    def test_the_reader_sets_the_limits(self) -> None:
        deflate = Deflate()
        assert deflate.limits == NO_LIMITS
        MessageReader(ReadLimits(1, 2, 3), deflate)
        assert deflate.limits == (1, 2, 3)
