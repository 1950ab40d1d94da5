"""What proxies say in fields, on real sockets: what an app sees, and what the log does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.proxy_headers import v1
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import Gate, becomes_quiet, in_one_hub, serving

KEYS = ("REMOTE_ADDR", "wsgi.url_scheme", "SERVER_NAME", "SCRIPT_NAME")
CLAIMS = ("X-Forwarded-For: 6.6.6.6, 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /app")
ALL = "x-forwarded-for,x-forwarded-proto,x-forwarded-prefix"


def tell(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    forwarded = sorted(key for key in environ if "FORWARDED" in key)
    return [" ".join([*(environ[key] or "-" for key in KEYS), *forwarded]).encode()]


def told(client: RawClient, *fields: str) -> str:
    return client.get("/", *fields).body.decode()


def test_by_default_this_machine_is_trusted_with_address_and_scheme():
    with serving(tell) as server, RawClient(server.address) as client:
        assert (
            told(client, *CLAIMS) == "192.0.2.1 https 127.0.0.1 - HTTP_X_FORWARDED_FOR HTTP_X_FORWARDED_PROTO"
        )
        assert told(client) == "127.0.0.1 http 127.0.0.1 -"


def test_each_request_of_a_kept_connection_has_its_own_client():
    with serving(tell) as server, RawClient(server.address) as client:
        for number in range(5):
            assert told(client, f"X-Forwarded-For: 192.0.2.{number}").startswith(f"192.0.2.{number} ")
        assert told(client).startswith("127.0.0.1 ")


@pytest.mark.parametrize("allowed", ["off", "192.0.2.0/24", "unix", "::1"])
def test_who_is_not_named_is_not_believed(allowed):
    settings = {"forwarded_allow_ips": allowed, "forwarded_headers": ALL}
    with serving(tell, **settings) as server, RawClient(server.address) as client:
        assert told(client, *CLAIMS, "Forwarded: for=6.6.6.6") == "127.0.0.1 http 127.0.0.1 -"


@pytest.mark.parametrize("allowed", ["127.0.0.0/8", "*", "10.0.0.1,127.0.0.1"])
def test_who_is_named_is_believed(allowed):
    settings = {"forwarded_allow_ips": allowed, "forwarded_headers": ALL}
    with serving(tell, **settings) as server, RawClient(server.address) as client:
        assert told(client, *CLAIMS).startswith("192.0.2.1 https 127.0.0.1 /app ")


def test_a_unix_sockets_other_end_is_trusted_by_default(tmp_path: Path):
    for allowed, client_told in [(None, "192.0.2.1"), ("127.0.0.1", "-")]:
        settings: dict[str, Any] = {} if allowed is None else {"forwarded_allow_ips": allowed}
        with (
            in_one_hub(tell, tmp_path, **settings) as (server, _),
            RawClient(server.address, green=True) as client,
        ):
            assert told(client, *CLAIMS).split()[0] == client_told


def test_7239_forwarded():
    with serving(tell, forwarded_headers="forwarded") as server, RawClient(server.address) as client:
        assert told(client, *CLAIMS, 'Forwarded: for="[2001:db8::1]:4711";proto=https;host=example.com') == (
            "2001:db8::1 https example.com - HTTP_FORWARDED"
        )


def test_hops():
    with serving(tell, forwarded_hops=2) as server, RawClient(server.address) as client:
        assert told(client, "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 192.0.2.2").startswith("192.0.2.1 ")


def test_behind_a_proxy_header_the_source_must_be_trusted():
    with serving(tell, proxy_protocol="v1", forwarded_allow_ips="127.0.0.1,10.0.0.0/8") as server:
        for source, client_told in [("192.0.2.9", "192.0.2.9"), ("10.0.0.1", "192.0.2.1")]:
            with RawClient(server.address) as client:
                client.send(v1(source, "192.0.2.10", 1, 2))
                assert told(client, *CLAIMS).startswith(f"{client_told} ")
        with RawClient(server.address) as client:  # relayed for we don't know whom
            client.send(b"PROXY UNKNOWN\r\n")
            assert told(client, *CLAIMS).startswith("127.0.0.1 http ")


# The log


def test_the_access_log_shows_the_client_whatever_the_app_does_to_environ(tmp_path: Path):
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        result = tell(environ, start_response)
        environ["REMOTE_ADDR"] = "forged by the app"
        return result

    log = tmp_path / "log"
    with serving(app, access_logfile=str(log), access_log_format="%h %s") as server:
        with RawClient(server.address) as client:
            told(client, *CLAIMS)
            told(client)
            told(client, "X-Forwarded-For: unknown")
        becomes_quiet(server)
    assert log.read_text().splitlines() == ["192.0.2.1 200", "127.0.0.1 200", "- 200"]


def test_the_access_log_shows_the_client_of_a_refused_request(tmp_path: Path):
    log = tmp_path / "log"
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        gate.wait()
        return tell(environ, start_response)

    with serving(
        app,
        access_logfile=str(log),
        access_log_format="%h %s",
        pool=1,
        queue_timeout=0.05,
        limit_request_body=10,
    ) as server:
        with RawClient(server.address) as first, RawClient(server.address) as second:
            first.send(request())
            gate.reached()
            assert second.get("/", "X-Forwarded-For: 192.0.2.1").status == 503
            for allowed in ("X-Forwarded-For: 192.0.2.2", "X-Forwarded-For: 6.6.6.6, 192.0.2.2"):
                with RawClient(server.address) as client:
                    client.send(request("/", "POST", b"more than ten", allowed))
                    assert client.answer().status == 413
            with RawClient(server.address) as client:  # this head can't be read
                assert (
                    client.send(b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.3\r\n\r\n").answer().status
                    == 400
                )
            gate.open()
            assert first.answer().status == 200
        becomes_quiet(server)
    assert sorted(log.read_text().splitlines()) == sorted(
        ["192.0.2.1 503", "192.0.2.2 413", "192.0.2.2 413", "127.0.0.1 400", "127.0.0.1 200"]
    )
