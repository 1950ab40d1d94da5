"""reader: frames in, messages and control frames out, in the order of RFC 6455 §5 to §8."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from random import Random
from time import process_time
from typing import Any

import pytest
from tests.support.protocols.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    LIMITS,
    NO_LIMITS,
    PING,
    PONG,
    TEXT,
    bytewise,
    deflated,
    fragments,
    frame,
    header,
    masked,
    read,
)
from tests.support.times import MS

from greenserve.websocket import Close, Deflate, Failure, MessageReader, Ping, Pong, ReadLimits
from greenserve.websocket.framing.events import FRAGMENT


def _failure(
    *frames: bytes, limits: ReadLimits = LIMITS, deflate: Callable[[], Deflate] | None = None
) -> Failure:
    """How the stream fails: the same whole and byte by byte, and nothing comes behind it."""
    data = b"".join(frames)
    found = []
    for pieces in ([data], bytewise(data), [data, frame(TEXT, b"more"), frame(PING)]):
        event = read(*pieces, limits=limits, deflate=deflate() if deflate else None)[-1]
        assert isinstance(event, Failure), event
        found.append(event)
    assert found[0] == found[1] == found[2]
    assert len(found[0].reason.encode()) <= 123, "it must fit into a close frame"
    return found[0]


class TestFraming:
    """RFC 6455 §5.2."""

    def test_5_7_the_examples(self) -> None:
        assert read(bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")) == ["Hello"]
        assert read(bytes.fromhex("89 85 37 fa 21 3d 7f 9f 4d 51 58")) == [Ping(b"Hello")]
        assert read(bytes.fromhex("8a 85 37 fa 21 3d 7f 9f 4d 51 58")) == [Pong(b"Hello")]

    @pytest.mark.parametrize(
        "size", [0, 1, 124, 125, 126, 127, 128, 254, 255, 256, 1023, 1024, 65535, 65536, 70000]
    )
    def test_5_2_every_form_of_the_length(self, size: int) -> None:
        text = "x" * size
        data = bytes(range(256)) * (size // 256 + 1)
        assert read(frame(TEXT, text.encode()) + frame(BINARY, data[:size])) == [text, data[:size]]

    @pytest.mark.parametrize("size", [0, 5, 125, 126, 1024, 65536])
    def test_5_2_in_pieces(self, size: int) -> None:
        stream = frame(TEXT, b"x" * size) + frame(BINARY, bytes(size)) + frame(PING, b"y")
        for cut in {*range(20), *range(len(stream) - 20, len(stream)), len(stream) // 2}:
            assert read(stream[:cut], stream[cut:]) == ["x" * size, bytes(size), Ping(b"y")]

    @pytest.mark.parametrize("first", [*range(0x83, 0x88), *range(0x8B, 0x90)])
    def test_5_2_reserved_opcodes(self, first: int) -> None:
        assert _failure(frame(first & 15, b"x")).code == 1002

    @pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
    @pytest.mark.parametrize("rsv", [1, 2, 3, 4, 5, 6, 7])
    def test_5_2_reserved_bits_that_were_not_negotiated(self, opcode: int, rsv: int) -> None:
        assert _failure(frame(opcode, rsv=rsv)).code == 1002
        if rsv != 4:
            assert _failure(frame(opcode, rsv=rsv), deflate=Deflate).code == 1002

    def test_5_1_a_frame_without_a_mask(self) -> None:
        for opcode in (TEXT, BINARY, PING, CLOSE):
            assert _failure(frame(opcode, b"", key=None)).code == 1002
        for size in (1, 125, 126, 70000):
            # Only its header need come for that.
            assert _failure(header(0x81, size, mask=False)).code == 1002

    @pytest.mark.parametrize(
        ("size", "form"), [(0, 126), (125, 126), (0, 127), (125, 127), (126, 127), (65535, 127)]
    )
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION])
    def test_5_2_lengths_not_in_their_shortest_form(self, size: int, form: int, opcode: int) -> None:
        assert _failure(header(0x80 | opcode, size, form=form)).code == 1002
        assert _failure(frame(opcode, bytes(size), form=form)).code == 1002

    @pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1])
    def test_5_2_a_length_with_its_highest_bit_set(self, length: int) -> None:
        assert _failure(header(0x82, length)).code == 1002
        assert _failure(header(0x82, length), limits=NO_LIMITS).code == 1002

    @pytest.mark.parametrize("key", [bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\1\0\0\0"])
    def test_5_3_every_key(self, key: bytes) -> None:
        for size in (1, 2, 3, 4, 5, 127, 1500):
            assert read(frame(BINARY, b"\x80" * size, key=key)) == [b"\x80" * size]


class TestFragments:
    """RFC 6455 §5.4."""

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_5_4_a_message_in_many_frames(self, opcode: int) -> None:
        wanted: Any = "abcdef" if opcode == TEXT else b"abcdef"
        stream = b"".join(fragments(opcode, b"ab", b"", b"cde", b"f"))
        assert read(stream + stream) == [wanted, wanted]
        assert read(*bytewise(stream + stream)) == [wanted, wanted]

    def test_5_4_empty_fragments_only(self) -> None:
        assert read(*fragments(TEXT, b"", b"", b"")) == [""]
        assert read(*fragments(BINARY, b"", b"")) == [b""]

    def test_5_4_control_frames_between_fragments(self) -> None:
        one, two, three = fragments(TEXT, b"a", b"b", b"c")
        stream = [one, frame(PING, b"1"), frame(PONG, b"2"), two, frame(PING, b"3"), three, frame(TEXT, b"d")]
        wanted = [Ping(b"1"), Pong(b"2"), Ping(b"3"), "abc", "d"]
        assert read(*stream) == read(b"".join(stream)) == read(*bytewise(b"".join(stream))) == wanted

    def test_5_4_a_close_between_fragments(self) -> None:
        one, two = fragments(TEXT, b"a", b"b")
        assert read(one, frame(CLOSE, b"\x03\xe8"), two) == [Close(1000, "")]

    @pytest.mark.parametrize("fin", [True, False])
    def test_5_4_a_continuation_of_nothing(self, fin: bool) -> None:
        assert _failure(frame(CONTINUATION, b"x", fin=fin)).code == 1002
        assert _failure(frame(TEXT, b"a"), frame(CONTINUATION, b"", fin=fin)).code == 1002

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("fin", [True, False])
    def test_5_4_a_message_inside_of_a_message(self, opcode: int, fin: bool) -> None:
        assert _failure(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin)).code == 1002
        assert _failure(frame(BINARY, b"", fin=False), frame(opcode, b"", fin=fin)).code == 1002


class TestControlFrames:
    """RFC 6455 §5.5."""

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    def test_5_5_no_more_than_125_bytes(self, opcode: int) -> None:
        for size in (126, 65536):
            assert _failure(header(0x80 | opcode, size)).code == 1002

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    def test_5_5_in_one_frame(self, opcode: int) -> None:
        assert _failure(frame(opcode, b"", fin=False)).code == 1002

    def test_5_5_1_close(self) -> None:
        assert read(frame(CLOSE)) == [Close(1005, "")]
        assert read(frame(CLOSE, b"\x03\xe8")) == [Close(1000, "")]
        assert read(frame(CLOSE, b"\x03\xe9" + "geht grad ☃".encode())) == [Close(1001, "geht grad ☃")]
        assert read(frame(CLOSE, b"\x0f\xa0" + b"x" * 123)) == [Close(4000, "x" * 123)]

    def test_5_5_1_half_a_code(self) -> None:
        assert _failure(frame(CLOSE, b"\x03")).code == 1002

    @pytest.mark.parametrize(
        "reason", [b"\xff", b"\xe2\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"ok\xf4\x90\x80\x80"]
    )
    def test_5_5_1_a_reason_that_is_not_utf8(self, reason: bytes) -> None:
        assert _failure(frame(CLOSE, b"\x03\xe8" + reason)).code == 1007

    @pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
    def test_7_4_codes_that_may_not_be_sent(self, code: int) -> None:
        assert _failure(frame(CLOSE, code.to_bytes(2, "big") + b"x")).code == 1002

    @pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
    def test_7_4_codes_that_may(self, code: int) -> None:
        assert read(frame(CLOSE, code.to_bytes(2, "big") + b"x")) == [Close(code, "x")]

    def test_5_5_1_nothing_counts_behind_a_close(self) -> None:
        garbage = [frame(CLOSE), frame(TEXT, b"late"), b"\xff" * 1000, b"x"]
        assert (
            read(*garbage)
            == read(b"".join(garbage))
            == read(*bytewise(b"".join(garbage)))
            == [Close(1005, "")]
        )
        reader = MessageReader(LIMITS)
        reader.feed(b"".join(garbage))
        assert reader.feed(bytes(1 << 16)) is None
        assert _held_by(reader) == 0

    def test_5_5_2_pings_of_every_size(self) -> None:
        for size in (0, 1, 125):
            assert read(frame(PING, bytes(size)), frame(PONG, b"y" * size)) == [
                Ping(bytes(size)),
                Pong(b"y" * size),
            ]


class TestText:
    """RFC 6455 §8.1: text is UTF-8."""

    GOOD = (
        "κόσμε",
        "\x00",
        "\x7f",
        "\u0080",
        "\u07ff",
        "\ud7ff",
        "\ue000",
        "\ufffd",
        "\uffff",
        "\U00010000",
        "\U0010ffff",
    )
    BAD = (
        *(b"\x80", b"\xff", b"a\xfe", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf"),
        *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xce\xba\xe1"),
    )

    @pytest.mark.parametrize("text", GOOD)
    def test_8_1_text(self, text: str) -> None:
        data = text.encode()
        assert read(frame(TEXT, data)) == read(*bytewise(frame(TEXT, data))) == [text]
        assert read(*fragments(TEXT, *bytewise(data))) == [text]
        assert read(frame(TEXT, deflated(data), rsv=4), deflate=Deflate()) == [text]

    @pytest.mark.parametrize("data", BAD)
    def test_8_1_what_is_none(self, data: bytes) -> None:
        assert _failure(frame(TEXT, data)).code == 1007
        assert _failure(*fragments(TEXT, *bytewise(data))).code == 1007
        assert _failure(*fragments(TEXT, b"", data, b"")).code == 1007
        assert _failure(frame(TEXT, deflated(data), rsv=4), deflate=Deflate).code == 1007
        assert read(frame(BINARY, data)) == [data]

    def test_8_1_it_is_found_before_the_frame_or_the_message_ends(self) -> None:
        begun = frame(TEXT, b"good \xff" + bytes(1000))
        assert MessageReader(LIMITS).feed(begun[:14]) == Failure(
            1007, "not UTF-8: a text message (RFC 6455 §8.1)"
        )
        assert read(frame(TEXT, b"\xf4", fin=False), frame(CONTINUATION, b"\x90", fin=False))[-1:] == [
            Failure(1007, "not UTF-8: a text message (RFC 6455 §8.1)")
        ]

    def test_8_1_half_a_character_at_the_end(self) -> None:
        one, two = fragments(TEXT, b"\xe2\x98", b"\x83")
        assert read(one, two) == ["☃"]
        assert _failure(one, frame(CONTINUATION)).code == 1007


class TestLimits:
    """What a message may cost."""

    SMALL = ReadLimits(size=1000, frames=4, ratio=10)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_message_as_long_as_may_be_and_one_longer(self, opcode: int) -> None:
        whole: Any = "x" * 1000 if opcode == TEXT else b"x" * 1000
        assert read(frame(opcode, b"x" * 1000), limits=self.SMALL) == [whole]
        assert _failure(frame(opcode, b"x" * 1001), limits=self.SMALL).code == 1009

    @pytest.mark.parametrize("first", [0x81, 0x82, 0x01, 0x02, 0xC1, 0xC2, 0x41, 0x42])
    @pytest.mark.parametrize("length", [1001, 1 << 20, 1 << 40, (1 << 63) - 1])
    def test_the_length_that_is_announced_is_enough(self, first: int, length: int) -> None:
        # Only the key that belongs to the header has come.
        failure = _failure(header(first, length) + b"abcd", limits=self.SMALL, deflate=Deflate)
        assert failure == Failure(1009, "message of more than 1000 bytes (ws_max_size)")

    def test_the_sum_of_fragments(self) -> None:
        good = fragments(BINARY, bytes(400), bytes(400), bytes(200))
        assert read(*good, limits=self.SMALL) == [bytes(1000)]
        # The count begins anew with each message.
        assert read(*good, *good, frame(TEXT, b"x" * 1000), *good, limits=self.SMALL)[-1] == bytes(1000)
        assert (
            _failure(*fragments(BINARY, bytes(400), bytes(400), bytes(201)), limits=self.SMALL).code == 1009
        )
        last = header(0x80, 201) + b"abcd"
        assert (
            _failure(*fragments(BINARY, bytes(400), bytes(400), b"")[:2], last, limits=self.SMALL).code
            == 1009
        )

    def test_each_message_is_counted_alone_whichever_way_it_takes(self) -> None:
        kinds = [
            [frame(BINARY, bytes(900))],
            [frame(BINARY, bytes(900))[:300], frame(BINARY, bytes(900))[300:]],
            [frame(TEXT, bytes(900))[:300], frame(TEXT, bytes(900))[300:]],
            [frame(BINARY, deflated(Random(1).randbytes(900)), rsv=4)],
            fragments(TEXT, bytes(400), bytes(500)),
        ]
        for kind in kinds:
            assert len(read(*kind * 10, limits=self.SMALL, deflate=Deflate())) == 10
        mixed = [piece for kind in kinds for piece in kind]
        assert len(read(*mixed * 3, limits=self.SMALL, deflate=Deflate())) == 3 * len(kinds)

    def test_the_number_of_frames(self) -> None:
        pings = [frame(PING)] * 10
        assert read(*fragments(TEXT, b"a", b"b", b"c", b"d"), limits=self.SMALL) == ["abcd"]
        assert read(*fragments(TEXT, b"", b"", b"", b""), frame(TEXT), limits=self.SMALL) == ["", ""]
        assert len(read(*pings, *fragments(TEXT, b"a", b"b")[:1], *pings, limits=self.SMALL)) == 20
        failure = _failure(*fragments(TEXT, b"", b"", b"", b"", b""), limits=self.SMALL)
        assert failure == Failure(1008, "message of more than 4 frames (ws_max_frames)")

    def test_fragments_by_the_hundred_thousand(self) -> None:
        endless = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 200_000
        reader = MessageReader(LIMITS)
        event = reader.feed(endless)
        for _ in range(16384):
            assert event is FRAGMENT, "or nothing else is done until all are read"
            event = reader.next()
        assert event == Failure(1008, "message of more than 16384 frames (ws_max_frames)")
        assert _held_by(reader) == 0

    def test_inflated_size(self) -> None:
        good = frame(TEXT, deflated(b"x" * 1000), rsv=4)
        assert read(good, good, limits=self.SMALL, deflate=Deflate()) == ["x" * 1000] * 2
        data = deflated(b"x" * 1001)
        for bad in ([frame(TEXT, data, rsv=4)], fragments(TEXT, *bytewise(data), b"", rsv=4)):
            failure = _failure(*bad, limits=self.SMALL._replace(frames=0), deflate=Deflate)
            assert failure == Failure(1009, "message inflates to more than 1000 bytes (ws_max_size)")

    def test_inflated_size_over_received(self) -> None:
        limits = ReadLimits(size=0, frames=0, ratio=10)
        for size in (2_000_000, 4 << 20):  # what honest clients send: a blank picture
            plain = deflated(bytes(size))
            assert len(plain) < size // 1000
            assert read(frame(BINARY, plain, rsv=4), limits=limits, deflate=Deflate()) == [bytes(size)]
        more = deflated(bytes((4 << 20) + 1))
        for bad in ([frame(BINARY, more, rsv=4)], fragments(BINARY, more[:500], more[500:], rsv=4)):
            failure = _failure(*bad, limits=limits, deflate=Deflate)
            assert failure == Failure(1009, "message inflates to more than 10 times its size (ws_max_ratio)")
        # What could hardly be compressed may be as long as it wants.
        noise = Random(5).randbytes(5 << 20)
        assert read(frame(BINARY, deflated(noise), rsv=4), limits=limits, deflate=Deflate()) == [noise]

    def test_none(self) -> None:
        big = bytes(20 << 20)
        assert read(frame(BINARY, deflated(big), rsv=4), limits=NO_LIMITS, deflate=Deflate()) == [big]
        assert read(*fragments(BINARY, *[b"x"] * 20_000), limits=NO_LIMITS) == [b"x" * 20_000]

    @pytest.mark.parametrize("cut", [1, 100_000])
    def test_a_bomb_takes_no_more_memory_than_a_message_may(self, cut: int) -> None:
        bomb = deflated(bytes(256 << 20))  # 1000:1
        limits = ReadLimits(size=4 << 20, frames=0, ratio=0)
        pieces = fragments(BINARY, bomb[:cut], bomb[cut:], rsv=4)
        gc.collect()
        tracemalloc.start()
        try:
            assert read(*pieces, limits=limits, deflate=Deflate())[-1].code == 1009  # type: ignore[union-attr]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 3 * limits.size


class TestCost:
    """Time grows as the bytes do, and memory is what a message needs."""

    def test_ten_thousand_frames_in_one_piece(self) -> None:
        frames = (frame(TEXT, b"x") + frame(PING)) * 5_000
        assert _seconds(lambda: len(read(frames)) == 10_000) < 1_000 * MS
        later = [frames[place : place + 65536] for place in range(0, len(frames), 65536)]
        assert read(*later) == read(frames)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_long_frame_in_small_pieces(self, opcode: int) -> None:
        whole = header(0x80 | opcode, 16 << 20) + b"\0\0\0\0" + b"x" * (16 << 20)
        pieces = [whole[place : place + 4096] for place in range(0, len(whole), 4096)]
        assert _seconds(lambda: len(read(*pieces)[0]) == 16 << 20) < 5_000 * MS  # type: ignore[arg-type]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_frame_byte_by_byte(self, opcode: int) -> None:
        pieces = bytewise(header(0x80 | opcode, 100_000) + b"\0\0\0\0" + b"x" * 100_000)
        assert _seconds(lambda: len(read(*pieces)[0]) == 100_000) < 10_000 * MS  # type: ignore[arg-type]

    def test_what_a_frame_announces_takes_no_memory_before_it_comes(self) -> None:
        for first in (0x81, 0x82, 0x01, 0xC1):
            reader = MessageReader(LIMITS, Deflate())
            assert reader.feed(header(first, 16 << 20) + b"abcdxyz") is None
            assert _held_by(reader) < 20_000

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_tiny_pieces_take_no_more_memory_than_their_sum(self, opcode: int) -> None:
        size = 50_000
        begun = header(0x80 | opcode, size + 1) + b"\0\0\0\0"
        reader = MessageReader(LIMITS)
        reader.feed(begun)
        tracemalloc.start()
        try:
            for number in range(size // 2):
                assert reader.feed(b"%02d" % (number % 100)) is None
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert taken < 1.5 * size + 40_000

    def test_a_frame_that_is_cut_does_not_hold_what_came_before_it(self) -> None:
        for cut in (frame(PING, b"x" * 20)[:10], frame(TEXT, b"x")[:1], frame(BINARY, bytes(200))[:3]):
            reader = MessageReader(LIMITS)
            event = reader.feed(frame(PING, b"y" * 100) * 500 + cut)
            while event is not None:
                event = reader.next()
            assert _held_by(reader) < 200

    def test_an_idle_reader_is_small(self) -> None:
        stream = b"".join(
            [
                frame(TEXT, b"a"),
                *fragments(TEXT, b"b", b"c"),  # two events
                *fragments(BINARY, b"d", b"e"),
                frame(TEXT, deflated(b"f" * 500), rsv=4),
                frame(BINARY, bytes(70_000)),
            ]
        )
        deflate = Deflate()
        for pieces in ([], [stream], [stream[:70], stream[70:]], [*bytewise(stream[:100]), stream[100:]]):
            reader = MessageReader(LIMITS, deflate)
            events = []
            for piece in pieces:
                event = reader.feed(piece)
                while event is not None:
                    events.append(event)
                    event = reader.next()
            assert len(events) in (0, 5 + 2)
            assert _held_by(reader, deflate) == 0
            assert sys.getsizeof(reader) <= 200

    def test_nothing_is_parsed_before_it_is_asked_for(self) -> None:
        reader = MessageReader(LIMITS)
        assert reader.feed(frame(TEXT, b"a") + frame(TEXT, b"\xff") + frame(TEXT, b"c")) == "a"
        assert isinstance(reader.next(), Failure)
        assert reader.next() is None
        bomb = frame(BINARY, deflated(bytes(1 << 20)), rsv=4)
        reader = MessageReader(LIMITS, Deflate())
        assert reader.feed(frame(TEXT, b"a") + bomb) == "a"
        assert _held_by(reader) < len(bomb) + 20_000
        assert reader.next() == bytes(1 << 20)

    def test_more_may_come_before_all_was_taken(self) -> None:
        reader = MessageReader(LIMITS)
        assert reader.feed(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"cd")[:7]) == "a"
        assert reader.feed(frame(TEXT, b"cd")[7:] + frame(PING)) == "b"
        assert [reader.next(), reader.next(), reader.next()] == ["cd", Ping(b""), None]


def _held_by(reader: MessageReader, *shared: object) -> int:
    """Bytes that a reader keeps alive, but for itself, its limits and what every reader shares."""
    values = [getattr(reader, name) for name in MessageReader.__slots__ if name not in ("_limits", "_key")]
    held, seen = 0, {id(one) for one in shared}
    while values:
        value = values.pop()
        if id(value) in seen or isinstance(value, int | type | Callable) or value is None or value == b"":  # type: ignore[arg-type]
            continue
        seen.add(id(value))
        held += sys.getsizeof(value)
        if not isinstance(value, bytes | bytearray | str):
            values += gc.get_referents(value)
    return held


def _seconds(take: Callable[[], bool]) -> float:
    began = process_time()
    assert take()
    return process_time() - began


def test_the_support_masks_as_the_rfc_says() -> None:
    assert masked(b"Hello", b"\x37\xfa\x21\x3d") == bytes.fromhex("7f 9f 4d 51 58")
