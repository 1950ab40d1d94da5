"""receiver: each message once and in order, whoever takes them and whenever."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clients.ws_client import PING, PONG, Frame, Open, closing, frame, message, one_websocket
from tests.support.protocols.frames import TEXT, fragments

from greenserve import Event, Timeout, WebSocket, sleep, spawn, spawn_n
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve.websocket import MessageReader
from greenserve_hub.errors import ConcurrentUseError
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import FakeClock

pytestmark = pytest.mark.over_tls_too


class Collector:
    """A handler that takes all messages; `gate` holds it before the first and `gap` is how long it works on each."""

    def __init__(self, *, held: bool = False, gap: float = 0) -> None:
        self.got: list[str | bytes] = []
        self.gate = Event()
        self.gap = gap
        self.ended = False
        self.ws: WebSocket
        if not held:
            self.gate.send(None)

    def __call__(self, ws: WebSocket) -> None:
        self.ws = ws
        self.gate.wait()
        for one in ws:
            self.got.append(one)
            if self.gap:
                sleep(self.gap)
        self.ended = True


class TestReceive:
    def test_messages_come_in_order_and_as_what_they_were_sent(self, tmp_path: Path) -> None:
        handler = Collector()
        sent: list[str | bytes] = ["one", b"two", "", b"", "\N{SNOWMAN}", bytes(70_000), "x" * 200]
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.tell(*sent)
            client.leave()
        assert handler.got == sent
        assert handler.ended

    def test_however_they_are_cut(self, tmp_path: Path) -> None:
        handler = Collector()
        with one_websocket(handler, tmp_path) as (_, _, client):
            for byte in message("one") + message(b"two" * 50):
                client.send(bytes([byte]))
                sleep(0)
            client.leave()
        assert handler.got == ["one", b"two" * 50]

    def test_none_when_it_is_closed_and_ever_after(self, tmp_path: Path) -> None:
        got: list[Any] = []

        def handler(ws: WebSocket) -> None:
            got.extend((ws.receive(), ws.receive(), ws.wait(), ws.receive(timeout=1), list(ws)))

        with one_websocket(handler, tmp_path) as (_, _, client):
            client.leave()
        assert got == [None, None, None, None, []]

    @pytest.mark.parametrize("held", [False, True])
    def test_what_came_before_a_close_is_given_first(self, tmp_path: Path, held: bool) -> None:
        handler = Collector(held=held)
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.send(message("one") + message("two") + closing())
            assert client.close_frame() == (1000, "")
            if held:
                handler.gate.send(None)
            assert client.rest() == b""
        assert handler.got == ["one", "two"]

    def test_and_what_came_before_the_connection_broke(self, tmp_path: Path) -> None:
        handler = Collector(held=True)
        with one_websocket(handler, tmp_path) as (server, _, client):
            client.tell("one", "two")
            client.close()
            sleep(1)
            assert server.stats.websockets == 0
            handler.gate.send(None)
            sleep(0)
            assert (handler.got, handler.ended, handler.ws.close_code) == (["one", "two"], True, 1006)

    def test_none_for_messages_that_come_after_our_close(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.tell("before")
            sleep(0)
            handler.ws.close()
            client.tell("after")
            assert handler.ws.receive() is None
            assert client.agree() == (1000, "")
            assert handler.ws.receive() is None

    def test_a_close_from_another_green_thread_wakes_who_waits(self, tmp_path: Path) -> None:
        handler = Collector()
        with one_websocket(handler, tmp_path) as (_, _, client):
            sleep(0)
            handler.ws.close(4000, "enough")
            sleep(0)
            assert handler.ended
            assert client.agree() == (4000, "enough")

    def test_only_one_receives(self, tmp_path: Path) -> None:
        handler = Collector()
        with one_websocket(handler, tmp_path) as (_, _, client):
            sleep(0)
            with pytest.raises(ConcurrentUseError, match=r"<WebSocket / .*another green thread receives"):
                handler.ws.receive()
            client.tell("for the first")
            sleep(1)
            assert handler.got == ["for the first"]

    def test_no_on_message_beside_one_that_waits(self, tmp_path: Path) -> None:
        handler = Collector()
        with one_websocket(handler, tmp_path) as (_, _, client):
            sleep(0)
            with pytest.raises(ConcurrentUseError, match="waits in receive"):
                handler.ws.on_message = print
            client.tell("one")
            sleep(1)
            assert handler.got == ["one"]

    def test_an_error_of_a_green_thread_that_received_is_its_own(self, tmp_path: Path) -> None:
        handler = Open()
        told: list[BaseException] = []

        def fails() -> None:
            raise LookupError(handler.ws.receive())

        with one_websocket(handler, tmp_path) as (_, _, client):
            hub = get_hub()
            hub.on_error = lambda kind, error, trace: told.append(error)
            spawn_n(fails)
            spawn(client.tell, "one").wait()
            sleep(1)
            assert [str(error) for error in told] == ["one"]
            client.tell("two")
            assert handler.ws.receive() == "two"


class TestTimeout:
    def test_a_timeout_leaves_the_websocket_as_it_was(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            began = clock()
            with pytest.raises(TimeoutError, match="no message"):
                handler.ws.receive(timeout=5)
            assert clock() - began == 5
            client.tell("late")
            assert handler.ws.receive(timeout=5) == "late"
            assert clock() - began == 5

    def test_a_message_in_the_very_turn_of_the_timeout_is_given(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            got = spawn(lambda: handler.ws.receive(timeout=5))
            sleep(0)
            client.tell("just in time")
            clock.advance(5)
            assert got.wait() == "just in time"

    def test_zero_takes_what_is_there(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            with pytest.raises(TimeoutError):
                handler.ws.receive(timeout=0)
            client.tell("there")
            sleep(1)
            assert handler.ws.receive(timeout=0) == "there"

    def test_a_message_outlives_a_receiver_that_is_killed(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            first = spawn(handler.ws.receive)
            sleep(0)
            first.kill()
            client.tell("one")
            assert handler.ws.receive() == "one"
            with pytest.raises(Timeout), Timeout(3):
                handler.ws.receive()
            client.tell("two")
            assert handler.ws.receive() == "two"


class TestQueue:
    """ws_max_queue: what waits for an app that is busy."""

    def test_a_full_queue_stops_reading_until_the_app_has_taken_it(self, tmp_path: Path) -> None:
        handler = Collector(held=True, gap=0.01)
        sent = [f"{number} " + "x" * 1000 for number in range(2000)]
        with one_websocket(handler, tmp_path, ws_max_queue=4) as (_, _, client):
            sending = spawn(client.tell, *sent)
            sleep(1)
            assert not sending.dead  # the kernel holds what it holds, and TCP the client
            assert handler.ws.messages_received == 4
            handler.gate.send(None)
            sending.wait()
            client.leave()
        assert handler.got == sent

    def test_a_few_large_messages_fill_it_too(self, tmp_path: Path) -> None:
        handler = Collector(held=True)
        sent = [bytes([number]) * 600_000 for number in range(8)]
        with one_websocket(handler, tmp_path) as (_, _, client):
            sending = spawn(client.tell, *sent)
            sleep(1)
            assert handler.ws.messages_received == 2  # a mebibyte
            handler.gate.send(None)
            sending.wait()
            client.leave()
        assert handler.got == sent

    def test_pings_are_answered_while_the_app_is_busy(self, tmp_path: Path) -> None:
        handler = Collector(held=True)
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.send(message("one") + frame(PING, b"there?") + message("two"))
            assert client.frame() == Frame(PONG, b"there?")

    def test_a_close_behind_a_full_queue_is_met_when_the_app_has_taken_it(self, tmp_path: Path) -> None:
        handler = Collector(held=True)
        with one_websocket(handler, tmp_path, ws_max_queue=2) as (_, _, client):
            client.send(b"".join(map(message, "abcde")) + closing(4001))
            sleep(1)
            assert client.is_silent()
            handler.gate.send(None)
            assert client.close_frame() == (4001, "")
            assert client.rest() == b""
        assert (handler.got, handler.ws.close_code) == (list("abcde"), 4001)

    def test_our_close_reads_on_past_a_full_queue(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_max_queue=2) as (_, clock, client):
            client.send(b"".join(map(message, "abcde")))
            sleep(1)
            began = clock()
            handler.ws.close()
            assert client.agree() == (1000, "")
            assert clock() == began
            assert handler.ws.receive() is None

    def test_a_read_full_of_pings_gives_way(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or one client would hold the hub until each is answered."""
        turns: list[int] = []
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):

            def slow_pong(writer: FrameWriter, payload: bytes) -> None:
                clock.advance(0.002)
                turns[-1] += 1

            monkeypatch.setattr(FrameWriter, "pong", slow_pong)
            client.send(frame(PING) * 100 + message("behind them"))
            got = spawn(handler.ws.receive)
            while not got.dead:
                turns.append(0)
                sleep(0)
            assert got.wait() == "behind them"
            assert sum(turns) == 100
            assert max(turns) <= 7

    def test_so_do_messages_that_nobody_will_get(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns: list[int] = []
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            handler.ws.close()
            client.send(message("late") * 100 + closing())
            _each_takes_time(monkeypatch, clock, turns)
            while not handler.ws.closed or handler.ws.messages_received < 100:
                turns.append(0)
                sleep(0)
            assert max(turns) <= 7

    def test_so_do_fragments(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        turns: list[int] = []
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            _each_takes_time(monkeypatch, clock, turns)
            client.send(b"".join(fragments(TEXT, *[b"x"] * 100)))
            got = spawn(handler.ws.receive)
            while not got.dead:
                turns.append(0)
                sleep(0)
            assert got.wait() == "x" * 100
            assert sum(turns) == 100
            assert max(turns) <= 7

    def test_much_is_read_at_once_of_what_is_long_and_of_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A read full of small frames holds the hub; a long frame in short reads is copied twice."""
        asked = []
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            stream = type(handler.ws._writer.carrier.stream)
            receive_now = stream.receive_now

            def noted(self: Any, most: int) -> bytes:
                asked.append(most)
                return cast(bytes, receive_now(self, most))

            monkeypatch.setattr(stream, "receive_now", noted)
            for one in ("a", bytes(1 << 20), "b", "c"):
                asked.append(0)
                sending = spawn(client.send, message(one))
                assert handler.ws.receive() == one
                sending.wait()
            assert asked[:4] == [0, 16384, 0, 16384]
            assert max(asked) == 120 * 1024
            assert asked[-2:] == [0, 16384]


def _each_takes_time(patch: pytest.MonkeyPatch, clock: FakeClock, turns: list[int]) -> None:
    """Reading an event takes 2 ms; `turns` counts them in its last item."""
    next_event = MessageReader.next

    def slow_next(self: MessageReader) -> Any:
        clock.advance(0.002)
        turns[-1] += 1
        return next_event(self)

    patch.setattr(MessageReader, "next", slow_next)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_whoever_takes_them_each_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """§5.4 and ours: receive with and without a timeout, on_message set and taken away, sleeps, any cut."""
    count = data.draw(st.integers(1, 40))
    sent = [str(number) for number in range(count)]
    stream = b"".join(map(message, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    steps = data.draw(st.lists(st.sampled_from(["receive", "poll", "callback", "sleep"]), max_size=30))
    got: list[str | bytes] = []

    def handler(ws: WebSocket) -> None:
        for step in steps:
            if step == "sleep":
                sleep(1)
            elif step == "callback":
                ws.on_message = got.append
                sleep(1)
                ws.on_message = None
            else:
                try:
                    one = ws.receive(timeout=2 if step == "receive" else 0)
                except TimeoutError:
                    continue
                if one is None:
                    return
                got.append(one)
        got.extend(ws)

    with one_websocket(handler, tmp_path_factory.mktemp("ws"), ws_max_queue=3, ws_ping_interval=0) as (
        _,
        _,
        client,
    ):
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            client.send(stream[begin:end])
            sleep(0.5)
        sleep(100)
        client.leave()
    assert got == sent
