"""Whose word on a request's client, scheme, host and place is taken, and what environ says then.

One for each server. environ.py asks it for the keys of field names: it gives none for the fields that only a proxy may
set, so that a request without them costs nothing, and one with them is looked at once more here. What the
fields mean is proxies/' business.

Invariant: such a field is in environ only if a trusted peer sent it and the settings say that the peer sets it itself;
and then as much of it as is believed. An app that believes it is never fooled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from greenserve.errors import ProtocolError
from greenserve.http1.targets import check_authority
from greenserve.proxies import FORWARDED, X_FIELDS, Claims, ProxyHeader, Trust, read_claims

log = logging.getLogger("greenserve.error")

_CACHE_SIZE: Final = 1024
_LONGEST_KEPT: Final = 64  # characters of a name
_LONGEST_FIELDS: Final = 256  # characters of fields whose meaning is remembered
_MOST_COMPLAINTS: Final = 32
_DROPPED: Final = ""
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_NO_CLAIMS: Final = Claims()

# By these a proxy tells what a client could otherwise claim itself: who it is, how it came, what it asked for.
_PREFIXES: Final = ("x-forwarded-", "x-ssl-client-", "ssl-client-")
_NAMES: Final = frozenset(
    {
        *("forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "client-ip", "x-cluster-client-ip"),
        *("true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-original-forwarded-for"),
        *("x-scheme", "x-url-scheme", "front-end-https", "x-original-host"),
        *("x-script-name", "x-original-url", "x-rewrite-url"),
        *(
            "remote-user",
            "x-remote-user",
            "client-cert",
            "client-cert-chain",
            "x-client-cert",
            "x-client-verify",
        ),
    }
)


class Peer(NamedTuple):
    """environ["greenserve.peer"]: who is connected, where REMOTE_ADDR tells of another; ("", "") at a unix socket."""

    address: str
    port: str
    client: str  # as REMOTE_ADDR and REMOTE_PORT were set, for the access log: an app may change its environ
    client_port: str


class Forwarding:
    """Says which fields are a proxy's to set, and applies those that are believed."""

    __slots__ = ("_believed", "_claims", "_complaints", "_hops", "_passed", "_proxy_fields", "_trust", "keys")

    def __init__(self, trust: Trust, believed: Iterable[str] = (), hops: int = 0) -> None:
        """`believed`: the fields that trusted peers set themselves, in small letters. `hops`: see read_claims."""
        self._trust = trust
        self._believed = frozenset(believed)
        self._passed = self._believed.difference(X_FIELDS, (FORWARDED,))  # they mean nothing to the server
        self._hops = hops
        self.keys: dict[str, str] = {}  # from a field's name, as spelled, to its key in environ
        self._proxy_fields: dict[str, str] = {}  # from the same, of those without a key, to small letters
        self._claims: dict[tuple[tuple[str, str], ...], Claims] = {}
        self._complaints: set[tuple[bool, str]] = set()

    def key_of(self, name: str) -> str:
        """The key of a field's name; "" for what has none. For names that `keys` does not know."""
        lowered = name.lower()
        proxy_field = ""
        if "_" in name or lowered == "proxy":
            # X_Forwarded_For would pass for X-Forwarded-For; HTTP_PROXY for a setting of the environment (httpoxy).
            key = _DROPPED
        elif self._is_proxy_field(lowered):
            key = _DROPPED
            proxy_field = lowered
        else:
            key = _key(lowered)
        if len(name) <= _LONGEST_KEPT:
            if len(self.keys) >= _CACHE_SIZE:
                self.keys.clear()
                self._proxy_fields.clear()
            self.keys[name] = key
            if proxy_field:
                self._proxy_fields[name] = proxy_field
        return key

    def _is_proxy_field(self, lowered: str) -> bool:
        return lowered in _NAMES or lowered.startswith(_PREFIXES) or lowered in self._believed

    def rewrite(self, environ: dict[str, Any], fields: list[tuple[str, str]]) -> None:
        """Have environ say what trusted proxies say. `fields` are the request's; for one that has a dropped field."""
        told = self._collect(fields)
        peer, port = environ["REMOTE_ADDR"], environ["REMOTE_PORT"]
        if not told or not self._is_trusted(environ, peer, told):
            return
        claims = self._read(told)
        for name in self._passed:
            if name in told:
                environ[_key(name)] = told[name]
        if claims.client is not None:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = claims.client
            connected = environ.get("greenserve.peer", (peer, port))  # behind a PROXY header it is there
            environ["greenserve.peer"] = Peer(connected[0], connected[1], *claims.client)
        _apply(environ, claims)

    def client_of(
        self, base: Mapping[str, Any], fields: list[tuple[str, str]], peer: str, port: str
    ) -> tuple[str, str]:
        """Address and port of the client of a request that gets no environ; for the log."""
        told = self._collect(fields)
        if not told or not self._is_trusted(base, peer, told):
            return peer, port
        return self._read(told).client or (peer, port)

    def _collect(self, fields: list[tuple[str, str]]) -> dict[str, str]:
        """The proxy's fields, by their names in small letters."""
        told: dict[str, str] = {}
        known = self._proxy_fields
        for name, value in fields:
            lowered = known.get(name)
            if lowered is None:
                if name in self.keys or "_" in name or not self._is_proxy_field(name.lower()):
                    continue
                lowered = name.lower()  # too long to be remembered, or not met yet
            if lowered in told:
                # A line of Forwarded that is malformed must not swallow the next.
                told[lowered] += ("\n" if lowered == FORWARDED else ",") + value
            else:
                told[lowered] = value
        return told

    def _is_trusted(self, environ: Mapping[str, Any], peer: str, told: dict[str, str]) -> bool:
        header: ProxyHeader | None = environ.get("greenserve.proxy_protocol")
        if header is not None and not header.local and header.source is None:
            trusted = False  # relayed for somebody that we are not told of
        else:
            trusted = self._trust.trusts(peer)
        for name in told:
            if not (trusted and name in self._believed):
                self._complain(trusted, name, peer)
        return trusted

    def _complain(self, trusted: bool, name: str, peer: str) -> None:
        """Tell of what was removed, once for each name: whoever runs a proxy may have expected otherwise."""
        complaint = trusted, name
        if complaint in self._complaints or len(self._complaints) >= _MOST_COMPLAINTS:
            return
        self._complaints.add(complaint)
        if trusted:
            log.warning(
                "%s from %s is removed: if your proxy sets it itself, whatever its client sent, "
                "add it to --forwarded-headers (told once)",
                name[:_LONGEST_KEPT],
                peer or "unix",
            )
        else:
            log.info(
                "%s from %s is removed: if this is your proxy, add it to --forwarded-allow-ips (told once)",
                name[:_LONGEST_KEPT],
                peer or "unix",
            )

    def _read(self, told: dict[str, str]) -> Claims:
        known = tuple((name, text) for name, text in told.items() if name in self._believed)
        if not known:
            return _NO_CLAIMS
        claims = self._claims.get(known)
        if claims is None:
            claims = read_claims(dict(known), self._trust, self._hops)
            if sum(len(text) for _, text in known) <= _LONGEST_FIELDS:
                if len(self._claims) >= _CACHE_SIZE:
                    self._claims.clear()
                self._claims[known] = claims
        return claims


def _apply(environ: dict[str, Any], claims: Claims) -> None:
    for name, text in (claims.told or {}).items():
        environ[_key(name)] = text
    if claims.prefix is not None:
        environ["SCRIPT_NAME"] = claims.prefix + environ["SCRIPT_NAME"]
    if claims.scheme is not None:
        environ["wsgi.url_scheme"] = claims.scheme
        if claims.scheme == "https":
            environ["HTTPS"] = "on"
        else:
            environ.pop("HTTPS", None)
    host = claims.host
    if host is not None:
        try:
            check_authority(host, "X-Forwarded-Host")
        except ProtocolError:
            host = None
            environ.pop("HTTP_X_FORWARDED_HOST", None)
    if host is not None or claims.port is not None or claims.scheme is not None:
        _set_server(environ, host, claims.port)


def _set_server(environ: dict[str, Any], host: str | None, port: str | None) -> None:
    """The place that the client asked: where no port is told, that of the Host field, or the scheme's own."""
    default = _DEFAULT_PORTS[environ["wsgi.url_scheme"]]
    authority = environ.get("HTTP_HOST", "") if host is None else host
    name, colon, at = authority.rpartition(":")
    if not colon or at.endswith("]"):
        name, at = authority, ""
    if host is not None:
        environ["SERVER_NAME"] = name
        environ["HTTP_HOST"] = host
    if port is not None and name:
        environ["HTTP_HOST"] = name if port == default else f"{name}:{port}"
    environ["SERVER_PORT"] = port or at or default


def _key(lowered: str) -> str:
    key = lowered.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


# Trusts nobody: for servers and tests without proxies.
DIRECT: Final = Forwarding(Trust(()))
