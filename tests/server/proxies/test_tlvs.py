"""proxies.tlvs: what a PROXY header of version 2 says besides addresses (PROXY protocol §2.2)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clients.proxy_headers import tls, tlv

from greenserve.errors import ProtocolError
from greenserve.proxies.tlvs import Details, ProxiedTLS, parse_tlvs

ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30
VERSION, CN, CIPHER, SIG_ALG = 0x21, 0x22, 0x23, 0x24


def test_nothing_tells_nothing():
    assert parse_tlvs(b"") == Details()


def test_2_2_1_to_2_2_5_all_that_are_known():
    found = parse_tlvs(
        tlv(ALPN, b"http/1.1")
        + tlv(NOOP, b"\0\0\0")
        + tlv(AUTHORITY, "müller.example".encode())
        + tlv(UNIQUE_ID, b"\x80" * 128)
        + tlv(NETNS, b"blue")
        + tlv(0xE0, b"custom")
        + tlv(NOOP, b"")
        + tlv(CRC32C, b"abcd")
    )
    assert (found.alpn, found.authority, found.unique_id) == (b"http/1.1", "müller.example", b"\x80" * 128)
    assert found.tls is None
    assert found.checksum_at > 0


@pytest.mark.parametrize(
    ("client", "verify", "used", "verified"),
    [
        (0x00, 0, False, False),
        (0x00, 1, False, False),
        (0x01, 1, True, False),
        (0x01, 0, True, False),  # no certificate was shown
        (0x03, 0, True, True),
        (0x05, 0, True, True),  # it was shown earlier in this session
        (0x03, 1, True, False),
        (0x03, 0x01000000, True, False),
    ],
)
def test_2_2_6_a_certificate_counts_when_it_was_shown_and_found_good(client, verify, used, verified):
    found = parse_tlvs(
        tls(client, verify, tlv(VERSION, b"TLSv1.3"), tlv(CN, b"alice"), tlv(SIG_ALG, b"RSA-SHA256"))
    )
    assert found.tls == ProxiedTLS(used, verified, "TLSv1.3", "alice", "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x04", "longer than the header"),
        (b"\x04\0", "longer than the header"),
        (b"\x04\0\1", "longer than the header"),
        (b"\x01\xff\xffx", "longer than the header"),
        (tlv(ALPN, b"h2") + b"\0\0", "longer than the header"),
        (tlv(ALPN, b"h2") * 2, "0x01 is repeated"),
        (tlv(AUTHORITY, b"a") + tlv(AUTHORITY, b"b"), "0x02 is repeated"),
        (tlv(CRC32C, b"abcd") * 2, "0x03 is repeated"),
        (tls(1, 0) * 2, "0x20 is repeated"),
        (tlv(CRC32C, b"abc"), "4 bytes"),
        (tlv(CRC32C, b"abcde"), "4 bytes"),
        (tlv(UNIQUE_ID, bytes(129)), "at most 128 bytes"),
        (tlv(SSL, b""), "cut off inside PP2_TYPE_SSL"),
        (tlv(SSL, b"\1\0\0\0"), "cut off inside PP2_TYPE_SSL"),
        (tls(1, 0, b"\x21\0"), "longer than the header"),
        (tls(1, 0, b"\x22\0\5ab"), "longer than the header"),
        (tls(3, 0, tlv(CN, b"alice"), tlv(CN, b"root")), "0x22 is repeated"),
        (tls(3, 0, tlv(CN, b"\xff")), "the common name is not UTF-8"),
        (tls(3, 0, tlv(CN, b"alice\r\n")), "the common name holds a control character"),
        (tlv(AUTHORITY, b"\xc3"), "the authority is not UTF-8"),
        (tlv(AUTHORITY, b"a\0b"), "the authority holds a control character"),
    ],
)
def test_what_is_cut_off_or_ambiguous_is_refused(data, reason):
    with pytest.raises(ProtocolError) as caught:
        parse_tlvs(data)
    assert reason in caught.value.reason


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(ProtocolError):
        parse_tlvs(data)


unknown = st.tuples(st.sampled_from([NOOP, NETNS, 0x7F, 0xE0, 0xFF]), st.binary(max_size=20))


@given(st.lists(unknown), st.binary(max_size=20))
def test_what_is_unknown_changes_nothing(others, alpn):
    before = b"".join(tlv(*one) for one in others)
    assert parse_tlvs(before + tlv(ALPN, alpn) + before).alpn == alpn
