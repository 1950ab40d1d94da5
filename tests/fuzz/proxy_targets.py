"""What is fuzzed of proxies/: PROXY headers, and the fields in which proxies tell for whom they ask."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from tests.support.protocols.heads import split

from greenserve.errors import ProtocolError
from greenserve.proxies import ProxyHeader, ProxyReader, Trust, read_claims

_LONGEST_HEADER: Final = 16 + 4096
_OURS: Final = Trust(["127.0.0.1", "10.0.0.0/8", "unix", "*"])
_NAMES: Final = [f"x-forwarded-{name}" for name in ("for", "proto", "host", "port", "prefix")]


def _is_address(node: tuple[str, str]) -> bool:
    return str(ipaddress.ip_address(node[0])) == node[0] and 0 <= int(node[1] or 0) <= 65535


# PROXY headers -----------------------------------------------------------------------------------------------


def _outcome(versions: str, pieces: list[bytes]) -> Any:
    """The header and what follows it, or "refused", or "unfinished"."""
    reader = ProxyReader(versions)
    for number, piece in enumerate(pieces):
        try:
            rest = reader.feed(piece)
        except ProtocolError:
            assert reader.header is None
            return "refused"
        if rest is not None:
            assert reader.header is not None
            return reader.header, rest + b"".join(pieces[number + 1 :])
        assert len(reader._raw) < _LONGEST_HEADER
    return "unfinished"


def proxy_headers(data: bytes) -> None:
    """A PROXY header reads the same however it is cut, nothing behind it is lost, and what it tells are addresses."""
    cuts, stream = [place for place in data[:4] if place != 255], data[4:]
    found = {versions: _outcome(versions, [stream]) for versions in ("v1", "v2", "auto")}
    for versions, whole in found.items():
        assert _outcome(versions, split(stream, cuts)) == whole
    # One of the two is the other's garbage, unless it may yet become either.
    assert "refused" in (found["v1"], found["v2"]) or not stream
    assert found["auto"] in (found["v1"], found["v2"])
    if isinstance(found["auto"], tuple):
        header, rest = found["auto"]
        assert isinstance(header, ProxyHeader)
        assert stream.endswith(rest)
        assert len(stream) - len(rest) <= (107 if header.version == 1 else _LONGEST_HEADER)
        assert (header.source is None) == (header.destination is None)
        assert not (header.local and header.source)
        for node in (header.source, header.destination):
            assert node is None or _is_address(node)


# X-Forwarded-* and Forwarded -----------------------------------------------------------------------------------


def forwarded(data: bytes) -> None:
    """Whatever a trusted proxy sends, what is believed is well formed; and none of it is the client's to choose."""
    hops, text = data[:1], data[1:].decode("latin-1")
    fields = text.split("\n")
    for count in (0, (hops or b"\0")[0] % 5):
        for told in (dict(zip(_NAMES, fields, strict=False)), {"forwarded": text}):
            claims = read_claims(told, _OURS, count)
            assert claims.client is None or claims.client == ("", "") or _is_address(claims.client)
            assert claims.scheme in (None, "http", "https")
            assert claims.port is None or 0 < int(claims.port) <= 65535
            if claims.prefix:
                assert claims.prefix[0] == "/"
                assert claims.prefix[1:2] not in ("/", "\\")
                assert not {"..", "."} & set(claims.prefix.split("/"))
                assert claims.prefix.isprintable() or any(letter > "\x7f" for letter in claims.prefix)
            assert claims.told is not None
            assert claims.told.keys() <= told.keys()
            assert "\n" not in "".join(claims.told.values())
    # What the nearest proxy adds is beyond the reach of all that stands before it.
    for line in fields:
        assert read_claims({"x-forwarded-for": f"{line}, 192.0.2.1"}, _OURS).client == ("192.0.2.1", "")
    added = read_claims({"forwarded": f"{text}\nfor=192.0.2.1;proto=https"}, _OURS)
    assert (added.client, added.scheme) == (("192.0.2.1", ""), "https")


_HEADER_WORDS: Final = (
    *(
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b"192.0.2.1 ",
        b"2001:db8::1 ",
        b"::ffff:1.2.3.4 ",
        b"1 2\r\n",
    ),
    *(b"\r\n", b"\r\n\r\n\0\r\nQUIT\n", b"\x21\x11\0\x0c", b"\x21\x21\0\x24", b"\x20\0\0\0", b"\x21\x31"),
    *(b"\x21\x11\0\x20", b"\x01\0\2h2", b"\x02\0\1a", b"\x03\0\4", b"\x04\0\1\0", b"\x05\0\1x", b"\x22\0\1a"),
    *(
        b"\x20\0\5\1\0\0\0\0",
        b"\x20\0\x0f\7\0\0\0\0\x21\0\7TLSv1.3",
        bytes(12),
        bytes(36),
        b"GET / HTTP/1.1\r\n",
    ),
)
_FIELD_WORDS: Final = (
    *(b"192.0.2.1", b"10.0.0.1", b"127.0.0.1", b"2001:db8::1", b'"[2001:db8::1]:80"', b"unknown", b"_hidden"),
    *(
        b":80",
        b", ",
        b",",
        b";",
        b"\n",
        b'"',
        b"\\",
        b"for=",
        b"For=",
        b"proto=",
        b"host=",
        b"by=",
        b"https",
        b"wss",
    ),
    *(b"/app", b"//", b"/..", b"%2e", b"%2f", b"%5c", b"%0d", b"example.com", b"[::1]", b"8443", b"99999"),
)
WORDS: Final = {"proxy_headers": list(_HEADER_WORDS), "forwarded": list(_FIELD_WORDS)}
