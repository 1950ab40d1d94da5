"""proxies.proxy_protocol: the header that a proxy sends first, in its specification's order (§ is of that)."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clients import proxy_headers as proxy

from greenserve.errors import ProtocolError
from greenserve.proxies import ProxyHeader, ProxyReader
from greenserve.proxies.tlvs import Details

AFTER = b"GET / HTTP/1.1\r\n\r\n"


def read(data: bytes, versions: str = "auto") -> ProxyHeader:
    """The header of `data`, behind which nothing may be lost or added."""
    reader = ProxyReader(versions)
    assert reader.feed(data + AFTER) == AFTER
    assert reader.header is not None
    return reader.header


def refusal(data: bytes, versions: str = "auto") -> str:
    reader = ProxyReader(versions)
    with pytest.raises(ProtocolError) as caught:
        reader.feed(data)
    assert reader.header is None
    return caught.value.reason


# §2.1


def test_2_1_the_specifications_own_example():
    header = read(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n")
    assert header == ProxyHeader(1, False, ("192.168.0.1", "56324"), ("192.168.0.11", "443"))


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("TCP4 255.255.255.255 255.255.255.255 65535 65535", ("255.255.255.255", "65535")),
        ("TCP4 0.0.0.0 0.0.0.0 0 0", ("0.0.0.0", "0")),
        ("TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2", ("2001:db8::1", "1")),
        (
            f"TCP6 {':'.join(['ffff'] * 8)} {':'.join(['ffff'] * 8)} 65535 65535",
            (":".join(["ffff"] * 8), "65535"),
        ),
        ("TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2", ("192.0.2.1", "1")),
    ],
)
def test_2_1_both_families(line, source):
    assert read(f"PROXY {line}\r\n".encode()).source == source


@pytest.mark.parametrize("rest", [b"", b" ", b" ffff::1 garbage", b" " + b"x" * 91, b" \0\xff\t"])
def test_2_1_unknown_says_nothing_whatever_follows(rest):
    assert read(b"PROXY UNKNOWN" + rest + b"\r\n") == ProxyHeader(1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY tcp4 1.1.1.1 2.2.2.2 1 2", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY UNKNOWNS", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY ", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4", "two addresses and two ports"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1", "two addresses and two ports"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 ", "two addresses and two ports"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3", "two addresses and two ports"),
        (b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2", "with one space between"),
        (b"PROXY TCP4\t1.1.1.1 2.2.2.2 1 2", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4 1.1.1.01 2.2.2.2 1 2", "not an address of TCP4"),
        (b"PROXY TCP4 1.1.1 2.2.2.2 1 2", "not an address of TCP4"),
        (b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2", "not an address of TCP4"),
        (b"PROXY TCP4 ::1 ::2 1 2", "not an address of TCP4"),
        (b"PROXY TCP4 1.1.1.1 ::2 1 2", "not an address of TCP4"),
        (b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2", "not an address of TCP6"),
        (b"PROXY TCP6 ::1 [::2] 1 2", "not an address of TCP6"),
        (b"PROXY TCP6 fe80::1%lo ::2 1 2", "not an address of TCP6"),
        (b"PROXY TCP6 ::12345 ::2 1 2", "not an address of TCP6"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2", "without leading zeros"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536", "from 0 to 65535"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2", "from 0 to 65535"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2", "from 0 to 65535"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 \xb2", "from 0 to 65535"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\0", "from 0 to 65535"),
    ],
)
def test_2_1_any_other_line_is_refused(line, reason):
    assert reason in refusal(line + b"\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\nGET",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rGET",
        b"PROXY TCP4 1.1.1.1\n2.2.2.2 1 2\r\n",
        b"PROXY UNKNOWN\rx\r\n",
        b"PROXY UNKNOWN\nGET / HTTP/1.1\r\n",
        b"PROXY UNKNOWN\r\r\n",
    ],
)
def test_2_1_only_crlf_ends_the_line(line):
    assert "must end in CRLF" in refusal(line)


def test_2_1_crlf_within_107_bytes():
    longest = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(longest) == 107
    assert read(longest) == ProxyHeader(1)
    assert "no CRLF in the first 107 bytes" in refusal(b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n")
    reader = ProxyReader("v1")
    assert reader.feed(longest[:-2]) is None  # 105 bytes, and the line may still end
    with pytest.raises(ProtocolError):
        reader.feed(b"xx")


# §2.2


@pytest.mark.parametrize(
    ("family", "source", "destination"),
    [
        (proxy.TCP4, "192.0.2.1", "198.51.100.2"),
        (proxy.UDP4, "0.0.0.0", "255.255.255.255"),
        (proxy.TCP6, "2001:db8::1", "::"),
        (proxy.UDP6, "2001:db8::1", "fe80::1"),
    ],
)
def test_2_2_addresses(family, source, destination):
    header = read(proxy.v2(family, proxy.block(source, destination, 0, 65535)))
    assert header == ProxyHeader(2, False, (source, "0"), (destination, "65535"))


def test_2_2_a_mapped_address_is_the_ipv4_address():
    header = read(proxy.v2_tcp("::ffff:192.0.2.1", "::ffff:192.0.2.2", 1, 2))
    assert header.source == ("192.0.2.1", "1")
    assert header.destination == ("192.0.2.2", "2")


@pytest.mark.parametrize("family", [0x00, 0x11, 0x31, 0x44, 0xFF])
@pytest.mark.parametrize("block", [b"", b"x" * 7, b"\xff" * 300])
def test_2_2_local_is_taken_whatever_it_holds(family, block):
    assert read(proxy.v2(family, block, command=proxy.LOCAL)) == ProxyHeader(2, local=True)


@pytest.mark.parametrize("family", [proxy.UNSPEC, 0x01, 0x02, 0x10, 0x20, 0x30])
@pytest.mark.parametrize("block", [b"", b"\xff" * 40])
def test_2_2_unspecified_tells_no_address(family, block):
    assert read(proxy.v2(family, block)) == ProxyHeader(2)


@pytest.mark.parametrize("family", [proxy.UNIX_STREAM, proxy.UNIX_DGRAM])
def test_2_2_a_unix_sockets_path_is_nobodys_address(family):
    header = read(proxy.v2(family, b"/run/a".ljust(108, b"\0") * 2, proxy.tlv(0x01, b"h2")))
    assert header == ProxyHeader(2, details=Details(b"h2"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (proxy.SIGNATURE + b"\x11", "version 1, command 1"),
        (proxy.SIGNATURE + b"\x31", "version 3, command 1"),
        (proxy.SIGNATURE + b"\x22", "version 2, command 2"),
        (proxy.SIGNATURE + b"\x2f", "version 2, command 15"),
        (proxy.SIGNATURE + b"\x21\x41", "0x41 are unknown"),
        (proxy.SIGNATURE + b"\x21\x13", "0x13 are unknown"),
        (proxy.SIGNATURE + b"\x21\xf1", "0xf1 are unknown"),
        (proxy.SIGNATURE + b"\x21\x11\x10\x01", "longer than 4096 bytes"),
        (proxy.SIGNATURE + b"\x20\x00\xff\xff", "longer than 4096 bytes"),
        (proxy.v2(proxy.TCP4, bytes(11)), "shorter than its addresses"),
        (proxy.v2(proxy.TCP6, bytes(35)), "shorter than its addresses"),
        (proxy.v2(proxy.UNIX_STREAM, bytes(215)), "shorter than its addresses"),
        (proxy.v2(proxy.TCP4, bytes(13)), "longer than the header"),
    ],
)
def test_2_2_what_is_wrong_is_refused_as_soon_as_it_is_seen(data, reason):
    assert reason in refusal(data)


def test_2_2_the_longest_is_taken():
    padding = proxy.tlv(0x04, bytes(4096 - 12 - 3))
    assert read(proxy.v2_tcp("192.0.2.1", "192.0.2.2", 1, 2, padding)).source == ("192.0.2.1", "1")


def test_2_2_3_the_checksum_is_checked():
    good = proxy.v2_tcp("192.0.2.1", "192.0.2.2", 1, 2, proxy.tlv(0x01, b"h2"), crc=True)
    assert read(good).details.alpn == b"h2"
    for at in [
        *range(16, 28),
        len(good) - 9,
        *range(len(good) - 4, len(good)),
    ]:  # addresses, the ALPN, the checksum
        bad = bytearray(good)
        bad[at] ^= 1
        assert "CRC32C is wrong" in refusal(bytes(bad))


def test_2_2_6_tls():
    header = read(proxy.v2_tcp("192.0.2.1", "192.0.2.2", 1, 2, proxy.tls(1, 1, proxy.tlv(0x21, b"TLSv1.2"))))
    assert header.tls is not None
    assert header.tls.used
    assert not header.tls.verified
    assert header.tls.version == "TLSv1.2"


# §5: nothing is guessed


@pytest.mark.parametrize(
    ("versions", "data", "reason"),
    [
        ("auto", b"GET / HTTP/1.1\r\n", "plain HTTP where a PROXY header (v1 or v2) must be"),
        ("v1", b"POST /a HTTP/1.1\r\n", "plain HTTP where a PROXY header (v1) must be"),
        ("v1", b"PRI * HTTP/2.0\r\n", "plain HTTP"),
        ("v2", b"\x16\x03\x01\x02", "a TLS handshake where a PROXY header (v2) must be"),
        ("v2", proxy.v1("192.0.2.1", "192.0.2.2", 1, 2), "of the version that --proxy-protocol leaves out"),
        (
            "v1",
            proxy.v2_tcp("192.0.2.1", "192.0.2.2", 1, 2),
            "of the version that --proxy-protocol leaves out",
        ),
        ("auto", b"\0", "something else"),
        ("auto", b"\r\n\r\n\r\n", "something else"),
        ("auto", b"proxy TCP4 ", "plain HTTP"),
        ("auto", b"\xff\xfe", "something else"),
    ],
)
def test_5_what_is_no_header_is_refused_and_named(versions, data, reason):
    assert reason in refusal(data, versions)


@pytest.mark.parametrize("versions", ["v1", "v2", "auto"])
def test_5_a_first_wrong_byte_is_enough(versions):
    for first in set(range(256)) - set(b"P\r"):
        refusal(bytes([first]), versions)


# Any split, any mutation

addresses = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
ports = st.integers(0, 65535)
tlvs = st.lists(
    st.builds(proxy.tlv, st.sampled_from([0x04, 0x30, 0xE1]), st.binary(max_size=30)), max_size=4
).map(b"".join)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str, str, int, int]:
    source, destination = map(str, draw(addresses))
    parts = source, destination, draw(ports), draw(ports)
    if draw(st.booleans()):
        return proxy.v1(*parts), *parts
    return proxy.v2_tcp(*parts, draw(tlvs), crc=draw(st.booleans())), *parts


def unmapped(text: str) -> str:
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


@given(headers())
def test_what_a_proxy_writes_is_read(written):
    data, source, destination, source_port, destination_port = written
    header = read(data)
    assert header.source == (unmapped(source), str(source_port))
    assert header.destination == (unmapped(destination), str(destination_port))


def outcome(pieces: list[bytes]) -> tuple[object, ...]:
    reader = ProxyReader("auto")
    for index, piece in enumerate(pieces):
        try:
            rest = reader.feed(piece)
        except ProtocolError as error:
            return ("refused", error.reason)
        if rest is not None:
            return ("read", reader.header, rest + b"".join(pieces[index + 1 :]))
    return ("waits",)


def cut(data: bytes, places: set[int]) -> list[bytes]:
    ends = sorted(place for place in places if 0 < place < len(data))
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(headers(), st.binary(max_size=20), st.sets(st.integers(0, 200)))
def test_any_split_gives_the_same(written, after, places):
    data = written[0] + after
    assert outcome(cut(data, places)) == outcome([data])
    assert outcome([data[i : i + 1] for i in range(len(data))]) == outcome([data])


@given(headers(), st.integers(0, 400), st.integers(0, 255), st.sets(st.integers(0, 200)))
def test_a_mutated_header_splits_the_same_or_is_refused_in_any_split(written, at, byte, places):
    data = bytearray(written[0] + AFTER)
    data[at % len(written[0])] = byte
    whole, pieces = outcome([bytes(data)]), outcome(cut(bytes(data), places))
    assert whole[0] == pieces[0]
    if whole[0] == "read":
        assert whole == pieces


@given(headers(), st.integers(0, 400))
def test_a_header_that_is_cut_off_waits(written, at):
    data = written[0]
    assert outcome([data[: at % len(data)]]) == ("waits",)


@given(st.binary(max_size=300))
def test_any_bytes_wait_or_are_refused_or_read(data):
    outcome([data])
    outcome([proxy.SIGNATURE + data])
    outcome([b"PROXY " + data])


def test_a_dripping_peer_is_held_to_the_same_bytes():
    data = proxy.SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4096) + bytes(4096)
    reader = ProxyReader("auto")
    for at in range(len(data) - 1):
        assert reader.feed(data[at : at + 1]) is None
    with pytest.raises(ProtocolError):  # TLVs of type 0 and length 0 fill it, but for the last byte
        reader.feed(b"\0")
