"""rooms: each member gets what was sent while it was in, in order, however large the room and slow the others."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.support.clients.ws_client import WSClient, closing
from tests.support.clients.ws_open import LARGE, Sockets

from greenserve import Room, WebSocket, sleep
from greenserve.net.websockets import broadcasts, rooms
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve.websocket import encode_shared
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rooms that are sent to at once, and those that are sent to little by little: one member each turn."""
    if request.param == "large":
        monkeypatch.setattr(rooms, "_SMALL", 0)
        monkeypatch.setattr(broadcasts, "_SLICE", 0)
    return str(request.param)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_SMALL", 0)
    monkeypatch.setattr(broadcasts, "_SLICE", 0)


def _joined(opened: Sockets, room: Room, count: int, **options: Any) -> list[tuple[WebSocket, WSClient]]:
    found = [opened.open(**options) for _ in range(count)]
    for ws, _ in found:
        room.join(ws)
    return found


def _all_out(opened: Sockets) -> None:
    wait_all_blocked()
    assert opened.server.broadcasts.bytes == 0


class TestMembers:
    def test_all_get_it_but_one(self, opened: Sockets, size: str) -> None:
        room = Room("lobby")
        members = _joined(opened, room, 4)
        assert room.send("to all") == 4
        assert room.send(b"to others", skip=members[1][0]) == 3
        stranger, _ = opened.open()
        assert room.send("and", skip=stranger) == 4
        for i, (_, client) in enumerate(members):
            assert client.message() == "to all"
            if i != 1:
                assert client.message() == b"to others"
            assert client.message() == "and"
        _all_out(opened)
        assert members[0][0].messages_sent == 3
        assert repr(room) == "<Room lobby of 4>"

    def test_in_the_order_of_joining_and_repeatable(self, opened: Sockets) -> None:
        room = Room()
        members = [ws for ws, _ in _joined(opened, room, 3)]
        room.join(members[0])
        assert list(room) == members
        assert len(room) == 3
        room.leave(members[1])
        room.leave(members[1])
        assert members[1] not in room
        assert members[1].rooms == ()
        assert list(room) == [members[0], members[2]]

    def test_to_nobody(self, opened: Sockets, size: str) -> None:
        room = Room()
        assert room.send("x") == 0
        ((ws, _),) = _joined(opened, room, 1)
        assert room.send("x", skip=ws) == 0
        assert opened.server.broadcasts.bytes == 0

    @pytest.mark.parametrize("members", [0, 2])
    @pytest.mark.parametrize(("wrong", "error"), [(5, TypeError), (bytearray(b"x"), TypeError)])
    def test_what_is_no_message(
        self, opened: Sockets, size: str, members: int, wrong: Any, error: type[Exception]
    ) -> None:
        room = Room()
        _joined(opened, room, members)
        with pytest.raises(error, match="a message is str or bytes, not "):
            room.send(wrong)
        assert opened.server.broadcasts.bytes == 0

    def test_text_that_can_not_be_sent(self, opened: Sockets, size: str) -> None:
        room = Room()
        ((_, client),) = _joined(opened, room, 1)
        with pytest.raises(UnicodeEncodeError):
            room.send("\ud800")
        room.send("x")
        assert client.message() == "x"

    @pytest.mark.parametrize("how", ["we", "client", "reset"])
    def test_who_closes_leaves_by_itself(self, opened: Sockets, how: str) -> None:
        """At once, and not when the client has agreed."""
        room, other = Room(), Room()
        (first, client), (second, _) = _joined(opened, room, 2)
        other.join(first)
        if how == "we":
            first.close()
        else:
            if how == "client":
                client.send(closing())
            else:
                client.reset()
            wait_all_blocked()
        assert list(room) == [second]
        assert not len(other)
        assert first.rooms == ()
        room.join(first)
        assert list(room) == [second], "who is closed can't join"

    def test_it_is_encoded_once_for_each_compression(
        self, opened: Sockets, size: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoded: list[int | None] = []

        def encode(message: str | bytes, bits: int | None) -> bytes:
            encoded.append(bits)
            return encode_shared(message, None)

        class Deflate:
            def __init__(self, bits: int) -> None:
                self.server_max_window_bits = bits

        monkeypatch.setattr(rooms, "encode_shared", encode)
        room = Room()
        members = _joined(opened, room, 6)
        for (ws, _), bits in zip(members, [0, 15, 9, 0, 15, 15], strict=True):
            ws._sender.deflate = Deflate(bits) if bits else None  # type: ignore[assignment]
        room.send("x")
        for _, client in members:
            assert client.message() == "x"
        assert encoded == [None, 15, 9]


class TestSlow:
    """A slow member never delays the others."""

    @pytest.mark.parametrize("policy", ["wait", "drop", "close"])
    def test_members_that_take_nothing(self, opened: Sockets, size: str, policy: str) -> None:
        room = Room()
        stalled = [opened.stalled(when_slow=policy, max_unsent="100K")[0] for _ in range(3)]
        for ws in stalled:
            room.join(ws)
        members = _joined(opened, room, 2, when_slow=policy, max_unsent="100K")
        for i in range(30):
            there = len(room)
            assert room.send(str(i) * 5000) == there
            for _, client in members:
                assert client.message() == str(i) * 5000
        if policy == "drop":
            assert all(15 <= ws.dropped < 30 for ws in stalled)
            assert len(room) == 5
        else:
            assert [ws.close_code for ws in stalled] == [1008] * 3
            assert len(room) == 2


@pytest.mark.usefixtures("large")
class TestLittleByLittle:
    """A room that is sent to one member a turn."""

    def test_others_have_their_turns(self, opened: Sockets) -> None:
        room = Room()
        members = _joined(opened, room, 5)
        room.send("x")
        sent = [0]
        while sent[-1] < 5:
            sleep(0)
            sent.append(sum(ws.messages_sent for ws, _ in members))
            assert sent[-1] <= sent[-2] + 1
        _all_out(opened)

    def test_two_rooms_take_turns(self, opened: Sockets) -> None:
        one, two = Room(), Room()
        first, second = _joined(opened, one, 4), _joined(opened, two, 4)
        one.send("x")
        two.send("x")
        for _ in range(8):
            sent = sum(ws.messages_sent for ws, _ in first), sum(ws.messages_sent for ws, _ in second)
            assert abs(sent[0] - sent[1]) <= 1
            sleep(0)
        _all_out(opened)
        assert all(ws.messages_sent == 1 for ws, _ in first + second)

    def test_who_joins_meanwhile_does_not_get_it(self, opened: Sockets) -> None:
        room = Room()
        members = _joined(opened, room, 3)
        late, late_client = opened.open()
        room.send("before")
        sleep(0)
        room.join(late)
        room.send("after")
        for _, client in members:
            assert client.message() == "before"
            assert client.message() == "after"
        assert late_client.message() == "after"
        _all_out(opened)
        assert late.messages_sent == 1

    def test_one_that_becomes_small_meanwhile_keeps_the_order(
        self, opened: Sockets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rooms, "_SMALL", 2)
        room = Room()
        members = _joined(opened, room, 4)
        room.send("1")
        for ws, _ in members[2:]:
            room.leave(ws)
        room.send("2")
        for _, client in members[:2]:
            assert [client.message(), client.message()] == ["1", "2"]

    def test_who_leaves_has_got_what_was_sent_before(self, opened: Sockets) -> None:
        room = Room()
        _joined(opened, room, 3)
        ws, client = _joined(opened, room, 1)[0]
        room.send("before")
        room.leave(ws)
        room.send("after")
        room.join(ws)
        room.send("again")
        assert [client.message(), client.message()] == ["before", "again"]
        _all_out(opened)
        assert ws.messages_sent == 2

    def test_who_is_closed_has_got_what_was_sent_before(self, opened: Sockets) -> None:
        room = Room()
        members = _joined(opened, room, 3)
        room.send("good bye")
        for ws, _ in members:
            ws.close(1001)
        for _, client in members:
            assert client.message() == "good bye"
            assert client.agree() == (1001, "")
        _all_out(opened)
        assert not len(room)

    def test_who_closes_meanwhile_does_not_get_it(self, opened: Sockets) -> None:
        room = Room()
        members = _joined(opened, room, 4)
        members[2][1].reset()
        members[3][1].send(closing())
        room.send("x")
        assert members[1][1].message() == "x"
        _all_out(opened)
        assert members[3][1].close_frame() == (1000, "")
        assert len(room) == 2

    def test_what_is_sent_directly_comes_after_it(self, opened: Sockets) -> None:
        room = Room()
        members = _joined(opened, room, 3)
        ws, client = members[2]
        room.send("1")
        ws.send("2")
        room.send("3", skip=members[0][0])
        room.send("4")
        ws.send_stream(["5"])
        room.send("6")
        assert [client.message() for _ in range(6)] == [*"123456"]
        for text in "1346":
            assert members[1][1].message() == text
            if text != "3":
                assert members[0][1].message() == text
        _all_out(opened)

    def test_of_a_burst_what_a_member_missed_goes_out_together(
        self, opened: Sockets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = Room()
        members = _joined(opened, room, 3)
        calls: list[int] = []
        send = WebSocket.send_shared

        def counting(ws: WebSocket, frame: bytes, messages: int = 1) -> bool:
            calls.append(messages)
            return send(ws, frame, messages)

        monkeypatch.setattr(WebSocket, "send_shared", counting)
        texts = [f"{i:05}" * 20 for i in range(500)]
        for text in texts:
            room.send(text, skip=members[2][0] if text == texts[7] else None)
        for _, client in members[:2]:
            assert [client.message() for _ in texts] == texts
        assert [members[2][1].message() for _ in texts[1:]] == texts[:7] + texts[8:]
        _all_out(opened)
        per_member = len(calls[: calls.index(1)]) // 2
        assert per_member == 4
        assert sum(calls) == 1500 - 1
        assert not room._joined
        assert all(ws.messages_sent == 500 for ws, _ in members[:2])

    def test_a_burst_that_is_dropped_is_counted_by_its_messages(self, opened: Sockets) -> None:
        room = Room()
        ws, _ = opened.stalled(when_slow="drop", max_unsent="1K")
        assert ws.send(bytes(1000))
        room.join(ws)
        for _ in range(10):
            room.send("x")
        _all_out(opened)
        assert ws.dropped == 10

    def test_a_random_life(self, opened: Sockets) -> None:
        """Whatever joins, leaves, is sent and is closed between the turns: each gets what it should, in order."""
        rng = random.Random(7)
        room = Room()
        members = [opened.open() for _ in range(12)]
        expected: list[list[str]] = [[] for _ in members]
        for i in range(400):
            who = rng.randrange(len(members))
            ws = members[who][0]
            what = rng.random()
            if what < 0.4:
                skip = ws if rng.random() < 0.3 else None
                for j, (member, _) in enumerate(members):
                    if member in room and member is not skip:
                        expected[j].append(f"room {i}")
                room.send(f"room {i}", skip=skip)
            elif what < 0.5:
                ws.send(f"own {i}")
                expected[who].append(f"own {i}")
            elif what < 0.6:
                room.leave(ws)
            elif what < 0.75:
                room.join(ws)
            else:
                sleep(0)
        for ws, client in members:
            ws.close()
            texts = expected.pop(0)
            assert [client.message() for _ in texts] == texts
            client.agree()
        _all_out(opened)

    def test_an_error_of_our_own_costs_one_member(
        self, opened: Sockets, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        room = Room()
        members = _joined(opened, room, 3)
        broken = members[1][0]

        def post(writer: FrameWriter, frame: bytes) -> None:
            if writer.owner is broken:
                raise ZeroDivisionError
            real(writer, frame)

        real: Any = FrameWriter.post
        monkeypatch.setattr(FrameWriter, "post", post)
        room.send("x")
        assert members[0][1].message() == "x"
        assert members[2][1].message() == "x"
        _all_out(opened)
        assert len(room) == 2
        assert "an error in the server" in caplog.text

    def test_an_error_in_a_room_does_not_stop_others(
        self, opened: Sockets, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        room, other = Room("broken"), Room()
        ((ws, client),) = _joined(opened, room, 1)
        ((_, second),) = _joined(opened, other, 1)

        def go_on(self: Room, *args: object) -> Any:
            if self is room:
                raise ZeroDivisionError
            return real(self, *args)

        real: Any = Room.go_on
        monkeypatch.setattr(Room, "go_on", go_on)
        room.send("lost")
        other.send("x")
        assert second.message() == "x"
        _all_out(opened)
        assert "<Room broken of 1>: an error in the server" in caplog.text
        monkeypatch.undo()
        monkeypatch.setattr(rooms, "_SMALL", 0)
        assert room.send("y") == 1
        assert room.send("z") == 1
        assert [client.message(), client.message()] == ["y", "z"]
        assert ws.messages_sent == 2


class TestBound:
    def test_what_waits_in_rooms_is_bounded(
        self, opened: Sockets, large: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sender that is faster than the rooms waits for them, without a turn for others."""
        monkeypatch.setattr(broadcasts, "_MOST", 100_000)
        room, other = Room(), Room()
        members = _joined(opened, room, 3)
        _joined(opened, other, 3)
        other.send("x")
        for i in range(100):
            room.send(str(i % 10) * 9000)
            assert opened.server.broadcasts.bytes <= 100_000
        assert members[0][0].messages_sent >= 89
        assert opened.server.broadcasts.bytes == room.bytes_waiting + other.bytes_waiting
        for _, client in members:
            assert [client.message() for _ in range(100)] == [str(i % 10) * 9000 for i in range(100)]
        _all_out(opened)
        assert room.bytes_waiting == 0

    def test_a_busy_room_gives_back_what_is_out(self, opened: Sockets, large: None) -> None:
        room = Room()
        members = _joined(opened, room, 5, max_unsent="10M")
        for i in range(200):
            room.send(f"{i:09000}")
            sleep(0)
            sleep(0)
            assert room.bytes_waiting < 15 * 10_000
        for _, client in members:
            for i in range(200):
                assert client.message() == f"{i:09000}"

    def test_a_message_larger_than_all_that_may_wait(
        self, opened: Sockets, large: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broadcasts, "_MOST", 1000)
        room = Room()
        ((_, client),) = _joined(opened, room, 1)
        room.send(bytes(LARGE))
        assert client.message() == bytes(LARGE)
        _all_out(opened)

    def test_what_is_said_of_members_that_are_cut_is_counted_once(
        self, opened: Sockets, large: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are cut in the middle of a slice, and their on_close says so to the room, which is behind."""
        monkeypatch.setattr(broadcasts, "_MOST", 1000)
        room = Room()
        ((_, client),) = _joined(opened, room, 1)
        for _ in range(10):
            ws, _ = opened.stalled(when_slow="close", max_unsent=1)
            ws.on_close = lambda: room.send("one has left: " + 400 * "x")
            room.join(ws)
        room.send("hello")
        _all_out(opened)
        room.send("again")
        _all_out(opened)
        assert len(room) == 1
        assert room.send("still here") == 1
        heard = [client.message() for _ in range(13)]
        assert heard == ["hello", "again", *["one has left: " + 400 * "x"] * 10, "still here"]

    def test_what_is_joined_for_members_is_not_kept_for_each(self, opened: Sockets, large: None) -> None:
        """Each speaks, and gets an answer to that: none has missed what another has."""
        room = Room()
        members = _joined(opened, room, 30, max_unsent="10M")
        most = 0
        for ws, _ in members:
            room.send("x" * 1000)
            ws.send("thank you")
        while room.is_behind:
            most = max(most, sum(len(frame) for _, joined in room._joined.values() for frame, _ in joined))
            sleep(0)
        assert 25_000 < most < 35_000
        for i, (_, client) in enumerate(members):
            wanted = ["x" * 1000] * (i + 1) + ["thank you"] + ["x" * 1000] * (29 - i)
            assert [client.message() for _ in wanted] == wanted


class TestTime:
    def test_a_large_room_does_not_hold_the_hub(
        self, opened: Sockets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With each member a millisecond, no turn is longer than a slice and one of them."""
        monkeypatch.setattr(rooms, "_SMALL", 20)
        room = Room()
        _joined(opened, room, 50)
        clock = opened.clock
        send = WebSocket.send_shared

        def slow(ws: WebSocket, frame: bytes, messages: int = 1) -> bool:
            clock.advance(0.001)
            return send(ws, frame, messages)

        monkeypatch.setattr(WebSocket, "send_shared", slow)
        turns: list[float] = []
        began = clock()
        assert room.send("x") == 50
        assert clock() == began
        while opened.server.broadcasts.bytes:
            before = clock()
            sleep(0)
            turns.append(clock() - before)
        assert clock() - began == pytest.approx(0.05)
        assert 0.004 < max(turns) < 0.0065

    def test_a_small_one_is_sent_to_at_once(self, opened: Sockets) -> None:
        room = Room()
        members = _joined(opened, room, 5)
        room.send("x")
        assert all(ws.messages_sent == 1 for ws, _ in members)
