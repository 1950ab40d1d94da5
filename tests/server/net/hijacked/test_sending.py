"""sending: writes of a hijacked socket, also to a client that reads slowly."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
from tests.server.net.hijacked.scenes import LARGE, Scene

from greenserve import Timeout, spawn
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too


class TestSending:
    def test_all_of_it(self, scene: Scene) -> None:
        sock, client = scene.held()
        sending = spawn(sock.send, bytearray(LARGE))
        wait_all_blocked()
        assert not sending.dead
        with client:
            assert client.take(len(LARGE)) == LARGE
            assert sending.wait() == len(LARGE)

    def test_whatever_is_a_buffer(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            assert sock.send(memoryview(b"abc")) == 3
            sock.sendall(memoryview(b"abcd").cast("H"))
            sock.sendall(b"")
            assert client.take(7) == b"abcabcd"

    def test_one_after_another(self, scene: Scene) -> None:
        sock, client = scene.held()
        pieces = [bytes([number]) * size for number, size in enumerate([2_000_000, 10, 2_000_000, 10, 10])]
        sending = [spawn(sock.send, piece) for piece in pieces]
        wait_all_blocked()
        with client:
            assert client.take(sum(map(len, pieces))) == b"".join(pieces)
            for one in sending:
                one.wait()

    def test_timeout(self, scene: Scene) -> None:
        sock, client = scene.held()
        sock.settimeout(1)
        with client:
            with pytest.raises(TimeoutError):
                sock.sendall(LARGE)
            with pytest.raises(BrokenPipeError, match="half sent"):
                sock.send(b"more")

    def test_timeout_while_another_sends(self, scene: Scene) -> None:
        sock, client = scene.held()
        first = spawn(sock.send, LARGE)
        wait_all_blocked()
        sock.settimeout(1)
        with client:
            with pytest.raises(TimeoutError):
                sock.send(b"second")
            assert client.take(len(LARGE)) == LARGE
            first.wait()
            sock.send(b"third")  # nothing was interrupted
            assert client.take(5) == b"third"

    def test_interrupted_nothing_follows(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            with pytest.raises(Timeout), Timeout(1):
                sock.send(LARGE)
            with pytest.raises(BrokenPipeError, match="half sent"):
                sock.send(b"more")
            sock.close()
            assert not scene.server.stats.connections
            # No closing alert: it is no orderly end. OpenSSL 3.5 wants to say so, to nobody.
            with contextlib.suppress(ssl.SSLError, BrokenPipeError):
                assert len(client.rest()) < len(LARGE)

    def test_without_waiting(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(client.take, len(LARGE))
        with client:
            sock.setblocking(False)
            sent = waits = 0
            while sent < len(LARGE):
                try:
                    sent += sock.send(LARGE[sent:])
                except BlockingIOError:
                    waits += 1
                    wait_all_blocked()
            assert waits
            assert receiving.wait() == LARGE
            receiving = spawn(client.take, 10)
            sock.sendall(b"0123456789")
            assert receiving.wait() == b"0123456789"

    def test_without_waiting_for_another(self, scene: Scene) -> None:
        sock, client = scene.held()
        first = spawn(sock.send, LARGE)
        wait_all_blocked()
        with client:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError, match="another green thread"):
                sock.send(b"second")
            assert client.take(len(LARGE)) == LARGE
            first.wait()

    def test_to_a_client_that_has_gone(self, scene: Scene) -> None:
        sock, client = scene.held()
        client.close()
        wait_all_blocked()
        with pytest.raises(BrokenPipeError):  # over TLS too: the client has read none of its end
            sock.send(LARGE)

    def test_gives_way(self, scene: Scene) -> None:
        sock, client = scene.held()
        turns: list[int] = []
        spawn(turns.append, 1)
        with client:
            scene.clock.advance(1)
            sock.send(b"x")
            assert turns


class TestASlowReader:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"send_timeout": 5.0, "send_min_rate": 0}

    def test_is_reset(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        second = spawn(sock.send, b"second")
        before = scene.clock.now
        with client:
            with pytest.raises(BrokenPipeError, match="reads too slowly"):
                sock.send(LARGE)
            assert scene.clock.now == before + 5
            assert receiving.wait() == b""
            with pytest.raises(BrokenPipeError):
                second.wait()
            assert scene.server.stats.connections == 0

    def test_that_reads_is_not(self, scene: Scene) -> None:
        sock, client = scene.held()
        sending = spawn(sock.send, LARGE)
        with client:
            for _ in range(len(LARGE) // 50_000):
                scene.pass_time(4)
                client.take(50_000)
            wait_all_blocked()
            client.take(len(LARGE) % 50_000)
            assert sending.wait() == len(LARGE)
