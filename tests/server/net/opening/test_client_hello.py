"""client_hello: the name in a greeting, however it comes, and no harm by what is none."""

from __future__ import annotations

import ssl
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.servers.certificates import client_context
from tests.support.times import MS

from greenserve.net.opening.client_hello import server_name_of

pytestmark = pytest.mark.no_hub


def hello(name: str | None = "some.example", version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = client_context(check_hostname=False, maximum_version=version)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


HELLO = hello()


def in_records(data: bytes, size: int) -> bytes:
    body = data[5:]
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(data[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    "name", ["a", "some.example", "xn--bcher-kva.example", "under_score.example", "a" * 63 + ".b"]
)
def test_a_name(name: str, version: ssl.TLSVersion) -> None:
    assert server_name_of(hello(name, version)) == name


def test_no_name() -> None:
    assert server_name_of(hello(None)) == ""
    assert server_name_of(hello("127.0.0.1")) == ""  # RFC 6066 §3: an address is none


@pytest.mark.parametrize(
    "name", [b"some.exampl\xff", b"some\r\nexampl", b"some exampl!", b"some.exampl\0", b"............"]
)
def test_what_is_no_name(name: bytes) -> None:
    got = server_name_of(HELLO.replace(b"some.example", name))
    assert got == (name.decode() if name.isascii() and set(name) == {ord(".")} else "")


def test_every_beginning_wants_more() -> None:
    assert {server_name_of(HELLO[:count]) for count in range(1, len(HELLO))} == {None}
    assert server_name_of(HELLO + b"anything") == "some.example"


@pytest.mark.parametrize("records", [1, 16, 64])
def test_in_several_records(records: int) -> None:
    # Since OpenSSL 3.5 a greeting takes 1,500 bytes and more: it has a key that quantum computers do not find.
    data = in_records(HELLO, -(-len(HELLO) // records))
    assert {server_name_of(data[:count]) for count in range(1, len(data))} == {None}
    assert server_name_of(data) == "some.example"


def test_in_too_many_records() -> None:
    assert server_name_of(in_records(HELLO, 1)) == ""
    began = time.process_time()
    data = b"\x16\x03\x01\0\0" * 100_000
    assert server_name_of(data) == ""
    assert time.process_time() - began < 100 * MS


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\0\4\x02\0\0\0",  # another message
        b"\x16\x03\x01\x40\0\x01\xff\xff\xff",  # longer than any greeting
        b"\x16\x03\x01\0\4\x01\0\0\0",  # with nothing in it
        b"\x16\x03\x01\0\4\x01\0\0\4\x15\x03\x01\0\2",  # an alert in the middle
    ],
)
def test_what_is_no_greeting(data: bytes) -> None:
    assert server_name_of(data) == ""


@given(st.binary(max_size=100))
def test_any_bytes(data: bytes) -> None:
    assert server_name_of(b"\x16" + data) in (None, "")


@given(st.integers(5, len(HELLO) - 1), st.binary(min_size=1, max_size=8))
def test_any_change(at: int, change: bytes) -> None:
    got = server_name_of(HELLO[:at] + change + HELLO[at + len(change) :])
    assert got is None or (got.isascii() and got.isprintable() and " " not in got)
