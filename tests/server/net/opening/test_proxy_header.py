"""proxy_header: PROXY headers on real sockets, before TLS and before HTTP."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clients import proxy_headers as proxy
from tests.support.clients.proxy_headers import v1, v2, v2_tcp
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.certificates import client_context
from tests.support.servers.running import becomes_quiet, in_one_hub, serving
from tests.support.times import PATIENCE, eventually

from greenserve import sleep, spawn
from greenserve.config import Config
from greenserve.errors import ConfigError

CLIENT = ("192.0.2.1", "198.51.100.2", 4711, 443)
FIRST = v1(*CLIENT)
GET = request("/", "GET", b"", "Connection: close")
KEYS = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme")


def tell(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Who asks, and how it came."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(environ[key] for key in KEYS).encode()]


def told(server: Any, data: bytes) -> str:
    with RawClient(server.address) as client:
        return client.send(data).answer().body.decode()


def rest(client: RawClient) -> bytes:
    """What comes until the end, which may be a reset: a header is refused without reading what follows."""
    try:
        return client.rest()
    except ConnectionResetError:
        return b""


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (v1(*CLIENT), "192.0.2.1 4711 198.51.100.2 443 http"),
        (v1("2001:db8::1", "2001:db8::2", 1, 2), "2001:db8::1 1 2001:db8::2 2 http"),
        (v2_tcp(*CLIENT, crc=True), "192.0.2.1 4711 198.51.100.2 443 http"),
        (v2_tcp("2001:db8::1", "2001:db8::2", 1, 2), "2001:db8::1 1 2001:db8::2 2 http"),
        (v2_tcp(*CLIENT, proxy.tls(1, 1)), "192.0.2.1 4711 198.51.100.2 443 https"),
        (v2_tcp(*CLIENT, proxy.tls(0, 1)), "192.0.2.1 4711 198.51.100.2 443 http"),
    ],
)
def test_the_connection_is_the_clients(header, wanted):
    with serving(tell, proxy_protocol="auto") as server:
        assert told(server, header + GET) == wanted


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n",
        v2(proxy.UNSPEC, b""),
        v2(proxy.UNSPEC, b"", command=proxy.LOCAL),
        v2(proxy.TCP4, proxy.block(*CLIENT), command=proxy.LOCAL),
        v2(proxy.UNIX_STREAM, b"/run/x".ljust(108, b"\0") * 2),
    ],
)
def test_2_2_without_an_address_it_stays_the_proxys(header):
    with serving(tell, proxy_protocol="auto") as server, RawClient(server.address) as client:
        port = client.sock.getsockname()[1]
        body = client.send(header + GET).answer().body.decode()
        assert body == f"127.0.0.1 {port} 127.0.0.1 {server.port} http"


def test_it_is_for_all_requests_of_the_connection():
    with serving(tell, proxy_protocol="v1") as server, RawClient(server.address) as client:
        client.send(FIRST)
        for _ in range(3):
            assert client.get().body.startswith(b"192.0.2.1 4711 ")
        client.send(request() * 3)
        assert {client.answer().body[:9] for _ in range(3)} == {b"192.0.2.1"}


def test_environ_keeps_who_is_connected_and_what_it_has_said():
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        seen.append(environ)
        return tell(environ, start_response)

    with serving(app, proxy_protocol="v2") as server, RawClient(server.address) as client:
        port = str(client.sock.getsockname()[1])
        header = v2_tcp(*CLIENT, proxy.tlv(0x02, b"shop.example"), proxy.tls(3, 0, proxy.tlv(0x22, b"ada")))
        client.send(header + GET).answer()
    assert seen[0]["greenserve.peer"] == ("127.0.0.1", port, "192.0.2.1", "4711")
    said = seen[0]["greenserve.proxy_protocol"]
    assert (said.version, said.details.authority, said.tls.verified, said.tls.common_name) == (
        2,
        "shop.example",
        True,
        "ada",
    )
    assert seen[0]["HTTPS"] == "on"


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, 200), max_size=6))
def test_it_may_come_in_any_pieces(cuts):
    data = v2_tcp(*CLIENT, proxy.tlv(0x04, b"x" * 40)) + GET
    ends = [*sorted(cut for cut in cuts if cut < len(data)), len(data)]
    with serving(tell, proxy_protocol="auto") as server, RawClient(server.address) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin, end in zip([0, *ends], ends, strict=False):
            client.send(data[begin:end])
        assert client.answer().body.startswith(b"192.0.2.1 4711")


def test_byte_by_byte_over_a_unix_socket(tmp_path: Path):
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="auto") as (server, _),
        RawClient(server.address, green=True) as client,
    ):
        for byte in FIRST:
            client.send(bytes([byte]))
            sleep(0)
        assert client.send(GET).answer().body.startswith(b"192.0.2.1 4711")


def test_what_lies_behind_it_on_a_unix_socket_is_read_though_no_edge_tells_of_it(tmp_path: Path):
    """A message with a descriptor ends a read (unix(7)); all has come before the first."""
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="v1") as (server, clock),
        RawClient(server.address, green=True) as client,
        Path("/dev/null").open() as passed,
    ):
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", passed.fileno()))
        assert client.sock.sendmsg([FIRST], [rights]) == len(FIRST)
        began = clock()
        assert client.send(GET).answer().body.startswith(b"192.0.2.1 ")
        assert clock() == began  # not when the deadline had a last look


# TLS behind it


def over_tls(server: Any, header: bytes, together: bool) -> bytes:
    """One request over TLS that begins behind a header; `together`: in one packet with it."""
    context, incoming, outgoing = client_context(), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(server.address, PATIENCE) as sock:
        if not together:
            sock.sendall(header)
            header = b""

        def step(call: Any) -> Any:
            nonlocal header
            while True:
                try:
                    result = call()
                except ssl.SSLWantReadError:
                    result = None
                if data := outgoing.read():
                    sock.sendall(header + data)
                    header = b""
                if result is not None:
                    return result
                incoming.write(sock.recv(65536))

        step(lambda: tls.do_handshake() or True)
        step(lambda: tls.write(GET))
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"https"):
            answer += step(lambda: tls.read(65536))
        return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("header", [v1(*CLIENT), v2_tcp(*CLIENT)])
def test_tls_begins_behind_it(certificate: Path, header, together):
    with serving(tell, proxy_protocol="auto", certfile=str(certificate)) as server:
        assert over_tls(server, header, together) == b"192.0.2.1 4711 198.51.100.2 443 https"


def test_tls_cannot_come_before_it(certificate: Path):
    with serving(tell, proxy_protocol="auto", certfile=str(certificate)) as server:
        with socket.create_connection(server.address, PATIENCE) as sock:
            sock.sendall(b"\x16\x03\x01\x00\x05hello")
            assert sock.recv(100) == b""
        assert server.stats.handshake_errors == 0


# Who may send one


@pytest.mark.parametrize("versions", ["v1", "v2", "auto"])
@pytest.mark.parametrize("data", [FIRST + GET, v2_tcp(*CLIENT) + GET, GET, b""])
def test_who_is_not_named_is_closed(versions, data, caplog):
    caplog.set_level(logging.INFO, "greenserve.error")
    with (
        serving(tell, proxy_protocol=versions, proxy_allow_from="192.0.2.0/24") as server,
        RawClient(server.address) as client,
    ):
        with contextlib.suppress(ConnectionError):  # it may be closed before
            client.send(data)
        assert rest(client) == b""
        eventually(lambda: server.stats.refused == 1)
        becomes_quiet(server)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert caplog.messages[0] == (
        "127.0.0.1 closed: it may send no PROXY header; if it is your proxy, add it to --proxy-allow-from"
    )


def test_a_unix_sockets_other_end_is_named_unix(tmp_path: Path):
    for allowed, answer in [("127.0.0.1", b""), ("unix", b"HTTP/1.1 200 OK\r\n")]:
        with (
            in_one_hub(tell, tmp_path, proxy_protocol="v1", proxy_allow_from=allowed) as (server, _),
            RawClient(server.address, green=True) as client,
        ):
            with contextlib.suppress(ConnectionError):
                client.send(FIRST + GET)
            assert rest(client).startswith(answer)
            assert answer or server.stats.refused == 1


def test_a_flood_of_strangers_is_no_flood_of_lines(tmp_path: Path, caplog):
    caplog.set_level(logging.INFO, "greenserve.error")
    with in_one_hub(tell, tmp_path, proxy_protocol="v1", proxy_allow_from="192.0.2.1") as (server, _):
        for pause in (0, 0, 0, 0, 11):
            with RawClient(server.address, green=True) as client:
                assert rest(client) == b""
            sleep(pause)
        with RawClient(server.address, green=True) as client:
            assert rest(client) == b""
        assert server.stats.refused == 6
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith("(and 4 more)")


def test_settings_that_would_let_nobody_in_are_refused():
    with pytest.raises(ConfigError, match="no peer could connect: name your proxy's address"):
        Config(proxy_protocol="v1", proxy_allow_from="off")


# What is no header


@pytest.mark.parametrize(
    ("versions", "data", "reason"),
    [
        ("auto", GET, "plain HTTP where a PROXY header (v1 or v2) must be (§2)"),
        ("v2", FIRST + GET, "a PROXY header of the version that --proxy-protocol leaves out"),
        ("v1", v2_tcp(*CLIENT) + GET, "a PROXY header of the version that --proxy-protocol leaves out"),
        ("auto", b"\0" * 100_000, "something else"),
        ("auto", b"PROXY TCP4 192.0.2.1\r\n" + GET, "two addresses and two ports"),
        ("auto", b"PROXY " + b"x" * 100_000, "no CRLF in the first 107 bytes"),
        ("auto", proxy.SIGNATURE + b"\x21\x11\xff\xff" + bytes(70_000), "longer than 4096 bytes"),
        ("auto", FIRST.replace(b"\r", b"") + GET, "must end in CRLF"),
    ],
)
def test_what_is_no_header_gets_no_answer_and_a_line_in_the_log(versions, data, reason, caplog):
    with serving(tell, proxy_protocol=versions) as server:
        with RawClient(server.address) as client:
            with contextlib.suppress(ConnectionError):
                client.send(data)
            assert rest(client) == b""
        becomes_quiet(server)
        assert (server.stats.refused, server.stats.requests) == (1, 0)
        assert told(server, (FIRST if versions != "v2" else v2_tcp(*CLIENT)) + GET).startswith("192.0.2.1 ")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("127.0.0.1 closed: PROXY header: ")
    assert reason in caplog.messages[0]


def test_a_second_header_is_no_request():
    with serving(tell, proxy_protocol="v1") as server, RawClient(server.address) as client:
        assert client.send(FIRST + FIRST + GET).answer().status in (400, 505)


def test_off_means_that_a_header_is_no_request():
    with serving(tell) as server:
        for header in (FIRST, v2_tcp(*CLIENT)):
            with RawClient(server.address) as client:
                assert client.send(header + GET).answer().status in (400, 505)


# Time


@pytest.mark.parametrize("data", [b"", b"P", FIRST[:-1], proxy.SIGNATURE, v2_tcp(*CLIENT)[:-1]])
def test_the_deadline_of_a_head_holds_for_it(tmp_path: Path, data, caplog):
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="auto", head_timeout=10) as (server, clock),
        RawClient(server.address, green=True) as client,
    ):
        began = clock()
        assert (client.send(data).rest(), clock() - began) == (b"", 10)
        assert server.stats.requests == 0
    assert [message.split(": ", 1)[1] for message in caplog.messages] == (
        ["PROXY header: it came too slowly (head_timeout)"] if data else []
    )


def test_who_drips_is_closed_in_the_same_time(tmp_path: Path):
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="auto", head_timeout=10) as (server, clock),
        RawClient(server.address, green=True) as client,
    ):
        began = clock()
        for byte in FIRST[:4]:
            client.send(bytes([byte]))
            sleep(3)
        assert (rest(client), clock() - began) == (b"", 12)


def test_the_head_has_a_deadline_of_its_own(tmp_path: Path):
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="auto", head_timeout=10) as (server, clock),
        RawClient(server.address, green=True) as client,
    ):
        sleep(9)
        client.send(FIRST)
        sleep(9)
        began = clock()
        assert client.send(b"GET").answer().status == 408
        assert clock() - began == 1


def test_what_came_in_time_counts_though_an_app_held_the_hub(tmp_path: Path):
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/hold":
            client.send(FIRST + GET)
            clock.advance(20)  # in which the hub has no turn
        return tell(environ, start_response)

    with (
        in_one_hub(app, tmp_path, proxy_protocol="v1", head_timeout=10) as (server, clock),
        RawClient(server.address, green=True) as holder,
        RawClient(server.address, green=True) as client,
    ):
        holder.send(FIRST + request("/hold", "GET", b"", "Connection: close"))
        assert client.answer().body.startswith(b"192.0.2.1 ")
        holder.answer()


@pytest.mark.parametrize("data", [b"", FIRST[:5]])
def test_a_client_that_goes_leaves_nothing(data, caplog):
    with serving(tell, proxy_protocol="v1") as server:
        for ends in ("close", "reset"):
            client = RawClient(server.address)
            client.send(data)
            getattr(client, ends)()
        eventually(lambda: server.stats.accepted == 2)
        becomes_quiet(server)
    assert not caplog.messages  # some health checks do just that


def test_a_stop_gives_it_half_a_second(tmp_path: Path):
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="v1") as (server, clock),
        RawClient(server.address, green=True) as client,
    ):
        sleep(0.1)
        began = clock()
        server.stop(30)
        assert clock() - began == pytest.approx(0.5)
        assert rest(client) == b""


def test_nor_does_the_head_behind_it_get_more_when_the_server_stops(tmp_path: Path):
    with (
        in_one_hub(tell, tmp_path, proxy_protocol="v1") as (server, clock),
        RawClient(server.address, green=True) as client,
    ):
        sleep(0.1)
        began = clock()
        spawn(server.stop, 30)
        sleep(0.4)
        assert (client.send(FIRST).rest(), clock() - began) == (b"", pytest.approx(0.9))


# The log


@pytest.mark.parametrize("header", [FIRST, v2_tcp(*CLIENT)])
def test_the_access_log_shows_the_client(tmp_path: Path, header):
    log = tmp_path / "log"
    with serving(
        tell, proxy_protocol="auto", access_logfile=str(log), access_log_format="%h %s %{REMOTE_PORT}e"
    ) as server:
        told(server, header + GET)
        with RawClient(server.address) as client:
            assert client.send(header + b"GET / HTTP/1.1\r\n\r\n").answer().status == 400
        becomes_quiet(server)
    assert lines(log) == ["192.0.2.1 200 4711", "192.0.2.1 400 -"]
