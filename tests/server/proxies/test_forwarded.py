"""proxies.forwarded: what trusted proxies say of a request."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.proxies import Claims, Trust, canonical_peer, read_claims

OURS = Trust(map(canonical_peer, ["127.0.0.1", "unix", "10.0.0.0/8", "2001:db8::/32", "*"]))
NOBODY = ("", "")


def x(hops: int = 0, trust: Trust = OURS, **fields: str) -> Claims:
    return read_claims({f"x-forwarded-{name.strip('_')}": text for name, text in fields.items()}, trust, hops)


def forwarded(text: str, hops: int = 0) -> Claims:
    return read_claims({"forwarded": text}, OURS, hops)


# X-Forwarded-For


@pytest.mark.parametrize(
    ("chain", "client", "believed"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.1", "192.0.2.1", "192.0.2.1, 10.0.0.1"),
        ("6.6.6.6,192.0.2.1,10.0.0.1,::ffff:10.0.0.2", "192.0.2.1", "192.0.2.1, 10.0.0.1, ::ffff:10.0.0.2"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", "10.0.0.3, 10.0.0.2"),  # all are ours: one of us asks
        ("10.0.0.9, 192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db9::1", "2001:db9::1", "2001:db9::1"),
        ("6.6.6.6, 2001:DB9:0::1, 2001:db8::5", "2001:db9::1", "2001:DB9:0::1, 2001:db8::5"),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy_of_ours(chain, client, believed):
    claims = x(for_=chain)
    assert claims.client == (client, "")
    assert claims.told == {"x-forwarded-for": believed}


def test_an_entry_may_hold_a_port():
    assert x(for_="192.0.2.1:4711").client == ("192.0.2.1", "4711")
    assert x(for_="[2001:db9::1]:4711, 10.0.0.1:80").client == ("2001:db9::1", "4711")
    assert x(for_="[2001:db9::1]").client == ("2001:db9::1", "")


@pytest.mark.parametrize(
    "bad",
    ["unknown", "_hidden", "localhost", "192.0.2.1 ", "192.0.2.256", "192.0.2.1;x", "\xe4", '"192.0.2.1"'],
)
def test_behind_what_is_no_address_nobody_is_believed(bad):
    """Not 6.6.6.6, which a client may have written; nor 10.0.0.1, whose address might open doors."""
    if bad.strip() == "192.0.2.1":
        bad = "192.0.2.1 192.0.2.2"
    claims = x(for_=f"6.6.6.6, {bad}, 10.0.0.1", proto="https")
    assert claims.client == NOBODY
    assert claims.told == {"x-forwarded-for": "unknown, 10.0.0.1", "x-forwarded-proto": "https"}


def test_what_is_malformed_further_left_harms_nobody():
    assert x(for_='"; DROP, \xff, 192.0.2.1, 10.0.0.1').client == ("192.0.2.1", "")


@pytest.mark.parametrize("chain", ["", " ", ",", " , ,, "])
def test_an_empty_list_tells_nothing(chain):
    assert x(for_=chain) == Claims(told={})


def test_empty_members_count_for_nothing():
    """RFC 9110 §5.6.1."""
    assert x(for_=",, 6.6.6.6,, ,192.0.2.1,\t, 10.0.0.1,,").client == ("192.0.2.1", "")
    assert x(hops=2, for_="6.6.6.6, 192.0.2.1,, 172.16.0.1,").client == ("192.0.2.1", "")


@pytest.mark.parametrize(
    ("hops", "client", "believed"),
    [
        (1, "172.16.0.2", "172.16.0.2"),
        (2, "172.16.0.1", "172.16.0.1, 172.16.0.2"),
        (3, "192.0.2.1", "192.0.2.1, 172.16.0.1, 172.16.0.2"),
        (4, "6.6.6.6", "6.6.6.6, 192.0.2.1, 172.16.0.1, 172.16.0.2"),
        (5, "6.6.6.6", "6.6.6.6, 192.0.2.1, 172.16.0.1, 172.16.0.2"),  # fewer have added than there should be
    ],
)
def test_a_count_of_hops_goes_by_no_address(hops, client, believed):
    claims = x(hops=hops, for_="6.6.6.6, 192.0.2.1, 172.16.0.1, 172.16.0.2")
    assert claims.client == (client, "")
    assert claims.told == {"x-forwarded-for": believed}


def test_a_count_of_hops_stops_at_what_is_no_address():
    assert x(hops=2, for_="192.0.2.1, 6.6.6.6, unknown").client == NOBODY
    assert x(hops=1, for_="unknown, 192.0.2.1").client == ("192.0.2.1", "")


@pytest.mark.parametrize("everybody", ["*", "0.0.0.0/0"])
def test_who_trusts_everybody_still_takes_the_last_address(everybody):
    assert x(for_="6.6.6.6, 192.0.2.1", trust=Trust([everybody])).client == ("192.0.2.1", "")


# The others of X-Forwarded-*


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [
        *(("http", "http"), ("HTTPS", "https"), ("ws", "http"), ("wss", "https"), (" https ", "https")),
        *(("", None), ("ftp", None), ("https;", None), ("javascript", None), ("https\xa0", None)),
    ],
)
def test_the_scheme_is_one_of_http(proto, scheme):
    assert x(proto=proto).scheme == scheme


@pytest.mark.parametrize(
    ("port", "taken"),
    [("443", True), ("65535", True), *((p, False) for p in ("0", "65536", "-1", "4 3", "x", "", "0443"))],
)
def test_a_port_is_a_number(port, taken):
    assert x(port=port).port == (port if taken else None)


def test_a_host_is_handed_on():
    assert x(host="example.com:8443").host == "example.com:8443"
    assert x(host="").host is None


@pytest.mark.parametrize(
    ("prefix", "taken"),
    [
        ("/", ""),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/a/b.c/~d", "/a/b.c/~d"),
        ("/%61%C3%A4", "/a\xc3\xa4"),
        ("/a%20b", "/a b"),
        ("/a/...", "/a/..."),
        ("/.well-known", "/.well-known"),
    ],
)
def test_a_prefix_is_a_path(prefix, taken):
    assert x(prefix=prefix).prefix == taken


@pytest.mark.parametrize(
    "prefix",
    [
        *(
            "",
            "api",
            "//evil.example",
            "/a//b",
            "/a//",
            "///",
            "/..",
            "/a/../b",
            "/a/..",
            "/.",
            "/./a",
            "/a/.",
            "http://evil.example/",
        ),
        *(
            "/%2e%2e/a",
            "/a/%2E",
            "/a%2fb%2f%2fc",
            "/%2fevil.example",
            "/%5cevil.example",
            "/\\evil.example",
            "/a%00b",
            "/a%0d%0ab",
        ),
        *("/a\tb", "/a b", "/a?b", "/a#b", "/%", "/%zz", "/%c", "/a%7f", "/\xe4", "/a\0"),
    ],
)
def test_a_prefix_that_could_lead_elsewhere_is_not_taken(prefix):
    """`//evil.example` before a path is, to a browser, another site."""
    claims = x(prefix=prefix)
    assert claims.prefix is None
    assert claims.told == {}


@pytest.mark.parametrize(
    ("chain", "protos", "scheme"),
    [
        ("192.0.2.1", "https, http", "http"),  # one proxy: what stands before its own is the client's
        ("192.0.2.1, 10.0.0.1", "https, http", "https"),  # two: the first has seen the client
        ("192.0.2.1, 10.0.0.1", "http, https, http", "https"),
        ("192.0.2.1, 10.0.0.1, 10.0.0.2", "https, http", "https"),  # one of three adds nothing
        ("192.0.2.1, 10.0.0.1", "https", "https"),  # the first has set it, the others leave it
        ("", "https, http", "http"),
        ("unknown", "https, http", "http"),
    ],
)
def test_of_a_list_the_member_counts_whose_hop_has_seen_the_client(chain, protos, scheme):
    assert x(for_=chain, proto=protos).scheme == scheme


def test_with_a_count_of_hops_it_is_that_member():
    assert x(hops=2, proto="https, http").scheme == "https"
    assert x(hops=1, proto="https, http").scheme == "http"
    assert (
        x(hops=2, for_="6.6.6.6, 192.0.2.1, 172.16.0.1", host="evil.example, good.example, in.example").host
        == "good.example"
    )


# Forwarded (RFC 7239)


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("for=192.0.2.43", ("192.0.2.43", "")),
        ('for="192.0.2.43:47011"', ("192.0.2.43", "47011")),
        ('For="[2001:db9:cafe::17]:4711"', ("2001:db9:cafe::17", "4711")),
        ('for="[2001:db9:cafe::17]"', ("2001:db9:cafe::17", "")),
        ('for="192.0.2.43:_secret"', ("192.0.2.43", "")),
        ("for=192.0.2.43, for=10.0.0.1", ("192.0.2.43", "")),
        ("for=6.6.6.6, for=192.0.2.43, for=10.0.0.1;by=10.0.0.2", ("192.0.2.43", "")),
        ("for=6.6.6.6\nfor=192.0.2.43\nfor=10.0.0.1", ("192.0.2.43", "")),
        ("for=10.0.0.3, for=10.0.0.2", ("10.0.0.3", "")),
        ('for="\nfor=192.0.2.43', ("192.0.2.43", "")),  # the client's own line, malformed on purpose
    ],
)
def test_7239_the_client(text, client):
    assert forwarded(text).client == client


@pytest.mark.parametrize(
    "text",
    [
        "for=unknown",
        'for="unknown:80"',
        "for=_hidden",
        'for="2001:db9::17"',  # §6: IPv6 in brackets
        "for=example",
        "for=6.6.6.6, for=unknown",
        "for=6.6.6.6, for=_SEVKISEK, for=10.0.0.1",
        'for=", for=192.0.2.43',  # the client's open quote has swallowed what the proxy added to its line
        "for=6.6.6.6;for=6.6.6.6, for=10.0.0.1",
        'for=""',
        'for=6.6.6.6\nfor="\nfor=10.0.0.1',
    ],
)
def test_7239_who_is_hidden_or_malformed_is_nobody(text):
    assert forwarded(text).client == NOBODY


def test_7239_without_for_the_client_is_who_is_known_already():
    assert forwarded("proto=https").client is None
    assert forwarded("for=6.6.6.6, proto=https").client is None
    assert forwarded("for=6.6.6.6, proto=https, for=10.0.0.1").client == ("10.0.0.1", "")


def test_7239_scheme_and_host_are_of_the_hop_that_saw_the_client():
    claims = forwarded(
        'for=6.6.6.6;proto=http;host=evil, for=192.0.2.1;proto=HTTPS;host="a.example:8443", '
        "for=10.0.0.1;proto=http;host=b"
    )
    assert (claims.scheme, claims.host) == ("https", "a.example:8443")
    claims = forwarded("for=192.0.2.1, for=10.0.0.1;proto=https;host=b")
    assert (claims.scheme, claims.host) == ("https", "b")
    assert forwarded("for=192.0.2.1;proto=gopher").scheme is None


def test_7239_with_a_count_of_hops():
    text = "for=6.6.6.6, for=192.0.2.1;proto=https, for=172.16.0.1"
    assert forwarded(text, hops=2) == Claims(
        ("192.0.2.1", ""), "https", told={"forwarded": "for=192.0.2.1;proto=https, for=172.16.0.1"}
    )
    assert forwarded(text, hops=1).client == ("172.16.0.1", "")
    assert forwarded(text, hops=9).client == ("6.6.6.6", "")


@pytest.mark.parametrize(
    ("text", "believed"),
    [
        ("for=6.6.6.6, For=192.0.2.1 ;proto=https, for=10.0.0.1", "For=192.0.2.1 ;proto=https, for=10.0.0.1"),
        ('for="\nfor=10.0.0.1', "for=unknown, for=10.0.0.1"),
        ('for="', "for=unknown"),
        ("for=6.6.6.6, for=_hidden", "for=_hidden"),
    ],
)
def test_7239_only_what_is_believed_is_handed_on(text, believed):
    assert forwarded(text).told == {"forwarded": believed}


def test_7239_nothing_tells_nothing():
    assert forwarded(" , ,") == Claims(told={})


# Any text

texts = st.text('0123456789abcdef.:[], \t/_-%"=;forhttpsx\\\xe4', max_size=80)
addresses = st.ip_addresses().filter(lambda one: not getattr(one, "ipv4_mapped", None)).map(str)


@given(st.lists(texts, min_size=5, max_size=5), st.integers(0, 3))
def test_whatever_is_sent_an_address_is_taken_or_none(values, hops):
    claims = x(hops, **dict(zip(["for_", "proto", "host", "port", "prefix"], values, strict=True)))
    for found in (claims, forwarded("\n".join(values), hops)):
        if found.client is not None and found.client != NOBODY:
            assert canonical_peer(found.client[0]) == found.client[0]
            assert found.client[1] == "" or 0 <= int(found.client[1]) <= 65535
        assert found.scheme in (None, "http", "https")
        assert not found.prefix or found.prefix[0] == "/" != found.prefix[1:2]


@given(texts, addresses)
def test_whatever_the_client_claims_the_last_address_wins(claimed, client):
    """A proxy that adds what it saw to the client's own text, which cannot reach over the comma."""
    trust = Trust(["127.0.0.1"])
    if client != "127.0.0.1":
        assert x(for_=f"{claimed}, {client}", trust=trust).client == (client, "")
        assert x(hops=1, for_=f"{claimed}, {client}", trust=trust).client == (client, "")
        node = f'"[{client}]"' if ":" in client else client
        assert read_claims({"forwarded": f"{claimed}\nfor={node}"}, trust).client == (client, "")


@pytest.mark.parametrize(
    "text", ["10.0.0.1," * 7281, *(character * 65536 for character in ",1:[ /%")], ids=range(8)
)
@pytest.mark.parametrize("hops", [0, 1 << 30])
def test_the_longest_field_costs_linear_time(text, hops):
    began = time.process_time()
    x(hops, for_=text, proto=text, host=text, port=text, prefix="/" + text)
    forwarded("for=10.0.0.1," * 5000, hops)
    assert time.process_time() - began < 2
