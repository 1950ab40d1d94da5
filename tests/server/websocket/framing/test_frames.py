"""frames: what we send, in the order of RFC 6455 §5, read back by wsproto as a client and by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.extensions import PerMessageDeflate

from greenserve.websocket import (
    BINARY,
    CONTINUATION,
    TEXT,
    Deflate,
    encode_close,
    encode_fragment,
    encode_message,
    encode_ping,
    encode_pong,
    encode_shared,
)


def _client(bits: int | None = None, takeover: bool = True) -> Connection:
    if bits is None:
        return Connection(ConnectionType.CLIENT)
    deflate = PerMessageDeflate()
    flags = "" if takeover else "; server_no_context_takeover"
    deflate.finalize(f"permessage-deflate; server_max_window_bits={bits}{flags}")
    return Connection(ConnectionType.CLIENT, [deflate])


def _received(client: Connection, *frames: bytes) -> list[Any]:
    found: list[Any] = []
    message: list[Any] = []
    for data in frames:
        client.receive_data(data)
        for event in client.events():
            if isinstance(event, TextMessage | BytesMessage):
                message.append(event.data if isinstance(event, TextMessage) else bytes(event.data))
                if event.message_finished:
                    found.append(message[0][:0].join(message))
                    message = []
            else:
                found.append(event)
    return found


class TestMessages:
    """RFC 6455 §5.2 and §5.6."""

    def test_5_7_the_examples(self) -> None:
        assert encode_message("Hello") == bytes.fromhex("81 05 48 65 6c 6c 6f")
        assert encode_fragment(b"Hel", TEXT, False) == bytes.fromhex("01 03 48 65 6c")
        assert encode_fragment(b"lo", CONTINUATION, True) == bytes.fromhex("80 02 6c 6f")
        assert encode_ping(b"Hello") == bytes.fromhex("89 05 48 65 6c 6c 6f")
        assert encode_pong(b"Hello") == bytes.fromhex("8a 05 48 65 6c 6c 6f")
        assert encode_message(bytes(256))[:4] == bytes.fromhex("82 7E 01 00")
        assert encode_message(bytes(65536))[:10] == bytes.fromhex("82 7F 00 00 00 00 00 01 00 00")

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
    def test_5_2_every_form_of_the_length(self, size: int) -> None:
        for message in ("x" * size, bytes(size)):
            for data in (encode_message(message), encode_shared(message, None)):
                assert _received(_client(), data) == [message]
                header = 2 if size < 126 else 4 if size < 65536 else 10
                assert len(data) == header + size
                assert not data[1] & 0x80, "a server never masks (§5.1)"

    def test_5_6_text_is_utf8(self) -> None:
        assert encode_message("☃") == b"\x81\x03\xe2\x98\x83"
        for encode in (encode_message, lambda message: encode_shared(message, None)):
            with pytest.raises(UnicodeEncodeError):
                encode("\ud800")

    @pytest.mark.parametrize("message", [None, 5, ["a"], bytearray(b"a"), memoryview(b"a")])
    def test_5_6_nothing_but_text_and_bytes(self, message: Any) -> None:
        for encode in (encode_message, lambda one: encode_shared(one, None)):
            with pytest.raises(TypeError, match="str or bytes"):
                encode(message)

    def test_5_6_subclasses_are_what_they_are(self) -> None:
        class Text(str):
            __slots__ = ()

            def encode(self, *args: Any) -> bytes:
                return b"other"

        assert encode_message(Text("abc")) == encode_message("abc") == encode_shared(Text("abc"), None)
        assert encode_message(type("Data", (bytes,), {})(b"abc")) == encode_message(b"abc")


class TestFragments:
    """RFC 6455 §5.4."""

    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
    def test_5_4_a_message_in_frames(self, size: int) -> None:
        frames = [
            encode_fragment(bytes(size), BINARY, False),
            encode_fragment(b"", CONTINUATION, False),
            encode_fragment(b"x" * size, CONTINUATION, True),
        ]
        assert _received(_client(), *frames) == [bytes(size) + b"x" * size]

    @pytest.mark.parametrize("opcode", [3, 7, 8, 9, 10, 15, -1, 129])
    def test_5_4_only_data_frames(self, opcode: int) -> None:
        with pytest.raises(ValueError, match="opcode"):
            encode_fragment(b"", opcode, True)


class TestControlFrames:
    """RFC 6455 §5.5."""

    def test_5_5_no_more_than_125_bytes(self) -> None:
        for encode, first in ((encode_ping, 0x89), (encode_pong, 0x8A)):
            assert encode(b"") == bytes([first, 0])
            assert encode(b"x" * 125) == bytes([first, 125]) + b"x" * 125
            with pytest.raises(ValueError, match="125"):
                encode(b"x" * 126)

    def test_5_5_1_close(self) -> None:
        assert encode_close(1000) == b"\x88\x02\x03\xe8"
        assert encode_close(1001, "bye") == b"\x88\x05\x03\xe9bye"
        assert encode_close(1005) == b"\x88\x00"
        assert _received(_client(), encode_close(4999, "☃" * 41)) == [CloseConnection(4999, "☃" * 41)]

    @pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 4999])
    def test_7_4_codes_that_may_be_sent(self, code: int) -> None:
        assert encode_close(code, "x") == b"\x88\x03" + code.to_bytes(2, "big") + b"x"

    @pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536])
    def test_7_4_codes_that_may_not(self, code: int) -> None:
        with pytest.raises(ValueError, match=f"{code} may not be sent: use 1000"):
            encode_close(code)

    def test_7_4_1_1005_has_no_reason(self) -> None:
        with pytest.raises(ValueError, match="1005"):
            encode_close(1005, "x")

    def test_5_5_1_a_reason_is_utf8_and_fits(self) -> None:
        assert len(encode_close(1000, "x" * 123)) == 127
        for long in ("x" * 124, "☃" * 42):
            with pytest.raises(ValueError, match="123"):
                encode_close(1000, long)
        with pytest.raises(UnicodeEncodeError):
            encode_close(1000, "\ud800")


class TestCompression:
    """RFC 7692 §7.2.1."""

    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize("bits", [9, 12, 15])
    def test_7_2_1_messages(self, bits: int, takeover: bool) -> None:
        deflate = Deflate(server_max_window_bits=bits, server_no_context_takeover=not takeover)
        client = _client(bits, takeover)
        for message in ("Hello " * 100, b"x" * 70_000, "Hello " * 100, "☃" * 300):
            data = encode_message(message, deflate)
            assert data[0] & 0x40
            assert len(data) < 300
            assert _received(client, data) == [message]

    def test_7_2_1_takeover_pays(self) -> None:
        deflate = Deflate()
        message = "".join(chr(33 + number * number % 90) for number in range(400))
        assert len(encode_message(message, deflate)) > 3 * len(encode_message(message, deflate))

    def test_small_messages_are_not_compressed(self) -> None:
        deflate = Deflate()
        assert encode_message("x" * 255, deflate) == encode_message("x" * 255) == encode_shared("x" * 255, 15)
        assert encode_message("x" * 256, deflate)[0] == 0xC1
        assert encode_shared(b"x" * 256, 15)[0] == 0xC2

    def test_one_frame_for_all_of_a_room(self) -> None:
        members = {bits: (Deflate(server_max_window_bits=bits), _client(bits)) for bits in (9, 12, 15)}
        for number in range(3):
            for bits, (deflate, client) in members.items():
                own, shared = f"{number} own " * 100, f"{number} shared " * 100
                assert _received(client, encode_message(own, deflate)) == [own]
                assert _received(client, encode_shared(shared, bits)) == [shared]
                deflate.forget()
                assert _received(client, encode_message(own, deflate)) == [own]

    @given(
        st.lists(
            st.tuples(st.text(max_size=40), st.integers(1, 60), st.sampled_from(["own", "shared"])),
            max_size=8,
        )
    )
    @examples(100)
    def test_any_messages_own_and_shared(self, messages: list[tuple[str, int, str]]) -> None:
        deflate, client = Deflate(server_max_window_bits=9), _client(9)
        for text, times, kind in messages:
            if kind == "own":
                data = encode_message(text * times, deflate)
            else:
                data = encode_shared(text * times, 9)
                deflate.forget()
            assert _received(client, data) == [text * times]
