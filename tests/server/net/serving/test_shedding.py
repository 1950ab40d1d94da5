"""What a server sheds when there is too much, what it counts, and what a proxy tells of the time before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import handshake
from tests.support.servers.apps import Gated
from tests.support.servers.running import in_one_hub

from greenserve import Server, WebSocketWSGI, sleep, spawn
from greenserve_hub.testing import wait_all_blocked


def _client(server: Server) -> RawClient:
    return RawClient(server.address, green=True)


def _ago(seconds: float, path: str = "/", name: str = "X-Request-Start") -> bytes:
    return request(path, "GET", b"", f"{name}: t={time.time() - seconds:.3f}")


def _shed(server: Server) -> dict[str, int]:
    return {
        name: count for name, count in server.stats.as_dict().items() if name.startswith("shed_") and count
    }


class TestRequestStart:
    """X-Request-Start: what a request waited at the proxy is a part of queue_timeout."""

    @pytest.mark.parametrize("name", ["X-Request-Start", "X-Queue-Start"])
    def test_one_that_has_waited_too_long_is_503_and_never_runs(self, name: str, tmp_path: Path) -> None:
        app = Gated()
        with in_one_hub(app, tmp_path, queue_timeout=10) as (server, _), _client(server) as client:
            answer = client.send(_ago(11, "/late", name)).answer()
            assert (answer.status, answer["retry-after"]) == (503, "1")
            assert b"X-Request-Start, queue_timeout" in answer.body
            assert app.served == []
            assert _shed(server) == {"shed_request_start": 1}

    def test_one_that_is_in_time_runs(self, tmp_path: Path) -> None:
        with in_one_hub(Gated(), tmp_path, queue_timeout=10) as (server, _), _client(server) as client:
            assert client.send(_ago(9)).answer().status == 200
            assert client.send(_ago(-60)).answer().status == 200
            assert client.send(request("/", "GET", b"", "X-Request-Start: soon")).answer().status == 200
            assert _shed(server) == {}

    def test_a_strangers_word_counts_for_nothing(self, tmp_path: Path) -> None:
        with (
            in_one_hub(Gated(), tmp_path, queue_timeout=10, forwarded_allow_ips="10.0.0.1") as (server, _),
            _client(server) as client,
        ):
            assert client.send(_ago(1000)).answer().status == 200

    def test_without_queue_timeout_none_is_too_late(self, tmp_path: Path) -> None:
        with in_one_hub(Gated(), tmp_path, queue_timeout=0) as (server, _), _client(server) as client:
            assert client.send(_ago(1000)).answer().status == 200

    def test_in_the_queue_it_has_the_rest_of_the_time(self, tmp_path: Path) -> None:
        app = Gated()
        with (
            in_one_hub(app, tmp_path, pool=1, queue_timeout=10) as (server, clock),
            _client(server) as first,
            _client(server) as client,
        ):
            first.send(request("/holds"))
            wait_all_blocked()
            began = clock()
            client.send(_ago(6))
            assert client.answer().status == 503
            assert clock() - began == pytest.approx(4, abs=0.5)
            app.gate.send(None)
            assert first.answer().status == 200
            assert app.served == []
            assert _shed(server) == {"shed_request_start": 1}


class TestCounts:
    """Each reason has its number, by a name that does not change."""

    def test_a_queue_that_is_full(self, tmp_path: Path) -> None:
        app = Gated()
        with (
            in_one_hub(app, tmp_path, pool=1, limit_queue=0) as (server, _),
            _client(server) as first,
            _client(server) as client,
        ):
            first.send(request("/holds"))
            wait_all_blocked()
            assert client.get("/").status == 503
            assert _shed(server) == {"shed_limit_queue": 1}
            app.gate.send(None)
            assert first.answer().status == 200

    def test_who_waits_for_too_long_or_leaves(self, tmp_path: Path) -> None:
        app = Gated()
        with (
            in_one_hub(app, tmp_path, pool=1, queue_timeout=10) as (server, _),
            _client(server) as first,
            _client(server) as waits,
        ):
            first.send(request("/holds"))
            wait_all_blocked()
            assert waits.get("/").status == 503
            with _client(server) as leaves:
                leaves.send(request("/"))
                wait_all_blocked()
            app.gate.send(None)
            assert first.answer().status == 200
            wait_all_blocked()
            assert _shed(server) == {"shed_queue_timeout": 1, "shed_client_left": 1}

    def test_connections(self, tmp_path: Path) -> None:
        app = Gated()
        with in_one_hub(app, tmp_path, limit_connections=1) as (server, _), _client(server) as first:
            first.get("/")
            with _client(server) as second:
                second.send(request("/holds"))
                wait_all_blocked()
                assert server.stats.shed_made_way == 1
                with _client(server) as third:
                    assert third.answer().status == 503
                assert (server.stats.turned_away, _shed(server)) == (
                    1,
                    {"shed_limit_connections": 1, "shed_made_way": 1},
                )
                app.gate.send(None)
                second.answer()

    def test_websockets_and_a_stop(self, tmp_path: Path) -> None:
        with (
            in_one_hub(WebSocketWSGI(list), tmp_path, limit_websockets=0) as (server, _),
            _client(server) as client,
            _client(server) as kept,
        ):
            assert client.send(handshake()).answer().status == 503
            assert kept.get("/").status == 426
            assert _shed(server) == {"shed_limit_websockets": 1}
            stopping = spawn(server.stop, drain_delay=10)
            sleep(1)
            assert kept.send(handshake()).answer().status == 503
            client.close()
            kept.close()
            stopping.wait()
            assert _shed(server) == {"shed_limit_websockets": 1, "shed_stopping": 1}
