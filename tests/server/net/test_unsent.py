"""unsent: what all connections hold of whole answers has a bound; who has taken nothing for longest goes first."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.apps import Environ, Start
from tests.support.raw import RawClient, request
from tests.support.running import in_one_hub

from greenserve import Server, sleep

MIB = 1 << 20
_page = bytes(3 * MIB)


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
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
        assert server.unsent.bytes == 6 * MIB
        one.head()
        one.take(2 * MIB)  # so the other has stood still for longer
        three = _asking(stack, server)
        assert server.unsent.bytes == 6 * MIB
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
            assert server.unsent.bytes <= 9 * MIB
        assert server.stats.connections == 3
    assert len([record for record in caplog.records if "limit_unsent" in record.getMessage()]) == 1


def test_a_page_that_all_share_is_held_once(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="4M") as (server, _), ExitStack() as stack:
        clients = [_asking(stack, server, "/shared") for _ in range(5)]
        assert server.unsent.bytes == 3 * MIB
        for client in clients:
            assert len(client.answer().body) == 3 * MIB
        assert server.unsent.bytes == 0


def test_a_single_one_may_be_larger(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="1M") as (server, _), ExitStack() as stack:
        assert len(_asking(stack, server).answer().body) == 3 * MIB


def test_switched_off_there_is_no_bound(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path, limit_unsent="off") as (server, _), ExitStack() as stack:
        clients = [_asking(stack, server) for _ in range(5)]
        assert server.unsent.bytes == 15 * MIB
        clients[0].close()
        for client in clients[1:]:
            assert len(client.answer().body) == 3 * MIB
        assert server.unsent.bytes == 0


def test_who_closes_is_forgotten(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path) as (server, _), ExitStack() as stack:
        client = _asking(stack, server)
        assert server.unsent.bytes == 3 * MIB
        client.close()
        sleep(31)
        assert server.unsent.bytes == 0


def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    with in_one_hub(app, tmp_path) as (server, _), ExitStack() as stack:
        _asking(stack, server)
        server.stop(0)
        assert server.unsent.bytes == 0
