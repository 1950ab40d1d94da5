"""activity: what the access log and the stats tell of a WebSocket."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.clients.ws_client import PING, WSClient, closing, frame, message
from tests.support.servers.running import in_one_hub

from greenserve import WebSocket, WebSocketWSGI, sleep

pytestmark = pytest.mark.over_tls_too


def echo(ws: WebSocket) -> None:
    for one in ws:
        ws.send(one)


def callback(ws: WebSocket) -> None:
    ws.on_message = ws.send


@pytest.mark.parametrize("handler", [echo, callback])
class TestAccessLog:
    """One line for each, when it is over."""

    def _line(self, handler: object, folder: Path, *, breaks: bool = False, **settings: str) -> str:
        log = folder / "access.log"
        with in_one_hub(
            WebSocketWSGI(handler),  # type: ignore[arg-type]
            folder,
            access_logfile=str(log),
            ws_ping_interval=0,
            **settings,
        ) as (server, _):
            with WSClient(server.address, "/chat?room=1", "User-Agent: me", green=True) as client:
                client.tell("one", b"two")
                assert [client.message(), client.message()] == ["one", b"two"]
                sleep(90)
                assert log.read_text() == ""
                if breaks:
                    client.send(message("not whole")[:5])
                    client.reset()
                else:
                    client.leave()
            sleep(1)
            text = log.read_text()
        assert log.read_text() == text
        return text

    def test_combined(self, handler: object, tmp_path: Path) -> None:
        line = self._line(handler, tmp_path)
        assert re.fullmatch(
            r'- - - \[[^]]+\] "GET /chat\?room=1 HTTP/1\.1" 101 14 "-" "me"'
            r" 90\.000s received=2/26B sent=2/14B\n",
            line,
        ), line

    def test_json(self, handler: object, tmp_path: Path) -> None:
        line = json.loads(self._line(handler, tmp_path, access_log_format="json"))
        wanted = {
            "method": "GET",
            "status": 101,
            "bytes_received": 26,
            "bytes_sent": 14,
            "messages_received": 2,
            "messages_sent": 2,
            "seconds": 90.0,
            "user_agent": "me",
        }
        assert wanted.items() <= line.items(), line

    def test_one_that_broke(self, handler: object, tmp_path: Path) -> None:
        line = json.loads(self._line(handler, tmp_path, breaks=True, access_log_format="json"))
        assert (line["status"], line["messages_received"], line["messages_sent"]) == (101, 2, 2)

    def test_an_app_that_raised_has_no_other_line(self, handler: object, tmp_path: Path) -> None:
        log = tmp_path / "access.log"

        def fails(ws: WebSocket) -> None:
            ws.receive()
            raise LookupError("its own")

        with in_one_hub(WebSocketWSGI(fails), tmp_path, access_logfile=str(log)) as (server, _):
            with WSClient(server.address, green=True) as client:
                client.tell("go")
                client.agree()
            sleep(1)
        assert [line.split()[8] for line in log.read_text().splitlines()] == ["101"]


class TestStats:
    def test_open_ones_are_counted(self, tmp_path: Path) -> None:
        """websockets: those that are open, until their connections are closed; active: requests, without them."""
        with in_one_hub(WebSocketWSGI(echo), tmp_path) as (server, _):
            assert server.stats.websockets == 0
            with WSClient(server.address, green=True) as one, WSClient(server.address, green=True) as other:
                stats = server.stats
                assert (stats.websockets, stats.connections, stats.active, stats.requests) == (2, 2, 0, 2)
                one.leave()
                one.close()
                other.reset()
                sleep(0.1)
                stats = server.stats
                assert (stats.websockets, stats.connections, stats.active, stats.requests) == (0, 0, 0, 2)

    def test_what_it_counts_itself(self, tmp_path: Path) -> None:
        sockets: list[WebSocket] = []

        def handler(ws: WebSocket) -> None:
            sockets.append(ws)
            echo(ws)

        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path) as (server, _),
            WSClient(server.address, green=True, ahead=message("one")) as client,
        ):
            client.send(frame(PING) + message(b"two" * 100) + closing())
            sleep(1)
            (ws,) = sockets
            assert (ws.messages_received, ws.messages_sent, ws.dropped) == (2, 2, 0)
            assert ws.bytes_received == len(message("one") + frame(PING) + message(b"two" * 100) + closing())
