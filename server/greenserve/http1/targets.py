"""The request target: its four forms, and the authority that must agree with it.

Sans-IO. heads.py calls it. llhttp refuses controls, spaces and bytes beyond ASCII; this module checks the grammar of
RFC 3986. It accepts some characters that browsers send raw, since the URL standard that they follow (WHATWG) does not
escape them: `[ ] ^ |` in a path, and in a query these and `\\`, `` ` ``, `{`, `}` and a lone `%`. A query is passed on
as it is. A path is decoded, so every `%` in it must begin an escape: two parsers could read a broken one differently.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes

from greenserve.errors import ProtocolError

# RFC 3986 §3.3 and §3.4, and the characters above. Possessive: each text matches in one way, so nothing is tried twice.
_ORIGIN: Final = re.compile(
    r"(?P<path>/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]^|]|%[0-9A-Fa-f]{2})*+)"
    r"(?:\?(?P<query>[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]^|?\\`{}%]*+))?"
)
# RFC 3986 §3.2.2, without IPvFuture, which has no meaning yet.
_HOST: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+))"
    r"(?::(?P<port>[0-9]{0,5}))?"
)
_SCHEME: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def split_target(method: str, target: str, host: str | None) -> tuple[str, str, str | None]:
    """The path, percent-decoded, the raw query, and the requested authority. Raises ProtocolError.

    `host` is the Host field, None if an HTTP/1.0 client sent none.
    """
    if target[:1] == "/" and method != "CONNECT":
        return *split_origin_form(target), host
    return _split_other_form(method, target, host)


def split_origin_form(target: str) -> tuple[str, str]:
    """Path and query of a target that begins with a slash (RFC 9112 §3.2.1). Raises ProtocolError."""
    match = _ORIGIN.fullmatch(target)
    if match is None:
        raise _blame(target)
    path = match["path"]
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
        if "\0" in path:
            raise ProtocolError(400, "%00 in the path (RFC 3986 §7.3)")
    return path, match["query"] or ""


def _split_other_form(method: str, target: str, host: str | None) -> tuple[str, str, str | None]:
    """The same of a target that does not begin with a slash."""
    if method == "CONNECT":
        raise ProtocolError(501, "CONNECT is for proxies (RFC 9110 §9.3.6)")
    if target == "*" and method == "OPTIONS":
        return "", "", host  # PATH_INFO is empty or begins with a slash (RFC 3875 §4.1.5)
    match = _SCHEME.match(target)
    if match is None:
        raise ProtocolError(400, "malformed request target (RFC 9112 §3.2)")
    authority = match["authority"]
    if "@" in authority:
        raise ProtocolError(400, "user information in the request target (RFC 9110 §4.2.4)")
    check_authority(authority, "request target")
    if authority[:1] in ("", ":"):
        raise ProtocolError(400, "no host in the request target (RFC 9110 §4.2.1)")
    scheme = match["scheme"].lower()
    # A server has to use the target's. A proxy that routed by Host has chosen another server than the client meant.
    if host is not None and _canonical(scheme, host) != _canonical(scheme, authority):
        raise ProtocolError(400, "Host is not the request target's (RFC 9112 §3.2.2)")
    rest = target[match.end() :]
    if not rest and method == "OPTIONS":
        return "", "", authority  # the asterisk's meaning: RFC 9110 §4.2.3, RFC 9112 §3.2.4
    return *split_origin_form(rest if rest[:1] == "/" else "/" + rest), authority


def target_characters() -> bytes:
    """For each byte 1 if a path may have it as it stands, plus 2 if a query may."""
    return bytes(
        (chr(byte) != "?" and _ORIGIN.fullmatch("/" + chr(byte)) is not None)
        + 2 * (_ORIGIN.fullmatch("/?" + chr(byte)) is not None)
        for byte in range(256)
    )


def check_authority(text: str, where: str) -> None:
    """Check a host with or without a port; it may be empty (RFC 9110 §7.2). Raises ProtocolError, naming `where`."""
    match = _HOST.fullmatch(text)
    good = match is not None and not (match["port"] and int(match["port"]) > 65535)
    # A port needs a host. An empty authority stands for the server's own name (RFC 9112 §3.3).
    good = good and text[:1] != ":"
    if good and match is not None and match["v6"]:
        try:
            IPv6Address(match["v6"])
        except AddressValueError:
            good = False
    if not good:
        raise ProtocolError(
            400, f"malformed {where}: not a host with a port (RFC 9112 §3.2, RFC 3986 §3.2.2)"
        )


def _canonical(scheme: str, authority: str) -> str:
    """The one spelling of an authority, so that equal ones compare equal (RFC 9110 §4.2.3)."""
    return authority.lower().removesuffix(_DEFAULT_PORTS[scheme]).removesuffix(":")


def _blame(target: str) -> ProtocolError:
    if "#" in target:
        return ProtocolError(400, "fragment in the request target (RFC 9112 §3.2)")
    path = target.partition("?")[0]
    if re.search("%(?![0-9A-Fa-f]{2})", path):
        return ProtocolError(400, "% in the path that begins no escape: send %25 (RFC 3986 §2.1)")
    return ProtocolError(400, "character in the request target that must be percent-encoded (RFC 3986 §3.3)")
