"""upgrading: what an app answers beside or after an upgrade, and where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.support.clients.ws_client import WSClient, message
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import accept_websocket, sleep

pytestmark = pytest.mark.over_tls_too


class TestWhatTheAppAnswers:
    """Behind the upgrade it is for nobody."""

    @pytest.mark.parametrize("starts", [False, True])
    @pytest.mark.parametrize("ends_itself", [False, True])
    def test_a_generator_may_upgrade(self, tmp_path: Path, ends_itself: bool, starts: bool) -> None:
        """It runs on to its end, and what it yields goes nowhere."""
        closed = []

        def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
            if starts:
                start_response("200 OK", [("Content-Type", "text/plain")])
            try:
                ws = accept_websocket(environ)
                yield b"not for the client"
                ws.send(ws.receive() or "")
                yield b"nor this"
                if ends_itself:
                    ws.close(4000)
            finally:
                closed.append(True)

        with (
            in_one_hub(app, tmp_path) as (server, _),
            WSClient(server.address, green=True, ahead=message("one")) as client,
        ):
            assert client.message() == "one"
            assert client.agree() == (4000 if ends_itself else 1000, "")
            assert closed

    def test_what_it_returns_is_closed_and_not_iterated(self, tmp_path: Path) -> None:
        calls: list[str] = []

        class Result:
            def __iter__(self) -> Iterator[bytes]:
                calls.append("iterated")
                return iter((b"x",))

            def close(self) -> None:
                calls.append("closed")

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            accept_websocket(environ)
            start_response("200 OK", [("Content-Type", "text/plain")])(b"written")
            return Result()

        with in_one_hub(app, tmp_path) as (server, _), WSClient(server.address, green=True) as client:
            assert client.agree() == (1000, "")
        assert calls == ["closed"]

    def test_a_frameworks_500_is_an_error_of_the_app(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            accept_websocket(environ)
            start_response("500 Internal Server Error", [("Content-Type", "text/html")])
            return [b"<h1>It has caught what the view has raised</h1>"]

        with in_one_hub(app, tmp_path) as (server, _), WSClient(server.address, green=True) as client:
            assert client.agree() == (1011, "error in the app")

    def test_posthooks_run_and_hints_go_nowhere(self, tmp_path: Path) -> None:
        ran: list[object] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            ws = accept_websocket(environ)
            environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
            environ["greenserve.posthooks"].append((lambda environ: ran.append(ws.closed), (), {}))
            ws.send("one")
            return []

        with in_one_hub(app, tmp_path) as (server, _), WSClient(server.address, green=True) as client:
            assert client.message() == "one"
            assert client.agree() == (1000, "")
        assert ran == [False]

    def test_the_client_is_not_told_to_have_gone(self, tmp_path: Path) -> None:
        told: list[bool] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            ws = accept_websocket(environ)
            told.append(environ["greenserve.client_disconnected"]())
            ws.receive()
            told.append(environ["greenserve.client_disconnected"]())
            return []

        with in_one_hub(app, tmp_path) as (server, _):
            with WSClient(server.address, green=True):
                sleep(1)
            sleep(1)
        assert told == [False, True]
