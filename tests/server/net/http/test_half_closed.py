"""Clients that close their sending side and read on: nc -N, some load balancers, and who looks like them.

RFC 9112 §9.6 knows such an end, and over TCP nobody can tell it from that of a client that has gone until something is
sent to it. The rule is in net/http/README.md.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Gated, Start
from tests.support.servers.running import Gate, in_one_hub, serving
from tests.support.times import PATIENCE

from greenserve import Server, sleep
from greenserve_hub.testing import FakeClock, wait_all_blocked


@contextmanager
def _full(folder: Path) -> Iterator[tuple[Server, FakeClock, Gated]]:
    """A server whose one slot is taken until the app's gate opens."""
    app = Gated()
    with (
        in_one_hub(app, folder, pool=1) as (server, clock),
        RawClient(server.address, green=True) as first,
    ):
        first.send(request("/holds"))
        wait_all_blocked()
        yield server, clock, app
        app.gate.send(None) if not app.gate.ready() else None
        assert first.answer().status == 200


def _pass(clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    sleep(0)
    wait_all_blocked()


class TestInLine:
    def test_who_ends_with_the_request_is_answered(self, tmp_path: Path) -> None:
        with _full(tmp_path) as (server, clock, app), RawClient(server.address, green=True) as client:
            client.send(request("/half")).finish_sending()
            wait_all_blocked()
            assert server.stats.queued == 1
            _pass(clock, 5)
            app.gate.send(None)
            assert client.answer().body == b"/half"
            assert client.rest() == b""

    def test_who_ends_a_moment_later_is_answered_too(self, tmp_path: Path) -> None:
        with _full(tmp_path) as (server, clock, app), RawClient(server.address, green=True) as client:
            client.send(request("/half"))
            wait_all_blocked()
            _pass(clock, 0.9)
            client.finish_sending()
            wait_all_blocked()
            _pass(clock, 5)
            app.gate.send(None)
            assert client.answer().body == b"/half"

    def test_who_ends_when_it_has_waited_has_given_up(self, tmp_path: Path) -> None:
        with _full(tmp_path) as (server, clock, app), RawClient(server.address, green=True) as client:
            if not server.hub.edge:
                pytest.skip("poll and select tell nothing of a socket that nobody reads")
            client.send(request("/given-up"))
            wait_all_blocked()
            _pass(clock, 1.1)
            client.finish_sending()
            wait_all_blocked()
            app.gate.send(None)
            assert client.rest() == b""
            assert app.served == []

    def test_who_has_closed_both_sides_is_dropped_at_once(self, tmp_path: Path) -> None:
        with _full(tmp_path) as (server, _, app):
            with RawClient(server.address, green=True) as client:
                client.send(request("/gone"))
                wait_all_blocked()
            wait_all_blocked()
            app.gate.send(None)
            wait_all_blocked()
            assert app.served == []
            assert server.stats.connections == 1

    def test_a_pipelined_second_request_counts_from_its_own_turn(self, tmp_path: Path) -> None:
        app = Gated()
        with (
            in_one_hub(app, tmp_path, pool=1) as (_, clock),
            RawClient(_.address, green=True) as client,
        ):
            client.send(request("/holds") + request("/second")).finish_sending()
            wait_all_blocked()
            _pass(clock, 100)
            app.gate.send(None)
            assert client.answer().body == b"/holds"
            assert client.answer().body == b"/second"


def test_over_tcp_in_line() -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/holds":
            gate.wait()
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with serving(app, pool=1) as server, RawClient(server.address) as first:
        first.send(request("/holds"))
        gate.reached()
        with RawClient(server.address) as half:
            half.send(request("/half")).finish_sending()
            gate.open()
            assert half.answer().body == b"/half"
        assert first.answer().status == 200


def test_nc() -> None:
    nc = shutil.which("nc")
    if nc is None or "-N" not in subprocess.run([nc, "-h"], capture_output=True, text=True).stderr:
        pytest.skip("needs OpenBSD's nc")
    with serving(Gated()) as server:
        host, port = server.address
        got = subprocess.run(
            [nc, "-N", host, str(port)],
            input=request("/a") + request("/b"),
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        ).stdout
    assert [got.count(b"HTTP/1.1 200"), b"/a" in got, b"/b" in got] == [2, True, True]


def test_the_app_can_ask() -> None:
    seen: list[bool] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        for _ in range(100):
            if environ["greenserve.client_disconnected"]():
                break
            sleep(0.01)
        seen.append(environ["greenserve.client_disconnected"]())
        start_response("200 OK", [])
        return [b"answered"]

    with serving(app) as server, RawClient(server.address) as client:
        client.send(request("/")).finish_sending()
        assert client.answer().body == b"answered"
    assert seen == [True]


def test_it_is_over_after_the_answer() -> None:
    with serving(Gated()) as server, RawClient(server.address) as client:
        client.send(request("/")).finish_sending()
        client.sock.settimeout(PATIENCE)
        assert client.answer().status == 200
        assert client.sock.recv(1) == b""
        with pytest.raises(OSError, match="Broken pipe"):
            client.sock.send(b"x")
