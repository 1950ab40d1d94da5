"""refusals: a redirect_bind answers whatever is asked for with where it is to be had with TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from tests.support.clients.raw import Answer, RawClient
from tests.support.protocols.heads import head
from tests.support.servers.apps import path
from tests.support.servers.certificates import authority_file
from tests.support.servers.running import becomes_quiet, serving

from greenserve import Server
from greenserve.errors import ConfigError, ProtocolError
from greenserve.net.http.refusals import https_location

pytestmark = pytest.mark.no_hub


@pytest.mark.parametrize(
    ("target", "host", "location"),
    [
        ("/", "example.org", "https://example.org/"),
        ("/a%20b?c=d&e", "example.org", "https://example.org/a%20b?c=d&e"),
        ("/", "example.org:8080", "https://example.org/"),
        ("/", "EXAMPLE.org:", "https://EXAMPLE.org/"),
        ("/", "[::1]:80", "https://[::1]/"),
        ("//evil.example/x", "example.org", "https://example.org//evil.example/x"),
        # RFC 9112 §3.2.2: a target with an authority of its own.
        ("http://other.example:81/p?q", "other.example:81", "https://other.example/p?q"),
        ("http://other.example?q", "other.example", "https://other.example/?q"),
        ("http://other.example", "other.example", "https://other.example/"),
    ],
)
def test_location(target: str, host: str, location: str) -> None:
    assert https_location(head(f"GET {target} HTTP/1.1", host=host), 443) == location
    assert https_location(head(f"GET {target} HTTP/1.1", host=host), 8443) == re.sub(
        r"^(https://(?:\[.*\]|[^/]+))", r"\1:8443", location
    )


def test_options_of_the_server_itself() -> None:
    assert https_location(head("OPTIONS * HTTP/1.1", host="example.org"), 443) == "https://example.org/"


@pytest.mark.parametrize("host", ["", ":80"])
def test_a_host_that_names_none(host: str) -> None:
    with pytest.raises(ProtocolError, match=r"400: .*Host"):
        https_location(head(host=host), 443)


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    with serving(path, certfile=str(certificate), redirect_bind="127.0.0.1:0") as server:
        yield server


def ask(server: Server, data: bytes) -> Answer:
    port = int(server.redirect_urls[0].rpartition(":")[2])
    with RawClient(("127.0.0.1", port)) as client:
        answer = client.send(data).answer(data.split(b" ")[0].decode())
        assert answer.closes
        assert client.rest() == b""
        return answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_every_method(server: Server, method: str) -> None:
    answer = ask(
        server, f"{method} /x?y HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (answer.status, answer["location"]) == (308, f"https://localhost:{server.port}/x?y")
    assert (server.stats.requests, server.stats.refused) == (0, 0)
    becomes_quiet(server)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /\\b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
)
def test_what_is_no_proper_request(server: Server, data: bytes) -> None:
    answer = ask(server, data)
    assert answer.status == 400
    assert "location" not in answer


def test_nothing_of_a_client_ends_up_in_another_line(server: Server) -> None:
    answer = ask(server, b"GET /%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer["location"].endswith("/%0d%0aSet-Cookie:x")
    assert "set-cookie" not in answer


def test_an_upload_is_not_read(server: Server) -> None:
    data = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000
    assert ask(server, data).status == 308


def test_a_client_follows(server: Server, tmp_path: Path) -> None:
    session = requests.Session()
    session.trust_env = False
    with session:
        answer = session.get(
            f"{server.redirect_urls[0]}/there", verify=str(authority_file(tmp_path / "ca.pem"))
        )
    assert (answer.text, answer.url) == ("/there", f"https://127.0.0.1:{server.port}/there")


def test_the_first_tls_port_counts(certificate: Path, tmp_path: Path) -> None:
    settings = {"certfile": str(certificate), "redirect_bind": ["127.0.0.1:0", "127.0.0.1:0"]}
    with serving(path, bind=f"unix:{tmp_path}/s", **settings) as server:
        assert len(server.redirect_urls) == 2
        answer = ask(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer["location"] == "https://x/"  # the proxy in front of a unix socket is at 443


def test_an_address_that_is_taken_leaves_nothing_open(certificate: Path, server: Server) -> None:
    taken = server.redirect_urls[0].removeprefix("http://")
    with (
        pytest.raises(ConfigError, match="something listens there already"),
        serving(path, certfile=str(certificate), redirect_bind=taken),
    ):
        pass
