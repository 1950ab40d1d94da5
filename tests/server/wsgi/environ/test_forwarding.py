"""wsgi.forwarding: what environ says of a request that came through a proxy, and of one that claims to have."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.protocols.heads import head

from greenserve.config import Config
from greenserve.proxies import ProxyHeader, Trust
from greenserve.wsgi import Forwarding, Peer, base_environ, make_environ

BELIEVED = (
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
)
ERRORS = io.StringIO()
PROXY, STRANGER = "10.0.0.1", "192.0.2.66"


def forwarding(*believed: str, hops: int = 0, trusted: str = "10.0.0.0/8") -> Forwarding:
    return Forwarding(Trust([trusted]), believed or BELIEVED, hops)


def environ_of(
    *fields: str,
    peer: str = PROXY,
    forwarding: Forwarding | None = None,
    line: str = "GET /path HTTP/1.1",
    host: str | None = "in.example",
    base: dict[str, Any] | None = None,
) -> dict[str, Any]:
    base = {**base_environ("http", "10.0.0.9", "8000", "greenserve/0", ERRORS), **(base or {})}
    found = head(line, *fields, host=host)
    return make_environ(base, found, peer, "4711", forwarding or Forwarding(Trust(["10.0.0.0/8"]), BELIEVED))


# Who is believed


def test_from_a_trusted_peer_environ_is_the_clients():
    environ = environ_of(
        "X-Forwarded-For: 6.6.6.6, 192.0.2.1:5678",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: example.com:8443",
        "X-Forwarded-Prefix: /app/",
    )
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.1", "5678")
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert environ["HTTP_HOST"] == "example.com:8443"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.com", "8443")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/path")
    assert environ["greenserve.peer"] == Peer(PROXY, "4711", "192.0.2.1", "5678")


CLAIMS = [
    *(
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 1",
    ),
    *(
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=6.6.6.6;proto=https;host=evil.example",
        "X-Forwarded-Ssl: on",
    ),
    *(
        "X-Forwarded-Protocol: ssl",
        "X-Forwarded-Scheme: https",
        "X-Forwarded-Server: evil",
        "X-Forwarded: for=6.6.6.6",
    ),
    *(
        "X-Forwarded-User: root",
        "X-Forwarded-Client-Cert: Subject=root",
        "X-Forwarded-Whatever-Comes-Next: 1",
    ),
    *("X-Real-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6", "Client-IP: 6.6.6.6", "X-Cluster-Client-IP: 6.6.6.6"),
    *("True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "Fastly-Client-IP: 6.6.6.6"),
    *("X-Original-Forwarded-For: 6.6.6.6", "X-Scheme: https", "X-Url-Scheme: https", "Front-End-Https: on"),
    *("X-Original-Host: evil", "X-Script-Name: /evil", "X-Original-URL: /admin", "X-Rewrite-URL: /admin"),
    *("Remote-User: root", "X-Remote-User: root", "Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:"),
    *(
        "X-Client-Cert: root",
        "X-Client-Verify: SUCCESS",
        "X-SSL-Client-Verify: SUCCESS",
        "SSL-Client-S-DN: CN=root",
    ),
]


@pytest.mark.parametrize("spelled", [str, str.lower, str.upper])
def test_from_a_stranger_no_claim_reaches_the_app(spelled):
    plain = environ_of("Accept: a", peer=STRANGER)
    claims = [f"{spelled(name)}:{value}" for name, _, value in (claim.partition(":") for claim in CLAIMS)]
    assert environ_of(*claims, "Accept: a", peer=STRANGER) == plain
    assert environ_of(*claims[::-1], *claims, "Accept: a", peer=STRANGER) == plain


def test_from_a_trusted_peer_only_what_the_settings_name_is_believed_or_handed_on():
    """A field that the proxy knows nothing of passes through it as the client has sent it."""
    environ = environ_of(*CLAIMS, forwarding=forwarding("x-forwarded-for"))
    plain = environ_of("X-Forwarded-For: 6.6.6.6", forwarding=forwarding("x-forwarded-for"))
    assert environ == plain
    assert plain["REMOTE_ADDR"] == plain["HTTP_X_FORWARDED_FOR"] == "6.6.6.6"
    assert plain["wsgi.url_scheme"] == "http"


def test_by_default_a_proxys_host_port_and_prefix_are_not_believed():
    config = Config()
    default = Forwarding(Trust(config.forwarded_allow_ips), config.forwarded_headers, config.forwarded_hops)
    environ = environ_of(*CLAIMS, peer="127.0.0.1", forwarding=default)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("6.6.6.6", "https")
    assert (environ["HTTP_HOST"], environ["SCRIPT_NAME"]) == ("in.example", "")
    for peer in ("::1", "::ffff:127.0.0.1", ""):
        assert environ_of(*CLAIMS, peer=peer, forwarding=default)["REMOTE_ADDR"] == "6.6.6.6"
    assert environ_of(*CLAIMS, peer="127.0.0.2", forwarding=default)["REMOTE_ADDR"] == "127.0.0.2"


def test_of_the_two_families_only_the_one_that_the_proxy_speaks_is_heard():
    fields = "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.2;proto=https;host=example.com"
    environ = environ_of(*fields, forwarding=forwarding("forwarded"))
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("192.0.2.2", "https")
    assert (environ["HTTP_HOST"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == (
        "example.com",
        "example.com",
        "443",
    )
    assert environ["HTTP_FORWARDED"] == "for=192.0.2.2;proto=https;host=example.com"
    assert "HTTP_X_FORWARDED_FOR" not in environ
    environ = environ_of(*fields)
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert "HTTP_FORWARDED" not in environ


def test_a_clients_malformed_line_does_not_swallow_the_proxys():
    fields = 'Forwarded: for="', "Forwarded: for=192.0.2.2;proto=https"
    environ = environ_of(*fields, forwarding=forwarding("forwarded"))
    assert (environ["REMOTE_ADDR"], environ["HTTP_FORWARDED"]) == ("192.0.2.2", "for=192.0.2.2;proto=https")


def test_any_other_field_can_be_one_that_only_proxies_set():
    """An identity that a proxy has checked, say; it means nothing to the server."""
    ours = forwarding("x-forwarded-for", "x-real-ip", "x-forwarded-user", "authenticated-as")
    fields = "X-Real-IP: 192.0.2.1", "X-Forwarded-User: ada", "Authenticated-As: ada"
    environ = environ_of(*fields, forwarding=ours)
    assert [environ[f"HTTP_{name}"] for name in ("X_REAL_IP", "X_FORWARDED_USER", "AUTHENTICATED_AS")] == [
        "192.0.2.1",
        "ada",
        "ada",
    ]
    assert environ["REMOTE_ADDR"] == PROXY
    assert environ_of(*fields, forwarding=ours, peer=STRANGER) == environ_of(forwarding=ours, peer=STRANGER)
    # Which is one server's: to another the last of these is a field as any.
    assert environ_of(*fields, peer=STRANGER)["HTTP_AUTHENTICATED_AS"] == "ada"


def test_of_what_is_handed_on_only_the_believed_part_is():
    environ = environ_of(
        "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.7", "X-Forwarded-Proto: bad", "X-Forwarded-Port: 0"
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1, 10.0.0.7"
    assert not {"HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_PORT"} & environ.keys()


def test_an_underscore_or_a_long_name_gets_nobody_past():
    fields = "X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.6", f"X-Forwarded-{'a' * 200}: 6.6.6.6"
    for peer in (PROXY, STRANGER):
        assert environ_of(*fields, peer=peer) == environ_of(peer=peer)


def test_the_table_of_names_is_bounded_and_forgets_without_harm():
    ours = forwarding()
    for number in range(3000):
        environ = environ_of(
            f"X-Forwarded-{number}: a", f"X-{number}: a", "X-Forwarded-For: 192.0.2.1", forwarding=ours
        )
        assert environ["REMOTE_ADDR"] == "192.0.2.1"
        assert environ[f"HTTP_X_{number}"] == "a"
        assert f"HTTP_X_FORWARDED_{number}" not in environ
    assert len(ours.keys) <= 1024


def test_claims_are_remembered_within_a_bound():
    ours = forwarding()
    for number in range(3000):
        client = f"192.0.{number // 256}.{number % 256}"
        assert environ_of(f"X-Forwarded-For: {client}", forwarding=ours)["REMOTE_ADDR"] == client
    assert len(ours._changes) <= 1024
    environ_of(f"X-Forwarded-For: {'1' * 300}", forwarding=ours)
    assert max(len(text) for (_, _, (_, text)) in ours._changes) < 300


# What it does to environ


@pytest.mark.parametrize(
    ("fields", "host", "result"),
    [
        (["X-Forwarded-Proto: https"], "a.example", ("a.example", "10.0.0.9", "443")),
        (["X-Forwarded-Proto: http"], "a.example", ("a.example", "10.0.0.9", "80")),
        (["X-Forwarded-Proto: https"], "a.example:8443", ("a.example:8443", "10.0.0.9", "8443")),
        (["X-Forwarded-Proto: https"], None, (None, "10.0.0.9", "443")),
        (["X-Forwarded-Port: 8443"], "a.example", ("a.example:8443", "10.0.0.9", "8443")),
        (["X-Forwarded-Port: 80"], "a.example:8000", ("a.example", "10.0.0.9", "80")),
        (
            ["X-Forwarded-Port: 443", "X-Forwarded-Proto: https"],
            "a.example:8000",
            ("a.example", "10.0.0.9", "443"),
        ),
        (["X-Forwarded-Port: 443"], "a.example", ("a.example:443", "10.0.0.9", "443")),
        (["X-Forwarded-Port: 8443"], None, (None, "10.0.0.9", "8443")),
        (["X-Forwarded-Host: b.example"], "a:1", ("b.example", "b.example", "80")),
        (["X-Forwarded-Host: b.example", "X-Forwarded-Proto: wss"], "a:1", ("b.example", "b.example", "443")),
        (["X-Forwarded-Host: b.example:81"], "a:1", ("b.example:81", "b.example", "81")),
        (["X-Forwarded-Host: b:81", "X-Forwarded-Port: 82"], "a:1", ("b:82", "b", "82")),
        (["X-Forwarded-Host: [2001:db8::1]"], "a", ("[2001:db8::1]", "[2001:db8::1]", "80")),
        (["X-Forwarded-Host: [2001:db8::1]:81"], "a", ("[2001:db8::1]:81", "[2001:db8::1]", "81")),
        (["X-Forwarded-Host: evil, b.example"], "a", ("b.example", "b.example", "80")),
        (["X-Forwarded-Host: ev il"], "a", ("a", "10.0.0.9", "8000")),
        (["X-Forwarded-Host: user@b"], "a", ("a", "10.0.0.9", "8000")),
        (["X-Forwarded-Host: b/c"], "a", ("a", "10.0.0.9", "8000")),
        (["X-Forwarded-Host: b:99999"], "a", ("a", "10.0.0.9", "8000")),
        (["X-Forwarded-Host: [::1"], "a", ("a", "10.0.0.9", "8000")),
        (["X-Forwarded-For: 192.0.2.1"], "a", ("a", "10.0.0.9", "8000")),
    ],
)
def test_where_the_client_went(fields, host, result):
    """HTTP_HOST, SERVER_NAME and SERVER_PORT."""
    line = "GET / HTTP/1.1" if host is not None else "GET / HTTP/1.0"
    environ = environ_of(*fields, line=line, host=host)
    assert (environ.get("HTTP_HOST"), environ["SERVER_NAME"], environ["SERVER_PORT"]) == result
    if result[1] == "10.0.0.9":
        assert "HTTP_X_FORWARDED_HOST" not in environ


def test_the_proxys_scheme_is_the_clients_also_where_the_proxy_came_by_tls():
    base = {"wsgi.url_scheme": "https", "HTTPS": "on"}
    environ = environ_of("X-Forwarded-Proto: http", base=base)
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ
    assert environ_of("X-Forwarded-Proto: spdy", base=base)["HTTPS"] == "on"


def test_a_client_that_is_nobody_has_no_address():
    environ = environ_of("X-Forwarded-For: unknown")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "")
    assert environ["greenserve.peer"] == Peer(PROXY, "4711", "", "")


def test_without_the_field_the_client_is_the_peer():
    environ = environ_of("X-Forwarded-Proto: https")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (PROXY, "4711")
    assert "greenserve.peer" not in environ


def test_an_absolute_target_is_checked_against_the_clients_scheme():
    """RFC 9110 §7.4: the proxy has ended TLS."""
    line = "GET https://example.com/a HTTP/1.1"
    environ = environ_of("X-Forwarded-Proto: https", line=line, host="example.com")
    assert (environ["HTTP_HOST"], environ["SERVER_PORT"]) == ("example.com", "443")


def test_hops_are_counted_where_the_settings_say_so():
    fields = "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 172.16.0.1", "X-Forwarded-Proto: https, http"
    environ = environ_of(*fields, forwarding=forwarding(hops=2))
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("192.0.2.1", "https")


# Behind a PROXY header


def test_behind_a_proxy_header_it_is_its_source_that_is_trusted_or_not():
    """What passes bytes on lets each client's fields pass; only what stands behind it may be a proxy of ours."""
    header = ProxyHeader(2, source=(STRANGER, "1"), destination=("192.0.2.9", "443"))
    base = {"greenserve.proxy_protocol": header, "greenserve.peer": Peer("127.0.0.1", "2", STRANGER, "1")}
    fields = "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"
    environ = environ_of(*fields, base=base, peer=STRANGER)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (STRANGER, "http")
    environ = environ_of(*fields, base=base, peer=PROXY)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("6.6.6.6", "https")
    assert environ["greenserve.peer"] == Peer("127.0.0.1", "2", "6.6.6.6", "")


@pytest.mark.parametrize(
    ("header", "believed"), [(ProxyHeader(1), False), (ProxyHeader(2, local=True), True)]
)
def test_who_is_relayed_for_somebody_unknown_is_not_trusted(header, believed):
    environ = environ_of("X-Forwarded-For: 6.6.6.6", base={"greenserve.proxy_protocol": header})
    assert environ["REMOTE_ADDR"] == ("6.6.6.6" if believed else PROXY)


# For the log


def test_the_client_of_a_request_that_was_refused():
    ours = forwarding()
    fields = head("GET / HTTP/1.1", "X-Forwarded-For: 192.0.2.1:80").fields
    assert ours.client_of({}, fields, PROXY, "4711") == ("192.0.2.1", "80")
    assert ours.client_of({}, fields, STRANGER, "4711") == (STRANGER, "4711")
    assert ours.client_of({}, [], PROXY, "4711") == (PROXY, "4711")
    assert ours.client_of({}, [("X-Forwarded-Proto", "https")], PROXY, "4711") == (PROXY, "4711")
    assert ours.client_of({"greenserve.proxy_protocol": ProxyHeader(1)}, fields, PROXY, "1") == (PROXY, "1")


def test_what_is_removed_is_told_once_for_each_name(caplog):
    caplog.set_level(logging.INFO, "greenserve.error")
    ours = forwarding("x-forwarded-for")
    for _ in range(3):
        environ_of("X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6", forwarding=ours, peer=STRANGER)
        environ_of("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", forwarding=ours)
    assert [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records] == [
        ("INFO", "x-forwarded-for from 192.0.2.66 is removed"),
        ("INFO", "x-real-ip from 192.0.2.66 is removed"),
        ("WARNING", "x-forwarded-proto from 10.0.0.1 is removed"),
    ]
    assert "--forwarded-allow-ips" in caplog.messages[0]
    assert "--forwarded-headers" in caplog.messages[2]
    for number in range(100):
        environ_of(f"X-Forwarded-{number}: a", forwarding=ours, peer=STRANGER)
    assert len(caplog.records) == 32


# Any fields

names = st.sampled_from(sorted({claim.partition(":")[0] for claim in CLAIMS}))
values = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30
)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_whatever_a_stranger_claims_environ_is_as_without(claims):
    fields = [f"{name}: {value}" for name, value in claims]
    assert environ_of(*fields, peer=STRANGER) == environ_of(peer=STRANGER)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_whatever_a_proxy_sends_only_named_fields_are_in_environ(claims):
    environ = environ_of(*(f"{name}: {value}" for name, value in claims))
    allowed = {"HTTP_" + name.upper().replace("-", "_") for name in BELIEVED} | {"HTTP_HOST"}
    assert {key for key in environ if key.startswith("HTTP_")} <= allowed
    assert environ["wsgi.url_scheme"] in ("http", "https")
    assert environ["SCRIPT_NAME"][:1] in ("", "/")
    assert environ["SERVER_NAME"]
    assert 0 < int(environ["SERVER_PORT"]) < 65536


@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_an_app_that_judges_itself_gets_all_of_it_as_it_came(peer: str) -> None:
    passing = Forwarding(Trust(()), passes_all=True)
    environ = environ_of("X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6", peer=peer, forwarding=passing)
    assert (environ["REMOTE_ADDR"], environ["HTTP_X_FORWARDED_FOR"], environ["HTTP_X_REAL_IP"]) == (
        peer,
        "6.6.6.6",
        "6.6.6.6",
    )
