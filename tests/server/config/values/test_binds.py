"""config.binds: the grammar of --bind."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.config import BindAddress, parse_bind


@pytest.mark.parametrize(
    ("text", "address", "canonical"),
    [
        ("127.0.0.1:8000", BindAddress("tcp", host="127.0.0.1", port=8000), "127.0.0.1:8000"),
        ("localhost:0", BindAddress("tcp", host="localhost"), "localhost:0"),
        ("my-host.example.com.:80", BindAddress("tcp", host="my-host.example.com.", port=80), None),
        (":8000", BindAddress("tcp", host="0.0.0.0", port=8000), "0.0.0.0:8000"),
        ("*:8000", BindAddress("tcp", host="0.0.0.0", port=8000), "0.0.0.0:8000"),
        ("[::1]:8000", BindAddress("tcp", host="::1", port=8000), "[::1]:8000"),
        ("[0:0:0::1]:8000", BindAddress("tcp", host="::1", port=8000), "[::1]:8000"),
        ("[fe80::1%eth0]:1", BindAddress("tcp", host="fe80::1%eth0", port=1), "[fe80::1%eth0]:1"),
        ("unix:/run/app.sock", BindAddress("unix", path="/run/app.sock"), "unix:/run/app.sock"),
        ("unix:app.sock", BindAddress("unix", path="app.sock"), "unix:app.sock"),
        ("unix:///run/app.sock", BindAddress("unix", path="/run/app.sock"), "unix:/run/app.sock"),
        ("unix:@app", BindAddress("unix", path="@app"), "unix:@app"),
        ("fd://3", BindAddress("fd", fd=3), "fd://3"),
        (" :80 ", BindAddress("tcp", host="0.0.0.0", port=80), "0.0.0.0:80"),
    ],
)
def test_addresses(text: str, address: BindAddress, canonical: str | None) -> None:
    assert parse_bind(text) == address
    assert str(address) == (canonical or text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "port is missing"),
        ("localhost", "port is missing"),
        ("8000", "did you mean 127.0.0.1:8000"),
        ("localhost:", "a port is a number"),
        ("localhost:http", "a port is a number"),
        ("localhost:65536", "a port is a number"),
        ("localhost:-1", "a port is a number"),
        ("localhost:٣", "a port is a number"),
        ("::1:8000", "needs brackets"),
        ("[::1]", "needs brackets"),
        ("[::g]:80", "not an IPv6 address"),
        ("[127.0.0.1]:80", "not an IPv6 address"),
        ("127.0.0.256:80", "not an IPv4 address"),
        ("127.1:80", "not an IPv4 address"),
        ("a b:80", "not a host name"),
        ("-x:80", "not a host name"),
        ("http://localhost:80", "a URL"),
        ("unix:", "needs a path"),
        ("unix:@", "needs a path"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
        ("unix:/a\0b", "NUL"),
        ("fd://", "descriptor"),
        ("fd://-1", "descriptor"),
        ("fd://x", "descriptor"),
    ],
)
def test_what_is_no_address(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_bind(text)


@given(
    st.text(max_size=30)
    | st.from_regex(r"(\[[0-9a-f:]*\]|[a-z0-9.-]*):[0-9]{0,6}|unix:.*|fd://[0-9]*", fullmatch=True)
)
def test_an_address_that_parses_survives_printing(text: str) -> None:
    try:
        address = parse_bind(text)
    except ValueError:
        return
    assert parse_bind(str(address)) == address


def test_sockaddr_is_what_bind_takes() -> None:
    assert parse_bind("[::1]:8000").sockaddr == ("::1", 8000)
    assert parse_bind("[::1]:8000").ipv6
    assert not parse_bind("127.0.0.1:8000").ipv6
    assert parse_bind("unix:/run/x").sockaddr == "/run/x"
    abstract = parse_bind("unix:@greenserve-test-binds")
    assert abstract.abstract
    assert abstract.sockaddr == "\0greenserve-test-binds"


def test_a_socket_binds_to_what_was_parsed() -> None:
    with socket.socket() as sock:
        sock.bind(parse_bind("127.0.0.1:0").sockaddr)
        assert sock.getsockname()[0] == "127.0.0.1"
