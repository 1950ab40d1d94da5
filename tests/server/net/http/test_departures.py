"""cancel_on_disconnect: an app whose client leaves while it runs."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub, serving
from tests.support.times import eventually

from greenserve import Server, sleep
from greenserve.wsgi import RequestCancelled
from greenserve_hub.testing import wait_all_blocked


class _App:
    """Waits for 100 s, in its response at /streams, in a post-hook at /hooks; notes how it ends."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def where_it_waits(self) -> None:
        try:
            sleep(100)
            self.ended.append("in time")
        except Exception:
            self.ended.append("swallowed")
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/streams":
            start_response("200 OK", [])
            yield b"begun"
        if path == "/body":
            environ["wsgi.input"].read()
        if path == "/hooks":
            environ["greenserve.posthooks"].append((lambda _: self.where_it_waits(), (), {}))
        elif path != "/quick":
            self.where_it_waits()
        if path != "/streams":
            start_response("200 OK", [])
            yield path.encode()


def _client(server: Server) -> RawClient:
    return RawClient(server.address, green=True)


@pytest.mark.over_tls_too
@pytest.mark.parametrize("how", ["reset", "close"])
class TestClose:
    """Over a unix socket a close is certain."""

    @pytest.mark.parametrize("path", ["/", "/streams"])
    def test_it_ends_that_request_alone(
        self, how: str, path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "greenserve.error")
        app = _App()
        with in_one_hub(app, tmp_path, cancel_on_disconnect=how) as (server, clock), _client(server) as stays:
            stays.send(request("/"))
            with _client(server) as leaves:
                leaves.send(request(path))
                sleep(10)
                began = clock()
            sleep(1)
            assert (app.ended, server.stats.cancelled) == (["RequestCancelled"], 1)
            assert clock() - began <= 1
            assert stays.answer().status == 200
        assert app.ended == ["RequestCancelled", "in time"]
        (record,) = (one for one in caplog.records if "left" in one.getMessage())
        assert (record.levelname, path in record.getMessage()) == ("INFO", True)
        assert "where_it_waits" in caplog.text  # the stack

    def test_behind_a_request_that_was_pipelined(self, how: str, tmp_path: Path) -> None:
        app = _App()
        with in_one_hub(app, tmp_path, cancel_on_disconnect=how) as (server, _):
            with _client(server) as leaves:
                leaves.send(request("/") + request("/quick"))
                sleep(10)
            sleep(1)
            assert (app.ended, server.stats.requests) == (["RequestCancelled"], 1)

    def test_who_has_its_response_may_leave_a_post_hook(self, how: str, tmp_path: Path) -> None:
        app = _App()
        with in_one_hub(app, tmp_path, cancel_on_disconnect=how) as (server, _):
            with _client(server) as client:
                assert client.get("/hooks").status == 200
                sleep(10)
            sleep(100)
            assert (app.ended, server.stats.cancelled) == (["in time"], 0)

    def test_the_connection_goes_on_after_what_was_not_cancelled(self, how: str, tmp_path: Path) -> None:
        with in_one_hub(_App(), tmp_path, cancel_on_disconnect=how) as (server, _), _client(server) as client:
            assert [client.get(path).status for path in ("/", "/quick", "/streams", "/quick")] == [200] * 4


class TestHalfClose:
    def test_of_a_request_is_answered(self, tmp_path: Path) -> None:
        for how in ("reset", "close"):
            with (
                in_one_hub(_App(), tmp_path, cancel_on_disconnect=how) as (server, _),
                _client(server) as client,
            ):
                client.send(request("/streams")).finish_sending()
                assert client.answer().body == b"begun"
                assert server.stats.cancelled == 0

    def test_a_later_one_is_a_close_where_guesses_are_allowed(self, tmp_path: Path) -> None:
        for how, ended in (("reset", "in time"), ("close", "RequestCancelled")):
            app = _App()
            with (
                in_one_hub(app, tmp_path, cancel_on_disconnect=how) as (server, _),
                _client(server) as client,
            ):
                if not server.hub.edge:
                    pytest.skip("poll and select tell nothing of a socket that nobody reads")
                client.send(request("/"))
                sleep(10)
                client.finish_sending()
                client.rest()
            assert app.ended == [ended]

    def test_one_that_reads_slowly_keeps_its_time(self, tmp_path: Path) -> None:
        """Each edge tells of the half-close again."""
        large = bytes(1_000_000)

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", str(2 * len(large)))])
            yield large
            sleep(10)
            yield large

        with (
            in_one_hub(app, tmp_path, cancel_on_disconnect="close") as (server, _),
            _client(server) as client,
        ):
            client.send(request()).finish_sending()
            client.head()
            sleep(5)
            assert client.take(2 * len(large))
            assert server.stats.cancelled == 0


class TestTCP:
    """A reset is certain; a close says what a half-close says."""

    def _leave(self, server: Server, app: _App, reset: bool) -> None:
        with RawClient(server.address) as client:
            client.send(request("/"))
            eventually(lambda: server.stats.active == 1)
            if reset:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                sleep(1.2)

    @pytest.mark.parametrize(("how", "reset"), [("reset", True), ("close", True), ("close", False)])
    def test_it_is_cancelled(self, how: str, reset: bool) -> None:
        app = _App()
        with serving(app, cancel_on_disconnect=how) as server:
            if not (reset or server.hub.edge):
                pytest.skip("poll and select tell nothing of a socket that nobody reads")
            self._leave(server, app, reset)
            eventually(lambda: app.ended == ["RequestCancelled"])

    def test_by_default_it_runs_on(self, tmp_path: Path) -> None:
        app = _App()
        with in_one_hub(app, tmp_path) as (server, _):
            with _client(server) as client:
                client.send(request("/"))
                wait_all_blocked()
            sleep(100)
            assert (app.ended, server.stats.cancelled) == (["in time"], 0)


def test_no_exception_that_an_app_swallows_by_the_way() -> None:
    assert not issubclass(RequestCancelled, Exception)
