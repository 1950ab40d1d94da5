"""admission: what happens when the server is full, in order, and when one address has taken its share."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import path
from tests.support.servers.running import becomes_quiet, in_one_hub, serving
from tests.support.times import eventually

from greenserve import sleep
from greenserve.config import Config
from greenserve.net.serving import admission
from greenserve.net.serving.admission import Admission, PeerCounts
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import fake_clock


@contextmanager
def _clients(server: Any, count: int, green: bool = True) -> Iterator[list[RawClient]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawClient(server.address, green=green)) for _ in range(count)]


def _is_rejected(client: RawClient) -> bool:
    answer = client.answer()
    return (answer.status, answer["retry-after"], answer.closes, client.rest()) == (503, "1", True, b"")


class TestFull:
    """limit_connections."""

    def test_the_one_that_is_idle_for_longest_makes_way(self, tmp_path: Path) -> None:
        with (
            in_one_hub(path, tmp_path, limit_connections=3) as (server, _),
            _clients(server, 3) as (first, second, third),
        ):
            for client in (first, second, third, first):
                client.get()
                sleep(1)
            with _clients(server, 2) as (fourth, fifth):
                assert [fourth.get().status, fifth.get().status] == [200, 200]
                assert [second.rest(), third.rest()] == [b"", b""]
                assert first.get().status == 200
                assert (server.stats.connections, server.stats.turned_away) == (3, 0)

    def test_one_that_was_busy_since_it_was_found_is_idle_for_less(self, tmp_path: Path) -> None:
        with (
            in_one_hub(path, tmp_path, limit_connections=3) as (server, _),
            _clients(server, 3) as (first, second, third),
        ):
            for client in (first, second, third):
                client.get()
                sleep(1)
            with _clients(server, 1) as (fourth,):
                fourth.get()  # a search has found all three
                sleep(1)
                second.get()
                with _clients(server, 1) as (fifth,):
                    fifth.get()
                    assert [first.rest(), third.rest()] == [b"", b""]
                    assert second.get().status == 200

    def test_nor_if_its_next_head_stands_in_line_already(self, tmp_path: Path) -> None:
        # In the turn in which the head came whole: what is in the socket then is its body, or nothing yet.
        with in_one_hub(path, tmp_path) as (server, _), _clients(server, 1) as (client,):
            client.get()
            (connection,) = server.connections
            until = connection.idle_until
            assert until is not None
            connection._take(request("/next"))
            assert connection.idle_until is None
            assert not connection.make_way(until)
            assert client.answer().body == b"/next"

    def test_but_not_if_its_next_request_has_come(self, tmp_path: Path) -> None:
        with (
            in_one_hub(path, tmp_path, limit_connections=2) as (server, _),
            _clients(server, 2) as (first, second),
        ):
            for client in (first, second):
                client.get()
                sleep(1)
            first.send(request("/came"))
            # Before the hub has looked at the socket.
            oldest = min(server.connections, key=lambda connection: connection.idle_until or 0)
            assert oldest.idle_until is not None
            assert not oldest.make_way(oldest.idle_until)
            assert first.answer().body == b"/came"

    def test_when_none_is_idle_the_newcomer_is_told_at_once(self, tmp_path: Path) -> None:
        with (
            in_one_hub(path, tmp_path, limit_connections=3) as (server, clock),
            _clients(server, 3) as inside,
        ):
            for client in inside:
                client.send(b"GET / HT")
            sleep(1)
            began = clock()
            with _clients(server, 5) as outside:
                for client in outside:
                    client.send(request())
                assert all(_is_rejected(client) for client in outside)
            assert clock() == began
            assert (server.stats.connections, server.stats.turned_away) == (3, 5)
            for client in inside:
                client.send(b"TP/1.1\r\nHost: x\r\n\r\n")
                assert client.answer().status == 200
            sleep(1)
            with _clients(server, 1) as (late,):
                assert late.get().status == 200

    def test_the_answer_is_no_different_when_its_request_comes_late(self) -> None:
        with serving(path, limit_connections=1) as server, RawClient(server.address) as inside:
            inside.send(b"GET / HT")
            eventually(lambda: server.stats.connections == 1)
            with RawClient(server.address) as outside:
                eventually(lambda: server.stats.turned_away == 1)
                for _ in range(3):
                    outside.send(request("/", "POST", bytes(10_000)))
                assert _is_rejected(outside)

    def test_a_flood_lingers_within_a_bound(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("greenserve.net.serving.rejected._LINGERING", 10)
        with (
            in_one_hub(path, tmp_path, limit_connections=1) as (server, _),
            _clients(server, 1) as (inside,),
        ):
            inside.send(b"GET / HT")
            sleep(0.1)
            before = len(server.hub.descriptors)
            with _clients(server, 50) as outside:
                sleep(0.1)
                assert len(server.hub.descriptors) - before == 10
                assert all(_is_rejected(client) for client in outside)
                sleep(2)
                assert len(server.hub.descriptors) == before
            assert server.stats.turned_away == 50

    def test_a_server_that_is_full_can_be_stopped(self) -> None:
        with serving(path, limit_connections=1) as server, RawClient(server.address) as client:
            client.send(b"GET / HT")
            eventually(lambda: server.stats.connections == 1)
            outside = RawClient(server.address)
            eventually(lambda: server.stats.turned_away == 1)
        assert _is_rejected(outside)
        outside.close()

    def test_a_burst_below_the_limit_changes_nothing(self) -> None:
        with serving(path, limit_connections=400, limit_queue=300, pool=10) as server:
            with _clients(server, 300, green=False) as clients:
                for client in clients:
                    client.send(request("/x"))
                assert all(client.answer().body == b"/x" for client in clients)
            becomes_quiet(server)
            assert (server.stats.turned_away, server.stats.refused) == (0, 0)

    def test_a_search_that_found_nobody_is_not_repeated_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            in_one_hub(path, tmp_path, limit_connections=2) as (server, _),
            _clients(server, 2) as inside,
        ):
            searches: list[int] = []
            monkeypatch.setattr(
                "greenserve.net.http.connection.Connection.idle_until",
                property(lambda self: searches.append(1)),
            )
            for client in inside:
                client.send(b"GET / HT")
            with _clients(server, 50):
                sleep(0.05)
            assert (server.stats.turned_away, len(searches)) == (50, 2)

    def test_it_is_told_once_and_not_for_each(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with (
            in_one_hub(path, tmp_path, limit_connections=1) as (server, _),
            _clients(server, 1) as (inside,),
        ):
            for _ in range(2):
                inside.send(b"GET / HT")
                for _ in range(5):
                    with _clients(server, 20):
                        sleep(0.1)
                inside.send(b"TP/1.1\r\nHost: x\r\n\r\n")
                inside.answer()
                inside.get()
                sleep(61)
            told = [record.getMessage() for record in caplog.records]
        assert len(told) == 2
        assert "limit_connections" in told[0]
        assert "99 others" in told[1]


def _admission(limit_per_ip: int) -> Admission:
    config = Config.from_settings(limit_connections_per_ip=limit_per_ip)
    return Admission(get_hub(), config, PeerCounts(config), set())


@pytest.fixture
def door() -> Iterator[Any]:
    """An Admission at which each address may have three connections; without connections."""
    with fake_clock():
        door = _admission(3)
        yield door
        door.rejected.close()


def _fill(door: Admission, peer: str) -> int:
    """How many are let in, of ten."""
    count = 0
    for _ in range(10):
        one, other = socket.socketpair()
        one.setblocking(False)
        with other:
            if door.lets_in(one, peer):
                one.close()  # else it is the door's
                door._peers.add(peer)
                count += 1
    return count


class TestPerAddress:
    """limit_connections_per_ip."""

    @pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.9"])
    def test_beyond_it_an_address_is_rejected(self, door: Admission, peer: str) -> None:
        assert _fill(door, peer) == 3
        assert door.rejected.count == 7
        assert _fill(door, "192.0.2.77") == 3  # nobody else is
        for left in (2, 1, 0):
            door._peers.remove(peer)
            assert not door._peers.is_greedy(peer)
            assert sum(door._peers._counts.values()) == left + 3
        assert len(door._peers._counts) == 1  # who has none open is forgotten

    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
    def test_trusted_proxies_and_unix_sockets_are_not_counted(self, door: Admission, peer: str) -> None:
        assert _fill(door, peer) == 10
        assert not door._peers._counts

    def test_an_ipv6_host_has_a_64_and_not_an_address(self, door: Admission) -> None:
        assert [_fill(door, f"2001:db8:1:2:{n}::{n}") for n in range(1, 4)] == [3, 0, 0]
        assert _fill(door, "2001:db8:1:3::1") == 3

    def test_an_ipv4_address_is_the_same_on_a_socket_for_both(self, door: Admission) -> None:
        assert [_fill(door, "192.0.2.5"), _fill(door, "::ffff:192.0.2.5")] == [3, 0]

    def test_switched_off(self, tmp_path: Path) -> None:
        with fake_clock():
            door = _admission(0)
            assert _fill(door, "192.0.2.1") == 10

    def test_a_proxy_may_say_whose_connection_it_is(self, door: Admission) -> None:
        for _ in range(3):
            assert door.recount("127.0.0.1", "192.0.2.1")
        assert not door.recount("127.0.0.1", "192.0.2.1")
        door._peers.remove("192.0.2.1")
        assert door.recount("127.0.0.1", "192.0.2.1")

    def test_one_whose_proxy_names_it_is_told_too(self) -> None:
        preface = b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 80\r\n"
        with serving(path, limit_connections_per_ip=2, proxy_protocol="v1") as server:
            with _clients(server, 2, green=False) as inside:
                for client in inside:
                    assert client.send(preface).get().status == 200
                with _clients(server, 2, green=False) as (outside, other):
                    assert _is_rejected(outside.send(preface + request()))
                    assert other.send(preface.replace(b"2.1 ", b"2.2 ")).get().status == 200
            becomes_quiet(server)
            assert not server.admission._peers._counts

    def test_it_is_told_now_and_then(self, door: Admission, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(3):
            _fill(door, "192.0.2.1")
        _fill(door, "192.0.2.2")
        assert [record.getMessage().split()[0] for record in caplog.records] == ["192.0.2.1", "192.0.2.2"]
        sleep(61)
        _fill(door, "192.0.2.1")
        assert "26 others" in caplog.records[2].getMessage()
        assert "limit_connections_per_ip" in caplog.records[2].getMessage()

    def test_and_of_many_addresses_no_more_than_some_are_remembered(self, door: Admission) -> None:
        logging.getLogger("greenserve.error").disabled = True
        try:
            for number in range(3000):
                door._tell_greedy(f"192.0.2.{number}")
        finally:
            logging.getLogger("greenserve.error").disabled = False
        assert len(door._throttle._seen) <= admission._TOLD_OF

    def test_over_a_real_socket(self) -> None:
        with serving(path, limit_connections_per_ip=2, forwarded_allow_ips=[]) as server:
            with _clients(server, 2, green=False) as inside:
                for client in inside:
                    client.get()
                with RawClient(server.address) as outside:
                    assert _is_rejected(outside.send(request()))
            becomes_quiet(server)
            assert not server.admission._peers._counts
            with RawClient(server.address) as client:
                assert client.get().status == 200


def test_a_tls_client_is_only_closed(tmp_path: Path) -> None:
    with fake_clock():
        door = _admission(1)
        door._peers.add("192.0.2.1")
        one, other = socket.socketpair()
        with other:
            assert not door.lets_in(one, "192.0.2.1", speaks_http=False)
            assert other.recv(100) == b""
