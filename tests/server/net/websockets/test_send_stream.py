"""send_stream: a message in pieces that are made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.clients.ws_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    WSClient,
    closing,
    frame,
)
from tests.support.clients.ws_open import LARGE, Sockets, shrink

from greenserve import Event, WebSocketClosed, kill, spawn
from greenserve.websocket import encode_shared
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too

POLICIES = ["wait", "drop", "close"]


def _everything(client: WSClient) -> list[Frame]:
    """All frames until the connection ends."""
    frames = []
    while True:
        try:
            frames.append(client.frame())
        except (EOFError, OSError):
            return frames


class TestSendStream:
    def test_5_4_fragments_as_they_come(self, opened: Sockets) -> None:
        ws, client = opened.open()
        go = Event()

        def pieces() -> Iterator[str]:
            yield "Grüße"
            go.wait()
            yield ""
            yield " an alle"

        sender = spawn(ws.send_stream, pieces())
        assert client.frame() == Frame(TEXT, "Grüße".encode(), False)
        assert ws.messages_sent == 0
        go.send()
        assert client.frame() == Frame(CONTINUATION, b" an alle", False)
        assert client.frame() == Frame(CONTINUATION, b"", True)
        sender.wait()
        assert ws.messages_sent == 1
        ws.send_stream([b"1", b"2"])
        assert client.message() == b"12"

    def test_to_a_slow_client(self, opened: Sockets) -> None:
        ws, client = opened.open(when_slow="drop")
        shrink(ws)
        spawn(ws.send_stream, (bytes([i]) * 50_000 for i in range(40)))
        assert client.message() == b"".join(bytes([i]) * 50_000 for i in range(40))

    @pytest.mark.parametrize(("piece", "opcode"), [("", TEXT), (b"", BINARY)])
    def test_of_empty_pieces_it_is_an_empty_message(self, opened: Sockets, piece: Any, opcode: int) -> None:
        ws, client = opened.open()
        ws.send_stream([piece, piece])
        assert client.frame() == Frame(opcode, b"", True)

    def test_of_no_pieces_it_is_an_error_and_nothing_is_sent(self, opened: Sockets) -> None:
        ws, client = opened.open()
        with pytest.raises(ValueError, match="a message of no pieces"):
            ws.send_stream([])
        ws.send("x")
        assert client.message() == "x"

    def test_an_error_before_the_first_piece_costs_nothing(self, opened: Sockets) -> None:
        def pieces() -> Iterator[str]:
            yield ""
            raise LookupError

        ws, client = opened.open()
        with pytest.raises(LookupError):
            ws.send_stream(pieces())
        for whole in ("as one", b"as one"):
            with pytest.raises(TypeError, match=r"send\(\) a whole message"):
                ws.send_stream(whole)  # type: ignore[arg-type]
        ws.send("x")
        assert client.message() == "x"

    @pytest.mark.parametrize(
        ("piece", "error"), [(b"x", TypeError), ("\ud800", UnicodeEncodeError), (None, LookupError)]
    )
    def test_an_error_in_the_midst_closes(self, opened: Sockets, piece: Any, error: type[Exception]) -> None:
        def pieces() -> Iterator[Any]:
            yield "begun"
            if piece is None:
                raise LookupError
            yield piece

        ws, client = opened.open()
        with pytest.raises(error):
            ws.send_stream(pieces())
        assert client.frame() == Frame(TEXT, b"begun", False)
        assert client.agree() == (1011, "the message can't be sent to its end")
        assert ws.messages_sent == 0

    def test_killed_in_the_midst_it_closes(self, opened: Sockets) -> None:
        ws, client = opened.open()
        sender = spawn(ws.send_stream, [bytes(LARGE), b"x"])
        wait_all_blocked()
        kill(sender)
        found = client.frame()
        assert (len(found.payload), found.fin) == (LARGE, False)
        assert client.agree()[0] == 1011

    @pytest.mark.parametrize("policy", POLICIES)
    def test_others_come_after_it_and_pings_do_not_wait(self, opened: Sockets, policy: str) -> None:
        ws, client = opened.open(when_slow=policy)
        go = Event()

        def pieces() -> Iterator[bytes]:
            yield b"1"
            go.wait()
            yield b"2"

        streams = spawn(ws.send_stream, pieces())
        wait_all_blocked()
        sender = spawn(ws.send, "direct")
        second = spawn(ws.send_stream, [b"3", b"4"])
        wait_all_blocked()
        assert sender.dead is (policy != "wait")
        assert ws.send_shared(encode_shared("shared", None))
        ws.ping(b"!")
        client.send(frame(PING, b"?"))
        assert client.frame() == Frame(BINARY, b"1", False)
        assert client.frame() == Frame(PING, b"!")
        assert client.frame() == Frame(PONG, b"?")
        go.send()
        assert client.frame() == Frame(CONTINUATION, b"2", False)
        assert client.frame() == Frame(CONTINUATION, b"", True)
        expected = ["shared", "direct"] if policy == "wait" else ["direct", "shared"]
        assert [client.message(), client.message()] == expected
        assert client.message() == b"34"
        for one in (streams, sender, second):
            one.wait()
        assert ws.messages_sent == 4

    def test_who_has_streamed_sends_the_next_behind_those_in_line(self, opened: Sockets) -> None:
        ws, client = opened.open()
        go = Event()

        def pieces() -> Iterator[str]:
            yield "1"
            go.wait()

        def stream_and_send() -> None:
            ws.send_stream(pieces())
            ws.send("4")

        spawn(stream_and_send)
        wait_all_blocked()
        spawn(ws.send, "2")
        spawn(ws.send, "3")
        wait_all_blocked()
        go.send()
        assert [client.message() for _ in range(4)] == [*"1234"]

    def test_what_waits_behind_it_is_bounded(self, opened: Sockets) -> None:
        ws, client = opened.open(when_slow="drop", max_unsent="100K")
        go = Event()
        frame = encode_shared(bytes(9_000), None)

        def pieces() -> Iterator[bytes]:
            yield b"1"
            go.wait()

        spawn(ws.send_stream, pieces())
        wait_all_blocked()
        taken = sum(ws.send_shared(frame) for _ in range(100))
        assert 11 <= taken <= 13
        assert ws.dropped == 100 - taken
        go.send()
        assert client.message() == b"1"
        assert [client.message() for _ in range(taken)] == [bytes(9_000)] * taken

    @pytest.mark.parametrize("policy", POLICIES)
    def test_closed_meanwhile(self, opened: Sockets, policy: str) -> None:
        ws, client = opened.open(when_slow=policy)
        go = Event()

        def pieces() -> Iterator[str]:
            yield "begun"
            go.wait()
            yield "late"

        streams = spawn(ws.send_stream, pieces())
        wait_all_blocked()
        sender = spawn(ws.send, "direct")
        wait_all_blocked()
        ws.send_shared(encode_shared("shared", None))
        ws.close(4000, "over")
        if policy == "wait":
            with pytest.raises(WebSocketClosed):
                sender.wait()  # at once, and not when the next piece comes
        go.send()
        with pytest.raises(WebSocketClosed):
            streams.wait()
        assert client.frame() == Frame(TEXT, b"begun", False)
        assert client.agree() == (4000, "over")
        assert ws.messages_sent == 0

    def test_the_client_closes_meanwhile(self, opened: Sockets) -> None:
        ws, client = opened.open()
        go = Event()

        def pieces() -> Iterator[str]:
            yield "begun"
            go.wait()
            yield "late"

        streams = spawn(ws.send_stream, pieces())
        sender = spawn(ws.send, "direct")
        wait_all_blocked()
        client.send(closing(1001))
        with pytest.raises(WebSocketClosed, match="closed with 1001"):
            sender.wait()
        go.send()
        with pytest.raises(WebSocketClosed, match="closed with 1001"):
            streams.wait()
        assert [found.opcode for found in _everything(client)] == [TEXT, CLOSE]

    @pytest.mark.parametrize("how", ["send", "send_stream"])
    def test_from_within_its_pieces_nothing_can_be_sent(self, opened: Sockets, how: str) -> None:
        ws, client = opened.open()

        def pieces() -> Iterator[str]:
            yield "begun"
            getattr(ws, how)("x" if how == "send" else ["x"])

        with pytest.raises(RuntimeError, match="from within the pieces of send_stream"):
            ws.send_stream(pieces())
        assert client.frame() == Frame(TEXT, b"begun", False)
        assert client.agree()[0] == 1011
