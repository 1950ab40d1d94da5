"""send_budget: what connections hold for clients has a bound; the one that took nothing for longest goes first."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import handshake
from tests.support.clients.ws_open import LARGE, shrink, sockets
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import Room, Server, Timeout, WebSocketClosed, accept_websocket, sleep, spawn
from greenserve.net.sockets.send_budget import PIECE, SendBudget
from greenserve.websocket import encode_shared
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import wait_all_blocked

MIB = 1 << 20
_page = bytes(3 * MIB)


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/websocket":
        ws = accept_websocket(environ, max_unsent="100M")
        ws.on_message = print
        ws.send_shared(encode_shared(bytes(3 * MIB), None))
        return []
    start_response("200 OK", [])
    return [_page if environ["PATH_INFO"] == "/shared" else bytes(3 * MIB)]


def _asking(stack: ExitStack, server: Server, target: str = "/own") -> RawClient:
    """A client that has asked and reads nothing."""
    client = stack.enter_context(RawClient(server.address, green=True))
    client.send(request(target))
    for _ in range(5):
        sleep(0)
    return client


def test_who_has_taken_nothing_for_longest_is_reset(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="7M") as (server, _), ExitStack() as stack:
        one, two = _asking(stack, server), _asking(stack, server)
        assert server.unsent.bytes // MIB == 6
        one.head()
        one.take(2 * MIB)  # so the other has stood still for longer
        three = _asking(stack, server)
        assert server.unsent.bytes // MIB == 6
        with pytest.raises((EOFError, ConnectionError)):
            two.answer()
        one.take(MIB)
        assert len(three.answer().body) == 3 * MIB
        assert server.unsent.bytes == 0
    (told,) = [record.getMessage() for record in caplog.records]
    assert "(limit_unsent): 1 connections were reset" in told


def test_a_flood_holds_no_more_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="10M") as (server, _), ExitStack() as stack:
        for _ in range(20):
            _asking(stack, server)
            assert server.unsent.bytes // MIB <= 9
        assert server.stats.connections == 3
    assert len([record for record in caplog.records if "limit_unsent" in record.getMessage()]) == 1


def test_a_page_that_all_share_is_held_once(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="4M") as (server, _), ExitStack() as stack:
        clients = [_asking(stack, server, "/shared") for _ in range(5)]
        assert server.unsent.bytes // MIB == 3
        for client in clients:
            assert len(client.answer().body) == 3 * MIB
        assert server.unsent.bytes == 0


def test_a_single_one_may_be_larger(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="1M") as (server, _), ExitStack() as stack:
        assert len(_asking(stack, server).answer().body) == 3 * MIB


def test_switched_off_there_is_no_bound(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="off") as (server, _), ExitStack() as stack:
        clients = [_asking(stack, server) for _ in range(5)]
        assert server.unsent.bytes // MIB == 15
        clients[0].close()
        for client in clients[1:]:
            assert len(client.answer().body) == 3 * MIB
        assert server.unsent.bytes == 0


def test_who_closes_is_forgotten(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path) as (server, _), ExitStack() as stack:
        client = _asking(stack, server)
        assert server.unsent.bytes // MIB == 3
        client.close()
        sleep(31)
        assert server.unsent.bytes == 0


def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path) as (server, _), ExitStack() as stack:
        _asking(stack, server)
        server.stop(0)
        assert server.unsent.bytes == 0


def test_the_more_that_hold_a_piece_the_more_places_and_one_content() -> None:
    class One:
        def reset(self) -> None:
            raise AssertionError("there is no limit")

    unsent = SendBudget(get_hub(), 0)
    piece = bytes(1000)
    unsent.hold(piece)
    unsent.hold(memoryview(piece)[500:])
    one = One()
    unsent.moved(one)
    unsent.hold(memoryview(memoryview(piece)[10:])[20:])
    assert unsent.bytes == 1000 + PIECE + 2 * 8
    unsent.let_go(piece)
    unsent.remove(one)
    unsent.remove(one)
    unsent.let_go(memoryview(piece)[30:])
    unsent.let_go(memoryview(piece)[900:])
    assert unsent.bytes == 0


class TestWebSockets:
    def test_answers_and_websockets_count_together(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whose order is that in which they last moved."""
        with in_one_hub(app, tmp_path, limit_unsent="7M") as (server, _), ExitStack() as stack:

            def upgraded() -> RawClient:
                client = stack.enter_context(RawClient(server.address, green=True))
                client.send(handshake("/websocket"))
                wait_all_blocked()
                return client

            one, two = upgraded(), _asking(stack, server)
            assert server.unsent.bytes // MIB == 6
            one.head()
            one.take(2 * MIB)  # so the other has stood still for longer
            three = upgraded()
            assert server.stats.connections == 2
            with pytest.raises((EOFError, ConnectionError)):
                two.answer()
            four = _asking(stack, server)
            assert server.stats.websockets == 1
            with pytest.raises((EOFError, ConnectionError)):
                one.take(MIB)
            assert len(four.answer().body) == 3 * MIB
            three.head()
            three.take(3 * MIB)
            assert server.unsent.bytes == 0
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == 1
        assert "(limit_unsent): 1 connections were reset" in told[0]

    def test_one_that_is_reset_hears_why(self, tmp_path: Path) -> None:
        with sockets(tmp_path, limit_unsent="6M", send_timeout="off", send_min_rate="off") as found:
            ws, _ = found.open()
            sender = spawn(ws.send, bytes(LARGE))
            wait_all_blocked()
            other, _ = found.stalled()
            with pytest.raises(WebSocketClosed, match=r"closed with 1008: .*limit_unsent"):
                sender.wait()
            assert not other.closed
            assert found.server.unsent.bytes < 6 << 20

    def test_one_may_be_reset_by_its_own_message(self, tmp_path: Path) -> None:
        with sockets(tmp_path, limit_unsent="9M", send_timeout="off", send_min_rate="off") as found:
            ws, _ = found.stalled(max_unsent="100M")
            other, _ = found.stalled()
            with pytest.raises(WebSocketClosed, match="limit_unsent"):
                ws.send(bytes(LARGE))
            assert not other.closed
            assert found.server.unsent.bytes < 9 << 20

    def test_a_single_one_may_hold_more(self, tmp_path: Path) -> None:
        with sockets(tmp_path, limit_unsent="1M") as found:
            ws, client = found.stalled()
            assert client.message() == bytes(LARGE)
            assert not ws.closed

    def test_one_that_has_taken_all_is_left_alone(self, tmp_path: Path) -> None:
        with sockets(tmp_path, limit_unsent="6M", send_timeout="off", send_min_rate="off") as found:
            ws, client = found.stalled()
            assert client.message() == bytes(LARGE)
            first, _ = found.stalled()
            second, _ = found.stalled()
            assert (ws.closed, first.closed, second.closed) == (False, True, False)

    def test_what_a_room_sends_is_held_once(self, tmp_path: Path) -> None:
        with sockets(tmp_path, limit_unsent="2M", ws_max_unsent="2M") as found:
            room = Room()
            opened = [found.open() for _ in range(300)]
            for ws, _ in opened:
                room.join(ws)
            assert room.send(bytes(MIB)) == 300
            wait_all_blocked()
            assert len(room) == 300
            assert MIB < found.server.unsent.bytes < MIB + 300 * 50
            for _, client in opened[:100]:
                assert client.message() == bytes(MIB)
            assert found.server.unsent.bytes > MIB
            for _, client in opened[100:]:
                client.close()
            sleep(60)
            assert found.server.unsent.bytes == 0

    @pytest.mark.parametrize("policy", ["wait", "drop", "close"])
    @pytest.mark.parametrize("size", [1, 100, 30_000])
    def test_stalled_readers_never_grow_our_memory(self, tmp_path: Path, policy: str, size: int) -> None:
        """Whatever they are sent, by a Room and each by itself, and however often."""
        settings = {"send_timeout": "off", "send_min_rate": "off", "ws_ping_interval": "off"}
        with sockets(tmp_path, ws_max_unsent="100K", ws_when_slow=policy, **settings) as found:
            room = Room()
            for _ in range(10):
                ws, _ = found.open()
                shrink(ws)
                room.join(ws)
            all_of_them = list(room)

            def send() -> None:
                for i in range(400_000 // (size + 100)):
                    room.send(str(i)[-1] * size)
                    for ws in all_of_them:
                        with suppress(WebSocketClosed), Timeout(0.001, False):
                            ws.send(bytes(size))
                    if not i % 50:
                        sleep(0)

            send()
            gc.collect()
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                send()
                gc.collect()
                assert tracemalloc.get_traced_memory()[0] - before < 10 * 50_000
            finally:
                tracemalloc.stop()
            assert found.server.unsent.bytes < 10 * (200_000 + size)
            assert len(room) == (10 if policy == "drop" else 0)
