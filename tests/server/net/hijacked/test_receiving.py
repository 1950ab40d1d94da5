"""receiving: reads and waits of a hijacked socket, and what select and poll see of it."""

from __future__ import annotations

import select
import socket
import threading

import pytest
from tests.server.net.hijacked.scenes import ASK, HEAD, LARGE, Scene

from greenserve import ConcurrentUseError, spawn
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too


def _is_readable(sock: HijackedSocket) -> bool:
    wait_all_blocked()
    return bool(select.select([sock], [], [], 0)[0])


class TestReceiving:
    def test_waits_green(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 100)
        wait_all_blocked()
        assert not receiving.dead
        with client:
            client.send(b"x")
            assert receiving.wait() == b"x"

    def test_into_a_buffer(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            client.send(b"abcdef")
            buffer = bytearray(b"......")
            assert sock.recv_into(buffer, 2) == 2
            assert sock.recv_into(memoryview(buffer)[2:]) == 4
            assert buffer == b"abcdef"

    def test_arguments_that_make_no_sense(self, scene: Scene) -> None:
        sock, client = scene.held(ASK + b"x")
        with client:
            with pytest.raises(ValueError, match="negative"):
                sock.recv(-1)
            with pytest.raises(OSError, match="no flags"):
                sock.recv(1, socket.MSG_PEEK)
            with pytest.raises(ValueError, match="out of range"):
                sock.settimeout(-1)
            assert sock.recv(0) == b""
            assert sock.recv(1) == b"x"
            assert sock.recv(0) == b""

    def test_timeout(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.settimeout(5)
            assert (sock.gettimeout(), sock.getblocking()) == (5, True)
            before = scene.clock.now
            with pytest.raises(TimeoutError):
                sock.recv(1)
            assert scene.clock.now == before + 5
            client.send(b"x")
            assert sock.recv(1) == b"x"

    def test_without_waiting(self, scene: Scene) -> None:
        sock, client = scene.held(ASK + b"ahead")
        with client:
            sock.setblocking(False)
            assert (sock.gettimeout(), sock.getblocking()) == (0, False)
            assert sock.recv(100) == b"ahead"
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            client.send(b"x")
            wait_all_blocked()
            assert sock.recv(1) == b"x"
            sock.setblocking(True)
            assert sock.gettimeout() is None

    def test_the_end_stays(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            client.send(b"last").finish_sending()
            assert sock.recv(100) == b"last"
            assert sock.recv(100) == b""
            assert sock.recv(100) == b""
            sock.close()
            assert scene.server.stats.connections == 0  # there is nothing to wait for

    def test_two_at_once_are_told(self, scene: Scene) -> None:
        sock, client = scene.held()
        first = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            with pytest.raises(ConcurrentUseError):
                sock.recv(1)
            client.send(b"x")
            assert first.wait() == b"x"

    def test_another_os_thread_is_told(self, scene: Scene) -> None:
        sock, client = scene.held()
        raised: list[BaseException] = []

        def elsewhere() -> None:
            for call in (lambda: sock.recv(1), sock.fileno):
                try:
                    call()
                except RuntimeError as error:
                    raised.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        client.close()
        assert ["not for another OS thread" in str(error) for error in raised] == [True, True]

    def test_gives_way(self, scene: Scene) -> None:
        sock, client = scene.held(ASK + b"ahead")
        turns: list[int] = []
        spawn(turns.append, 1)
        with client:
            scene.clock.advance(1)  # as if the app had held the hub for so long
            assert not turns
            sock.recv(1)
            assert turns


class TestIsWatched:
    def test_is_readable_while_something_is_there(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            assert not _is_readable(sock)
            assert not _is_readable(sock)
            client.send(b"x" * 10_000)
            assert _is_readable(sock)
            assert len(sock.recv(4096)) == 4096
            assert _is_readable(sock)
            assert len(sock.recv(9999)) == 10_000 - 4096
            assert not _is_readable(sock)
            client.send(b"y")
            assert _is_readable(sock)
            assert sock.recv(1) == b"y"
            client.finish_sending()
            assert _is_readable(sock)
            assert sock.recv(1) == b""
            assert _is_readable(sock)

    def test_from_what_came_behind_the_request_on(self, scene: Scene) -> None:
        sock, client = scene.held(ASK + b"ahead")
        with client:
            assert _is_readable(sock)
            assert sock.recv(100) == b"ahead"
            assert not _is_readable(sock)

    def test_asking_takes_nothing_over(self, scene: Scene) -> None:
        numbers: list[int] = []
        scene.app.use = lambda sock: numbers.append(sock.fileno())
        with scene.client() as client:
            assert client.answer().status == 200
        assert numbers[0] >= 0

    def test_before_it_is_taken(self, scene: Scene) -> None:
        found: list[bool] = []

        def use(sock: HijackedSocket) -> None:
            found.append(bool(select.select([sock], [], [], 0)[0]))
            sock.send(HEAD)
            found.append(bool(select.select([sock], [], [], 0)[0]))

        scene.app.use = use
        with scene.client(ASK + b"ahead") as client:
            assert client.rest() == HEAD
        assert found == [False, True]

    @pytest.mark.parametrize("timeout", [0, 0.5])
    def test_after_a_call_that_found_nothing(self, scene: Scene, timeout: float) -> None:
        sock, client = scene.held()
        with client:
            assert not _is_readable(sock)
            sock.settimeout(timeout)
            with pytest.raises((BlockingIOError, TimeoutError)):
                sock.recv(100)
            client.send(b"x")
            assert _is_readable(sock)
            assert sock.recv(100) == b"x"

    def test_the_server_closes_it_while_it_is_watched(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        sock, client = scene.held()
        with client:
            assert not _is_readable(sock)
            wait_all_blocked()
            next(iter(scene.server.connections)).close()
            assert client.rest() == b""
            assert _is_readable(sock)
        assert not caplog.records

    def test_no_more_is_read_ahead_than_once(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            sending = spawn(client.send, LARGE)
            wait_all_blocked()
            assert sock.bytes_received <= 64 * 1024
            assert not sending.dead
            taken = b""
            while len(taken) < len(LARGE):
                assert _is_readable(sock)
                taken += sock.recv(50_000)
            assert taken == LARGE
            sending.wait()

    def test_reading_ahead_is_due_twice(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sending = spawn(client.send, LARGE)
            wait_all_blocked()
            taken = sock.recv(2)
            sock.fileno()
            taken += sock.recv(2)
            while len(taken) < len(LARGE):
                wait_all_blocked()
                taken += sock.recv(1 << 20)
            assert taken == LARGE
            sending.wait()

    def test_receiving_goes_on_as_before(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            receiving = spawn(sock.recv, 100)
            wait_all_blocked()
            client.send(b"x")
            assert receiving.wait() == b"x"
            assert not _is_readable(sock)
            client.send(b"y")
            assert _is_readable(sock)

    def test_a_reset_is_readable(self, scene: Scene) -> None:
        sock, client = scene.held()
        sock.fileno()
        wait_all_blocked()
        client.sock.close()  # of a unix socket with nothing unread that is an end
        assert _is_readable(sock)
        assert sock.recv(1) == b""

    def test_the_app_is_over(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            scene.end_app()
            assert _is_readable(sock)
            assert sock.recv(1) == b""

    def test_the_server_has_closed(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            scene.stop(0).wait()
            assert _is_readable(sock)
            assert sock.recv(1) == b""

    def test_closed_it_has_no_number(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.fileno()
            sock.close()
            assert sock.fileno() == -1
