"""The ends of a hijacked socket: the app's, the client's, and a stop of the server."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from tests.server.net.hijacked.scenes import LARGE, Scene

from greenserve import spawn
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too

_CLOSE = bytes([0x88, 0x02, 0x03, 0xE8])


def _offer(sock: HijackedSocket, data: bytes) -> bytes:
    """Send what goes without waiting; the rest."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            break
    return data


class TestTheEnd:
    def test_close_gives_the_client_what_was_sent(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            client.send(b"unread" * 10)
            wait_all_blocked()
            receiving.wait()
            sock.send(b"last")
            sock.close()
            sock.close()
            assert client.rest() == b"last"
            for call in (
                lambda: sock.recv(1),
                lambda: sock.send(b"x"),
                lambda: sock.shutdown(socket.SHUT_WR),
            ):
                with pytest.raises(OSError, match="closed") as raised:
                    call()
                assert raised.value.errno == errno.EBADF

    def test_close_wakes_who_receives(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            sock.close()
            assert receiving.wait() == b""

    def test_a_client_that_does_not_close_is_closed(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.close()
            assert scene.server.stats.connections == 1
            scene.pass_time(2)
            assert (scene.server.stats.connections, scene.server.stats.websockets) == (0, 0)

    def test_with(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            with sock as same:
                assert same is sock
            assert sock.fileno() == -1

    def test_of_the_app_is_the_end_for_its_threads(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            scene.end_app()
            assert receiving.wait() == b""
            assert sock.recv(1) == b""
            with pytest.raises(BrokenPipeError):
                sock.send(b"more")
            sock.close()
            assert client.rest() == b""

    def test_of_the_connection_before_the_app(self, scene: Scene) -> None:
        sock, client = scene.held()
        client.close()
        assert sock.recv(1) == b""
        sock.close()
        assert scene.server.stats.connections == 0
        stopping = scene.stop()
        assert not stopping.dead  # it waits for the app
        scene.end_app()
        stopping.wait()

    def test_shutdown_of_sending(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.send(b"last")
            sock.shutdown(socket.SHUT_WR)
            assert client.rest() == b"last"
            with pytest.raises(BrokenPipeError):
                sock.send(b"more")
            if not isinstance(client.sock, ssl.SSLSocket):
                client.send(b"on")
                assert sock.recv(10) == b"on"
            else:
                assert sock.recv(10) == b""

    def test_shutdown_of_receiving(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            sock.shutdown(socket.SHUT_RD)
            assert receiving.wait() == b""
            sock.send(b"on")
            assert client.take(2) == b"on"

    def test_shutdown_of_both(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.shutdown(socket.SHUT_RDWR)
            assert sock.recv(1) == b""
            assert client.rest() == b""


class TestAStop:
    """RFC 6455 §7.4.1: 1001 is a server going down; 1012 is IANA's for one that restarts."""

    def test_says_close_and_the_app_hears_the_answer(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            stopping = scene.stop()
            assert client.take(18) == b"\x88\x12\x03\xe9the server stops"[:18]
            client.take(2)
            client.send(b"answer")
            assert sock.recv(100) == b"answer"
            assert sock.send(_CLOSE) == len(_CLOSE)  # the library's answer to what it takes for the client's
            assert not stopping.dead
            scene.end_app()
            assert client.rest() == b""
        stopping.wait()

    def test_that_is_a_restart(self, scene: Scene) -> None:
        _, client = scene.held()
        with client:
            scene.stop(restarts=True)
            assert client.take(4)[2:] == (1012).to_bytes(2)

    def test_between_two_frames_and_not_in_one(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.send(b"\x82\x04ab")
            scene.stop()
            assert client.take(4) == b"\x82\x04ab"
            assert client.is_silent()
            sock.send(b"cd")
            assert client.take(3) == b"cd\x88"

    def test_after_what_is_being_sent(self, scene: Scene) -> None:
        sock, client = scene.held()
        frame = b"\x82\x7f" + len(LARGE).to_bytes(8) + LARGE
        sending = spawn(sock.send, frame)
        wait_all_blocked()
        with client:
            scene.stop()
            assert client.take(len(frame) + 1) == frame + b"\x88"
            sending.wait()

    def test_behind_the_frame_that_is_offered_piece_by_piece(self, scene: Scene) -> None:
        """With a timeout of 0. Of what TLS has encrypted a part may be out that nobody has counted yet."""
        sock, client = scene.held()
        frame = b"\x82\x7f" + len(LARGE).to_bytes(8) + LARGE
        with client:
            sock.setblocking(False)
            left = _offer(sock, frame)
            assert left
            scene.stop()
            receiving = spawn(client.take, len(frame) + 1)
            while left := _offer(sock, left):
                wait_all_blocked()
            assert receiving.wait() == frame + b"\x88"

    def test_not_into_a_frame_of_which_nothing_was_counted(self, scene: Scene) -> None:
        sock, client = scene.held()
        frame = b"\x82\x7e\xea\x60" + bytes(60_000)
        with client:
            sock.setblocking(False)
            while not (left := _offer(sock, frame)):
                pass
            scene.stop()
            receiving = spawn(client.rest)
            while left := _offer(sock, left):
                wait_all_blocked()
            scene.pass_time(100)
            got = receiving.wait()
            frames, rest = divmod(len(got), len(frame))
            assert got[: frames * len(frame)] == frame * frames
            assert (rest, got[-20:-16]) == (20, b"\x88\x12\x03\xe9")

    def test_not_after_a_close_of_the_apps(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.send(_CLOSE)
            scene.stop()
            assert client.take(4) == _CLOSE
            assert client.is_silent()

    def test_not_to_what_is_no_websocket(self, scene: Scene) -> None:
        gate = Event()

        def use(sock: HijackedSocket) -> None:
            sock.send(b"something else")
            gate.wait()

        scene.app.use = use
        with scene.client() as client:
            stopping = scene.stop()
            gate.send(None)
            assert client.rest() == b"something else"
        stopping.wait()

    @pytest.mark.parametrize("settings", [{"ws_close_timeout": 3.0}])
    def test_a_client_that_does_not_agree_is_cut(self, scene: Scene) -> None:
        sock, client = scene.held()
        receiving = spawn(sock.recv, 1)
        with client:
            before = scene.clock.now
            scene.stop()
            assert receiving.wait() == b""
            assert scene.clock.now == before + 3
            assert scene.server.stats.connections == 0

    def test_ends_what_takes_longer(self, scene: Scene) -> None:
        sock, client = scene.held()
        sending = spawn(sock.send, LARGE)
        receiving = spawn(sock.recv, 1)
        wait_all_blocked()
        with client:
            stopping = scene.stop(5)
            scene.pass_time(5)
            stopping.wait()
            assert receiving.wait() == b""
            with pytest.raises(BrokenPipeError):
                sending.wait()
            scene.done.send(None)

    def test_once_closed_nothing_is_said(self, scene: Scene) -> None:
        sock, client = scene.held()
        with client:
            sock.close()
            scene.stop()
            assert client.rest() == b""
