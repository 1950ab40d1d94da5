"""sender and frame_writer: messages in their order, whatever becomes of the senders and the client."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.ws_client import (
    PING,
    PONG,
    Frame,
    WSClient,
    closing,
    frame,
)
from tests.support.clients.ws_open import LARGE, Sockets, shrink, sockets

from greenserve import Room, Timeout, WebSocketClosed, kill, sleep, spawn
from greenserve.net.websockets import rooms
from greenserve.websocket import encode_shared
from greenserve_hub.errors import HubError
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too

POLICIES = ["wait", "drop", "close"]


def _takes_the_large(client: WSClient) -> None:
    assert client.message() == bytes(LARGE)


class TestSend:
    def test_every_length_in_parts(self, opened: Sockets) -> None:
        ws, client = opened.open()
        shrink(ws)
        sizes = [0, 1, 125, 126, 65535, 65536, 70_000, LARGE]
        sender = spawn(lambda: [ws.send(bytes([i]) * size) for i, size in enumerate(sizes)])
        for i, size in enumerate(sizes):
            assert client.message() == bytes([i]) * size
        assert sender.wait() == [True] * len(sizes)
        assert ws.messages_sent == len(sizes)
        assert opened.server.unsent.bytes == 0

    @pytest.mark.parametrize("policy", ["wait", "drop"])
    def test_of_many_at_once_none_is_torn_and_each_keeps_its_order(
        self, opened: Sockets, policy: str
    ) -> None:
        ws, client = opened.open(when_slow=policy, max_unsent="1G")
        shrink(ws)
        sizes = [10, 40_000, 3, 130, 9000]

        def send(name: int) -> None:
            for i in range(20):
                size = sizes[(i + name) % len(sizes)]
                assert ws.send(f"{name} {i} ".ljust(size, chr(97 + name)))
                if i % 7 == name:
                    sleep(0)

        senders = [spawn(send, name) for name in range(8)]
        next_of = [0] * 8
        for _ in range(8 * 20):
            text = client.message()
            assert isinstance(text, str)
            name, i, rest = text.split(" ", 2)
            assert int(i) == next_of[int(name)]
            assert set(rest) <= {chr(97 + int(name))}
            next_of[int(name)] += 1
        assert next_of == [20] * 8
        for sender in senders:
            sender.wait()

    def test_who_waits_is_served_in_turn_and_before_newcomers(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        for name in "abcdef":
            spawn(ws.send, name)
            sleep(0)
        newcomer: list[object] = []

        def late() -> None:
            while not newcomer:
                sleep(0)
            ws.send("late")

        spawn(late)
        _takes_the_large(client)
        newcomer.append(1)
        assert [client.message() for _ in range(7)] == [*"abcdef", "late"]

    def test_a_callback_of_the_hub_sends_to_a_client_that_keeps_up(self, opened: Sockets) -> None:
        ws, client = opened.open()
        hub = ws._writer.hub

        def late_in_its_turn() -> None:
            opened.clock.advance(1)  # so that a green thread would give way
            returned.append(ws.send("one"))
            returned.append(ws.send(bytes(LARGE)))  # it can't wait until that is out

        returned: list[bool] = []
        hub.call_soon(late_in_its_turn)
        assert client.message() == "one"
        _takes_the_large(client)
        assert returned == [True, True]

    def test_a_callback_of_the_hub_can_not_wait(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        raised: list[str] = []

        def send(call: Callable[[Any], object], message: Any) -> None:
            with pytest.raises(HubError) as error:
                call(message)
            raised.append(str(error.value))

        ws._writer.hub.call_soon(send, ws.send, "x")
        ws._writer.hub.call_soon(send, ws.send_stream, ["x"])
        sleep(0)
        assert "a callback of the hub can't: spawn it, or have when_slow drop or close" in raised[0]
        assert "a callback of the hub can't: spawn it" in raised[1]
        _takes_the_large(client)
        ws.send("y")
        assert client.message() == "y"  # so nothing of these was sent

    def test_sends_take_turns_with_others(self, opened: Sockets) -> None:
        ws, _client = opened.open()
        turns: list[int] = []
        spawn(lambda: turns.append(ws.messages_sent))
        for _ in range(3):
            opened.clock.advance(0.02)
            ws.send("x")
        assert turns == [1]

    def test_what_is_no_message(self, opened: Sockets) -> None:
        ws, client = opened.open()
        with pytest.raises(TypeError):
            ws.send(5)  # type: ignore[arg-type]
        ws.send("x")
        assert client.message() == "x"
        assert ws.messages_sent == 1


class TestWaiting:
    """Senders to a client that takes nothing, where when_slow is wait."""

    def test_a_timeout_leaves_a_whole_message_or_none(self, opened: Sockets) -> None:
        ws, client = opened.open()
        with Timeout(1, False):
            ws.send(bytes(LARGE))
            pytest.fail("it was taken")
        with Timeout(1, False):
            ws.send("never begun")
            pytest.fail("it was taken")
        _takes_the_large(client)
        ws.send("after")
        assert client.message() == "after"

    def test_timeouts_do_not_pile_up_messages(self, opened: Sockets) -> None:
        ws, _ = opened.open(max_unsent="1M")
        for _ in range(200):
            with Timeout(0.001, False):
                ws.send(bytes(100_000))
        assert ws._writer.outbox is not None
        assert ws._writer.outbox.bytes <= 1_200_000
        assert not ws._sender._queue

    def test_one_that_is_killed_in_line_lets_the_next_go_on(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        first, second, third = (spawn(ws.send, name) for name in "abc")
        wait_all_blocked()
        kill(first)
        kill(third)
        _takes_the_large(client)
        assert client.message() == "b"
        assert second.wait() is True
        ws.send("d")
        assert client.message() == "d"

    def test_one_that_is_killed_half_sent(self, opened: Sockets) -> None:
        ws, client = opened.open()
        first = spawn(ws.send, bytes(LARGE))
        second = spawn(ws.send, "b")
        wait_all_blocked()
        kill(first)
        _takes_the_large(client)
        assert client.message() == "b"
        assert second.wait() is True

    def test_all_hear_that_the_connection_broke(self, opened: Sockets) -> None:
        ws, client = opened.open()
        senders = [spawn(ws.send, bytes(LARGE)) for _ in range(3)]
        wait_all_blocked()
        client.reset()
        for sender in senders:
            with pytest.raises(WebSocketClosed) as error:
                sender.wait()
            assert error.value.code == 1006
        assert opened.server.unsent.bytes == 0
        assert not opened.server.unsent._waiting
        with pytest.raises(WebSocketClosed):
            ws.send("x")

    def test_what_was_not_sent_is_not_counted_as_bytes(self, opened: Sockets) -> None:
        ws, _ = opened.stalled()
        assert ws.bytes_sent > LARGE
        ws._writer.cut(1008, "")
        assert 0 < ws.bytes_sent < LARGE


class TestClose:
    def test_what_was_sent_goes_out_first(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        waiting = spawn(ws.send, "in line")
        ws.send_shared(encode_shared("shared", None))
        wait_all_blocked()
        ws.close(1000, "enough")
        with pytest.raises(WebSocketClosed, match="closed with 1000: enough"):
            waiting.wait()
        with pytest.raises(WebSocketClosed):
            ws.send("late")
        with pytest.raises(WebSocketClosed):
            ws.ping()
        assert not ws.send_shared(encode_shared("late", None))
        _takes_the_large(client)
        assert client.message() == "shared"
        assert client.agree() == (1000, "enough")
        assert ws.close_code == 1000

    def test_one_who_waits_until_his_is_out_hears_that_it_is(self, opened: Sockets) -> None:
        ws, client = opened.open()
        sender = spawn(ws.send, bytes(LARGE))
        wait_all_blocked()
        ws.close()
        _takes_the_large(client)
        assert sender.wait() is True
        assert client.agree() == (1000, "")

    def test_5_5_1_no_pong_follows_a_close(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        client.send(frame(PING, b"?"))
        wait_all_blocked()
        ws.close()
        _takes_the_large(client)
        assert client.agree() == (1000, "")

    def test_5_5_1_the_clients_close_is_answered_behind_what_was_sent(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        waiting = spawn(ws.send, "in line")
        wait_all_blocked()
        client.send(closing(1001))
        with pytest.raises(WebSocketClosed, match="closed with 1001"):
            waiting.wait()
        _takes_the_large(client)
        assert client.close_frame() == (1001, "")
        assert client.rest() == b""

    def test_nothing_is_sent_while_it_is_being_closed(self, opened: Sockets) -> None:
        ws, client = opened.open()
        shrink(ws, 20_000)
        ws.send_shared(encode_shared(bytes(60_000), None))
        client.send(closing())
        wait_all_blocked()
        assert ws._writer.outbox is not None
        client.sock.recv(60_000)  # this does not give way
        ws._writer.carrier.close()  # and so the hub has not heard of the room that is there now
        assert ws.close_code == 1000
        assert opened.server.unsent.bytes == 0


class TestWhenSlow:
    def test_drop(self, opened: Sockets) -> None:
        ws, client = opened.open(when_slow="drop", max_unsent="100K")
        assert ws.send(bytes(LARGE)), "a single message may be longer than ws_max_unsent"
        sent = [ws.send(str(i) * 900) for i in range(1000)]
        count = sum(sent)
        assert sent == [True] * count + [False] * (1000 - count)
        assert 35 <= count <= 100
        assert ws.dropped == 1000 - count
        assert ws.messages_sent == 1 + count
        _takes_the_large(client)
        assert [client.message() for _ in range(count)] == [str(i) * 900 for i in range(count)]
        assert ws.send("again")
        assert client.message() == "again"
        assert not ws.closed

    def test_close(self, opened: Sockets) -> None:
        ws, client = opened.open(when_slow="close", max_unsent="100K")
        assert ws.send(bytes(LARGE))
        while not ws.closed:
            with suppress(WebSocketClosed):
                assert ws.send(bytes(900))
                assert ws.messages_sent < 110
        with pytest.raises(WebSocketClosed, match=r"closed with 1008: .*ws_max_unsent"):
            ws.send("x")
        assert ws.close_code == 1008
        assert opened.server.unsent.bytes == 0
        wait_all_blocked()
        assert opened.server.stats.connections == 0
        with pytest.raises((EOFError, OSError)):
            client.message()  # none is taken for whole

    @pytest.mark.parametrize("policy", POLICIES)
    def test_messages_longer_than_it_may_hold_go_to_a_client_that_keeps_up(
        self, opened: Sockets, policy: str
    ) -> None:
        ws, client = opened.open(when_slow=policy, max_unsent="1K")
        for i in range(3):
            sender = spawn(ws.send, bytes([i]) * LARGE)
            wait_all_blocked()
            assert ws.send_shared(encode_shared("next", None)), "it is not slow for the length of one message"
            assert client.message() == bytes([i]) * LARGE
            assert client.message() == "next"
            assert sender.wait() is True
        assert ws.dropped == 0

    def test_what_senders_wait_with_does_not_count_against_what_a_room_sends(self, opened: Sockets) -> None:
        ws, client = opened.open(max_unsent="20K")
        shrink(ws)
        senders = [spawn(ws.send, bytes(15_000)) for _ in range(3)]
        wait_all_blocked()
        assert ws.send_shared(encode_shared("shared", None))
        assert ws.send_shared(encode_shared("shared", None))
        for _ in range(5):
            client.message()
        for sender in senders:
            assert sender.wait() is True

    def test_small_messages_count_with_what_they_cost(self, opened: Sockets) -> None:
        ws, _ = opened.stalled(when_slow="drop", max_unsent="100K")
        assert sum(ws.send("x") for _ in range(5000)) < 1000


class TestPings:
    def test_none_to_a_client_that_does_not_take_what_is_sent(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        for _ in range(100):
            ws.ping(b"?")
        ws.send_shared(encode_shared("next", None))
        _takes_the_large(client)
        assert client.message() == "next"
        ws.ping(b"!")
        assert client.frame() == Frame(PING, b"!")

    def test_5_5_3_of_a_flood_the_latest_is_answered(self, opened: Sockets) -> None:
        ws, client = opened.stalled()
        held = opened.server.unsent.bytes
        for i in range(5000):
            client.send(frame(PING, b"%d" % i))
            if not i % 100:
                wait_all_blocked()
        wait_all_blocked()
        assert opened.server.unsent.bytes == held
        _takes_the_large(client)
        assert client.frame() == Frame(PONG, b"4999")
        ws.send("x")
        assert client.message() == "x"

    def test_5_5_2_a_pong_waits_for_no_more_than_the_message_on_its_way(self, opened: Sockets) -> None:
        ws, client = opened.stalled(when_slow="drop", max_unsent="10M")
        for _ in range(10):
            assert ws.send(bytes(500_000))
        client.send(frame(PING, b"?"))
        wait_all_blocked()
        _takes_the_large(client)
        assert client.frame() == Frame(PONG, b"?")
        for _ in range(10):
            assert client.message() == bytes(500_000)


class _Deflate:
    """In the place of the compressor: notes what it is asked for."""

    server_max_window_bits = 15

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def compress(self, data: bytes) -> bytes:
        self.calls.append(data)
        return b"deflated"

    def forget(self) -> None:
        self.calls.append("forget")


class TestContextTakeover:
    """RFC 7692 §7.1: what our compressor has seen and what the client's window holds must be the same."""

    @pytest.mark.parametrize("small", [0, 1000])
    def test_a_client_inflates_all_that_it_gets(
        self, opened: Sockets, small: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its own messages, a room's between them at once or a little later, some dropped: the context holds."""
        monkeypatch.setattr(rooms, "_SMALL", small)
        ws, client = opened.open(
            "Sec-WebSocket-Extensions: permessage-deflate", when_slow="drop", max_unsent="4K"
        )
        shrink(ws)
        room = Room()
        room.join(ws)
        rng = random.Random(5)
        expected: list[str] = []
        found: list[str] = []
        inflate = zlib.decompressobj(-15)
        words = ["lorem", "ipsum", "dolor", "sit", "amet"]

        def read() -> None:
            one = client.frame()
            data = one.payload
            if one.rsv:
                data = inflate.decompress(data + b"\0\0\xff\xff")
            found.append(data.decode())

        own_compressed = 0
        for _ in range(40):
            for _ in range(30):
                dropped = ws.dropped
                text = " ".join(rng.choices(words, k=rng.randrange(1, 2000)))
                if rng.random() < 0.4:
                    room.send(text)
                    room.catch_up(ws)
                else:
                    own_compressed += ws.send(text)
                if ws.dropped == dropped:
                    expected.append(text)
            while len(found) < len(expected):
                read()
            assert found == expected
        assert ws.dropped > 50
        assert own_compressed > 50

    def test_a_dropped_message_was_never_compressed(
        self, opened: Sockets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ws, _ = opened.stalled(when_slow="drop", max_unsent="10K")
        encoded: list[str | bytes] = []

        def encode_message(message: str | bytes, deflate: object) -> bytes:
            encoded.append(message)
            return encode_shared(message, None)

        monkeypatch.setattr("greenserve.net.websockets.sender.encode_message", encode_message)
        sent = [str(i) * 900 for i in range(100) if ws.send(str(i) * 900)]
        assert 0 < len(sent) < 100
        assert encoded == sent

    def test_it_forgets_what_came_before_a_message_that_it_has_not_seen(self, opened: Sockets) -> None:
        ws, _ = opened.open()
        deflate = _Deflate()
        ws._sender.deflate = deflate  # type: ignore[assignment]
        assert ws.send_shared(b"\x82\x01x")
        assert deflate.calls == []
        assert ws.send_shared(b"\xc2\x01x")
        assert deflate.calls == ["forget"]
        assert ws.send_shared(b"\x82\x01x\xc2\x01x", 2)
        assert deflate.calls == ["forget", "forget"]
        assert ws.window_bits == 15

    def test_it_forgets_nothing_for_one_that_is_not_sent(self, opened: Sockets) -> None:
        ws, _ = opened.stalled(when_slow="drop", max_unsent="1K")
        for _ in range(100):
            ws.send("x" * 900)
        ws._sender.deflate = deflate = _Deflate()  # type: ignore[assignment]
        assert not ws.send_shared(b"\xc2\x01x")
        assert deflate.calls == []


class TestPace:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_who_takes_nothing_is_cut_off(self, tmp_path: Path, policy: str) -> None:
        with sockets(tmp_path, send_timeout="30s", send_min_rate="off", ws_ping_interval="off") as found:
            ws, _ = found.open(when_slow=policy)
            sender = spawn(ws.send, bytes(LARGE))
            sleep(29)
            assert not ws.closed
            sleep(2)
            assert ws.closed
            assert (ws.close_code, ws.close_reason) == (
                1008,
                "the client reads too slowly (send_timeout, send_min_rate)",
            )
            if policy == "wait":
                with pytest.raises(WebSocketClosed, match="send_timeout"):
                    sender.wait()
            assert found.server.unsent.bytes == 0
            assert found.server.stats.connections == 0

    def test_who_takes_a_little_now_and_then_is_cut_off(self, tmp_path: Path) -> None:
        with sockets(tmp_path, send_timeout="30s", send_min_rate="500", min_rate_grace="10s") as found:
            ws, client = found.open()
            shrink(ws)
            spawn(ws.send, bytes(LARGE))
            for _ in range(20):
                if ws.closed:
                    break
                sleep(5)
                client.sock.recv(1000)
            assert ws.close_code == 1008

    def test_who_makes_room_just_before_its_time_is_over_has_what_it_took_to_live_on(
        self, tmp_path: Path
    ) -> None:
        with sockets(
            tmp_path, send_timeout="30s", send_min_rate="20000", min_rate_grace="10s", ws_ping_interval="off"
        ) as found:
            ws, client = found.open()
            shrink(ws)
            spawn(ws.send, bytes(LARGE))
            sleep(8)
            with suppress(OSError):  # TLS: a part of a record, and then the end
                assert 4_000 < len(client.sock.recv(65536)) < 20_000
            sleep(1.5)
            assert not ws.closed
            sleep(2.5)
            assert ws.close_code == 1008

    def test_who_takes_it_steadily_is_not(self, tmp_path: Path) -> None:
        with sockets(tmp_path, send_timeout="30s", send_min_rate="500", min_rate_grace="10s") as found:
            ws, client = found.open()
            shrink(ws)
            sender = spawn(ws.send, bytes(400_000))
            taken = 0
            while taken < 400_000:
                sleep(1)
                taken += len(client.sock.recv(4096))
            assert sender.wait() is True
            assert found.clock() > 1090
