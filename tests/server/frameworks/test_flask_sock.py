"""Flask-Sock, unchanged, behind the command: what its users do, without TLS and over it.

The client is websocket-client: another implementation of the protocol than the one inside Flask-Sock.
"""

from __future__ import annotations

import logging
import re
import signal
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import flask
import pytest
import websocket
from flask_sock import Sock
from tests.server.frameworks.flask_sock_app import EACH, SENDERS, SMALL
from tests.server.frameworks.sites import Site, serving_app
from tests.support.clients.raw import RawClient, request
from tests.support.programs import patched
from tests.support.servers.certificates import client_context
from tests.support.servers.running import serving
from tests.support.times import MS, eventually

APP = "tests.server.frameworks.flask_sock_app:app"
AT_ONCE = 100
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


@pytest.fixture(scope="module", params=["plain", "tls"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving_app(APP, tmp_path_factory.mktemp("site"), tls=request.param == "tls") as site:
        yield site


def _closed(ws: websocket.WebSocket) -> tuple[int, str]:
    """Read to the Close and answer it."""
    while True:
        opcode, frame = ws.recv_data_frame(True)
        if opcode == _CLOSE:
            return struct.unpack("!H", frame.data[:2])[0], frame.data[2:].decode()


class TestMessages:
    def test_text_and_binary_of_every_size(self, site: Site) -> None:
        with site.connect("/echo") as ws:
            for size in (0, 1, 125, 126, 4095, 4096, 4097, 65535, 65536, 1_000_000):
                ws.send("ä" * size)
                assert ws.recv() == "ä" * size
                ws.send_binary(b"\xff" * size)
                assert ws.recv() == b"\xff" * size

    def test_many_ahead(self, site: Site) -> None:
        with site.connect("/echo") as ws:
            for number in range(1000):
                ws.send(str(number))
            assert [ws.recv() for _ in range(1000)] == [str(number) for number in range(1000)]

    def test_fragments_with_a_ping_between(self, site: Site) -> None:
        with site.connect("/echo") as ws:
            ws.send_frame(websocket.ABNF.create_frame("one ", _TEXT, 0))
            ws.ping("between")
            ws.send_frame(websocket.ABNF.create_frame("two", 0, 1))
            assert ws.recv_data(True) == (_PONG, b"between")
            assert ws.recv() == "one two"

    def test_sent_with_the_request(self, site: Site) -> None:
        head = request("/pinged/echo", "GET", b"", *_FIELDS)
        with RawClient(("127.0.0.1", site.port), tls=client_context() if site.tls else None) as client:
            client.send(head + b"\x81\x82\0\0\0\0hi")
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
            assert client.take(4) == b"\x81\x02hi"

    def test_from_many_threads_at_once(self, site: Site) -> None:
        with site.connect("/together") as ws:
            found = [ws.recv() for _ in range(SENDERS * EACH)]
            ws.send("thanks")
        expected = [str(n) * (10 if n % 2 else 100_000) for n in range(SENDERS) for _ in range(EACH)]
        assert sorted(found) == sorted(expected)

    def test_subprotocol_and_a_rule_with_a_name(self, site: Site) -> None:
        with site.connect("/agreed/zo%C3%AB", subprotocols=["other", "chat.v1"]) as ws:
            assert ws.getsubprotocol() == "chat.v1"
            assert ws.recv() == "zoë chat.v1"
        with site.connect("/agreed/x") as ws:
            assert ws.getsubprotocol() is None
            assert ws.recv() == "x None"

    def test_receive_with_a_timeout(self, site: Site) -> None:
        with site.connect("/impatient") as ws:
            assert ws.recv() == "None"


class TestPings:
    def test_come_while_they_are_answered(self, site: Site) -> None:
        with site.connect("/pinged/echo") as ws:
            for _ in range(3):
                assert ws.recv_data(True)[0] == _PING  # answered by recv_data
            ws.send("x" * 20_000)  # more than a read of Flask-Sock's, and over TLS more than a record
            while (found := ws.recv_data(True))[0] == _PING:
                pass
            assert found == (_TEXT, b"x" * 20_000)

    def test_unanswered_the_connection_is_closed(self, site: Site) -> None:
        with site.connect("/pinged/echo") as ws:
            while (frame := ws.recv_frame()).opcode == _PING:
                pass
            assert frame.opcode == _CLOSE
            assert struct.unpack("!H", frame.data[:2])[0] == 1008


class TestTheEnd:
    def test_by_the_handlers_return(self, site: Site) -> None:
        with site.connect("/agreed/x") as ws:
            assert ws.recv() == "x None"
            assert _closed(ws) == (1000, "")
            assert ws.sock.recv(1) == b""  # and not a byte of HTTP

    def test_with_a_code_of_the_apps(self, site: Site) -> None:
        with site.connect("/close") as ws:
            assert _closed(ws) == (4001, "enough")

    def test_with_a_code_of_the_clients(self, site: Site) -> None:
        with site.connect("/echo") as ws:
            ws.close(4002, b"had enough")
        eventually(lambda: [4002, "had enough"] in site.get("/ended").json(), "the handler's end")

    def test_without_a_word(self, site: Site) -> None:
        with site.connect("/echo") as ws:
            ws.send("x")
            ws.recv()
            ws.sock.close()
        eventually(lambda: [1005, None] in site.get("/ended").json(), "the handler's end")

    def test_of_a_message_that_is_too_long(self, site: Site) -> None:
        with site.connect("/small/echo") as ws:
            ws.send("x" * SMALL)
            assert ws.recv() == "x" * SMALL
            ws.send("x" * (SMALL + 1))
            assert _closed(ws)[0] == 1009

    def test_by_an_error_of_the_handler(self, site: Site) -> None:
        with site.connect("/fail") as ws:
            ws.send("go")
            assert ws.sock.recv(1) == b""
        assert site.get("/hello").text == "hello"

    def test_of_a_request_that_is_no_handshake(self, site: Site) -> None:
        assert site.get("/echo").status_code == 400
        assert site.get("/hello").text == "hello"


def test_a_hundred_at_once_leave_nothing_behind(site: Site) -> None:
    with site.connect("/watched/echo") as ws:
        ws.send("warm")
        ws.recv()
        ws.close()
    before = site.left()

    def talk(number: int) -> list[Any]:
        path = "/watched/echo" if number % 2 else "/echo"
        with site.connect(path) as ws:
            found = []
            for step in range(10):
                ws.send(f"{number} {step}")
                found.append(ws.recv())
            if number % 3:
                ws.close()
            return found

    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(AT_ONCE):  # and as many that are open all the while
            stack.enter_context(site.connect("/echo"))
        found = list(threads.map(talk, range(AT_ONCE)))
    assert found == [[f"{number} {step}" for step in range(10)] for number in range(AT_ONCE)]
    eventually(lambda: len(site.left()["parked"]) <= len(before["parked"]), "the end of all green threads")
    eventually(lambda: site.left()["descriptors"] <= before["descriptors"], "the end of all descriptors")


def test_the_access_log_has_one_line_each(tmp_path: Path) -> None:
    with serving_app(APP, tmp_path) as site:
        with site.connect("/echo") as ws:
            ws.send("x")
            ws.recv()
            assert site.log.read_text() == ""
            ws.close()
        eventually(site.log.read_text, "the line")
        assert re.fullmatch(r'127\.0\.0\.1 .* "GET /echo HTTP/1\.1" 101 \d+ .*\n', site.log.read_text())


class TestTheServersSettings:
    def test_its_slot_and_its_deadline_are_given_back(self, tmp_path: Path) -> None:
        with (
            serving_app(APP, tmp_path, "--pool", "1", "--request-timeout", f"{500 * MS}") as site,
            site.connect("/echo") as first,
            site.connect("/watched/echo") as second,
        ):
            assert site.get("/hello").text == "hello"
            assert site.get("/never").status_code == 504  # for which a later deadline has passed than theirs
            for ws in (first, second):
                ws.send("still here")
                assert ws.recv() == "still here"

    def test_limit_websockets(self, tmp_path: Path) -> None:
        with serving_app(APP, tmp_path, "--limit-websockets", "2") as site:
            with site.connect("/echo"), site.connect("/echo") as second:
                with pytest.raises(websocket.WebSocketBadStatusException) as raised, site.connect("/echo"):
                    pass
                assert raised.value.status_code == 503
                assert raised.value.resp_headers["retry-after"] == "1"
                second.close()
                eventually(lambda: _can_connect(site), "a place")
            assert site.get("/hello").text == "hello"

    def test_send_timeout_ends_a_stalled_reader(self, tmp_path: Path) -> None:
        with (
            serving_app(APP, tmp_path, "--send-timeout", f"{200 * MS}") as site,
            RawClient(("127.0.0.1", site.port), receive_buffer=4096) as client,
        ):
            client.send(request("/flood", "GET", b"", *_FIELDS))
            eventually(lambda: site.get("/ended").json() == ["BrokenPipeError"], "the handler's end")
            assert len(site.left()["parked"]) <= 4

    @pytest.mark.parametrize("path", ["/echo", "/watched/echo"])
    def test_a_stop_closes_with_1001(self, tmp_path: Path, path: str) -> None:
        with serving_app(APP, tmp_path) as site, site.connect(path) as ws:
            ws.send("x")
            assert ws.recv() == "x"
            site.program.signal(signal.SIGTERM)
            assert _closed(ws)[0] == 1001
            assert ws.sock.recv(1) == b""
            assert site.program.ended() == 0
            assert "ended after graceful_timeout" not in site.program.text
            assert "Traceback" not in site.program.text

    def test_a_stop_ends_who_does_not_agree(self, tmp_path: Path) -> None:
        with (
            serving_app(APP, tmp_path, "--ws-close-timeout", f"{1000 * MS}") as site,
            RawClient(("127.0.0.1", site.port)) as client,
        ):
            client.send(request("/echo", "GET", b"", *_FIELDS)).until(b"\r\n\r\n")
            site.program.signal(signal.SIGTERM)
            assert client.rest()[:4] == b"\x88\x12\x03\xe9"
            assert site.program.ended() == 0


_FIELDS = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def _can_connect(site: Site) -> bool:
    try:
        with site.connect("/echo"):
            return True
    except websocket.WebSocketBadStatusException:
        return False


def test_where_nothing_is_patched_it_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    app = flask.Flask(__name__)
    sock = Sock(app)
    sock.route("/echo")(lambda ws: ws.send(ws.receive()))
    app.logger.propagate = True
    with caplog.at_level(logging.ERROR), serving(app) as server:
        with RawClient(server.address) as client:
            assert client.send(request("/echo", "GET", b"", *_FIELDS)).answer().status == 500
        with RawClient(server.address) as client:
            assert client.get("/nowhere").status == 404  # nobody is held
    assert "greenserve.monkey_patch() before all other imports" in caplog.text


_EMBEDDED = """
import flask, websocket
from flask_sock import Sock

app = flask.Flask(__name__)
sock = Sock(app)

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

with greenserve.serve(app, graceful_timeout=5, access_logfile="off") as server:
    ws = websocket.create_connection(server.url.replace("http", "ws") + "/echo", timeout=5)
    for message in ("one", "two"):
        ws.send(message)
        print(ws.recv())
    ws.close()
"""


def test_in_a_patched_program_that_serves_itself() -> None:
    # What websocket-client and Flask import on 3.12 and newer warns of itself.
    assert patched.run(_EMBEDDED, filters=("ignore::DeprecationWarning",)).split() == ["one", "two"]
