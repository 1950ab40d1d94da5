"""Trusted proxy headers: which are believed, and how they change environ.

One Forwarding for each server. environ.py asks it for the keys of field names. A field that only a proxy may set has no
key, so a request without such fields costs nothing; a request with them comes here. proxies/ knows what the fields
mean.

Invariant: such a field is in environ only if a trusted peer sent it and the settings say that the peer sets it itself,
and only the believed part of it. An app may rely on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from greenserve.caches import remember
from greenserve.errors import ProtocolError
from greenserve.http1 import check_authority
from greenserve.logs.record import REQUEST_ID, TRACE_ID
from greenserve.logs.throttled import Once
from greenserve.proxies import (
    FORWARDED,
    TRACEPARENT,
    X_FIELDS,
    Claims,
    ProxyHeader,
    Trust,
    is_request_id,
    parse_traceparent,
    read_claims,
)

log = logging.getLogger("greenserve.error")

_LONGEST_KEPT: Final = 64  # characters of a name
_LONGEST_FIELDS: Final = 256  # characters of all fields whose change is remembered
_MOST_COMPLAINTS: Final = 32
_DROPPED: Final = ""
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

# Fields with which a proxy tells the client's identity, its connection or its request; a client could forge them.
_PREFIXES: Final = ("x-forwarded-", "x-ssl-client-", "ssl-client-")
_NAMES: Final = frozenset(
    {
        *("forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "client-ip", "x-cluster-client-ip"),
        *("true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-original-forwarded-for"),
        *("x-scheme", "x-url-scheme", "front-end-https", "x-original-host"),
        *("x-script-name", "x-original-url", "x-rewrite-url"),
        *("remote-user", "x-remote-user", "client-cert", "client-cert-chain"),
        *("x-client-cert", "x-client-verify"),
    }
)


# HTTP_PROXY is a setting of the process environment (httpoxy). The app reads a decoded body, which it must not decode
# again (RFC 9112 §7.1.3). _take_ids gives traceparent its key.
_KEYLESS: Final = ("proxy", "transfer-encoding", TRACEPARENT)


def is_of_proxies(name: str) -> bool:
    """Return True if proxies set the field `name` to tell about their clients."""
    lowered = name.lower()
    return lowered in _NAMES or (lowered.startswith(_PREFIXES) and "_" not in name)


class Peer(NamedTuple):
    """environ["greenserve.peer"]: the connected peer, if REMOTE_ADDR is another; its address is "" on a unix socket."""

    address: str
    port: str
    client: str  # REMOTE_ADDR as it was set, for the access log: an app may change its environ
    client_port: str


class _Change:
    """The change of environ for a set of fields: worked out once, applied to each request with the same fields."""

    __slots__ = ("client", "is_plain", "updates")

    def __init__(self, claims: Claims, passed: Mapping[str, str], scheme: str, authority: str | None) -> None:
        """`passed` goes to the app unchanged; `scheme` and `authority` are those of environ without proxies."""
        self.client = claims.client
        self.is_plain = claims.scheme == "http"
        self.updates = updates = {_key(name): text for name, text in passed.items()}
        updates.update({_key(name): text for name, text in (claims.told or {}).items()})
        if claims.client is not None:
            updates["REMOTE_ADDR"], updates["REMOTE_PORT"] = claims.client
        if claims.prefix is not None:
            updates["SCRIPT_NAME"] = claims.prefix
        if claims.scheme is not None:
            updates["wsgi.url_scheme"] = scheme = claims.scheme
            if scheme == "https":
                updates["HTTPS"] = "on"
        host = claims.host
        if host is not None:
            try:
                check_authority(host, "X-Forwarded-Host")
            except ProtocolError:
                host = None
                updates.pop("HTTP_X_FORWARDED_HOST", None)
        if host is not None or claims.port is not None or claims.scheme is not None:
            _set_server(updates, scheme, authority, host, claims.port)


class Forwarding:
    """Knows which fields only a proxy may set, and applies the believed ones."""

    __slots__ = (
        "_believed",
        "_changes",
        "_complaints",
        "_hops",
        "_passes_all",
        "_request_id",
        "_trust",
        "keys",
    )

    def __init__(
        self,
        trust: Trust,
        believed: Iterable[str] = (),
        hops: int = 0,
        request_id: str = "",
        *,
        passes_all: bool = False,
    ) -> None:
        """`believed`: the fields that trusted peers set themselves, in lower case. `hops`: see read_claims.

        `request_id`: the field in which they give a request's id; "" for none. `passes_all`: for apps that judge
        themselves which peer may set these fields: all of them are in environ as they came, and change nothing.
        """
        self._passes_all = passes_all
        self._trust = trust
        self._believed = frozenset(believed)
        self._hops = hops
        self._request_id = request_id.lower()
        self.keys: dict[str, str] = {}  # from a field's name, as spelled, to its key in environ
        self._changes: dict[tuple[object, ...], _Change] = {}
        self._complaints = Once(_MOST_COMPLAINTS)

    def key_of(self, name: str) -> str:
        """The key of a field's name, "" if it has none. For names that are not in `keys`."""
        lowered = name.lower()
        # X_Forwarded_For would become the key of X-Forwarded-For.
        is_dropped = self._is_a_proxys(name) or "_" in name or lowered in _KEYLESS
        key = _DROPPED if is_dropped else _key(lowered)
        if len(name) <= _LONGEST_KEPT:
            remember(self.keys, name, key)
        return key

    def _is_a_proxys(self, name: str) -> bool:
        if self._passes_all:
            return False
        lowered = name.lower()
        return is_of_proxies(name) or lowered in self._believed or lowered == self._request_id

    def rewrite(self, environ: dict[str, Any], fields: list[tuple[str, str]]) -> None:
        """Apply what trusted proxies tell to environ. `fields` are the request's fields without a key."""
        peer, port = environ["REMOTE_ADDR"], environ["REMOTE_PORT"]
        is_trusted = self._is_trusted(environ, peer)
        fields = self._take_ids(environ, fields, is_trusted)
        if not is_trusted:
            self._complain(False, self._told_by_proxies(fields), peer)
            return
        scheme, authority = environ["wsgi.url_scheme"], environ.get("HTTP_HOST")
        known = scheme, authority, *fields
        change = self._changes.get(known)
        if change is None:
            told = self._told_by_proxies(fields)
            self._complain(True, told, peer)
            change = _Change(*self._claims(told), scheme, authority)
            size = len(authority or "") + sum(len(name) + len(value) for name, value in fields)
            if size <= _LONGEST_FIELDS:
                remember(self._changes, known, change)
        environ.update(change.updates)
        if change.is_plain:
            environ.pop("HTTPS", None)
        if change.client is not None:
            connected = environ.get(
                "greenserve.peer", (peer, port)
            )  # after a PROXY header it is there already
            environ["greenserve.peer"] = Peer(connected[0], connected[1], *change.client)

    def _take_ids(
        self, environ: dict[str, Any], fields: list[tuple[str, str]], is_trusted: bool
    ) -> list[tuple[str, str]]:
        """Put the ids of a request and its trace into environ, and return the other fields.

        They are other ones for each request: what they do to environ is not worth remembering.
        """
        rest = []
        found: dict[str, str] = {}
        for field in fields:
            lowered = field[0].lower()
            if lowered == TRACEPARENT or (is_trusted and lowered == self._request_id):
                # Two of them are none: a list has no meaning here, and none of its forms is an id.
                found[lowered] = f"{found[lowered]}, {field[1]}" if lowered in found else field[1]
            else:
                rest.append(field)
        if (trace := found.get(TRACEPARENT)) is not None:
            environ["HTTP_TRACEPARENT"] = trace  # as it came: a library of the app has its own rules
            if (parent := parse_traceparent(trace)) is not None:
                environ[TRACE_ID], environ["greenserve.parent_id"] = parent.trace_id, parent.parent_id
        known = found.get(self._request_id, "")
        if is_request_id(known):
            environ[REQUEST_ID] = environ[_key(self._request_id)] = known
        return rest

    def request_id_of(self, base: Mapping[str, Any], fields: list[tuple[str, str]], peer: str) -> str:
        """Return the id of a request without an environ, if a trusted proxy gave one; else ""."""
        name = self._request_id
        told = [value for one, value in fields if one.lower() == name] if name else []
        is_believed = len(told) == 1 and is_request_id(told[0]) and self._is_trusted(base, peer)
        return told[0] if is_believed else ""

    def client_of(
        self, base: Mapping[str, Any], fields: list[tuple[str, str]], peer: str, port: str
    ) -> tuple[str, str]:
        """The address and port of the client of a request without an environ; for the log."""
        told = self._told_by_proxies(fields)
        if not told or not self._is_trusted(base, peer):
            return peer, port
        return self._claims(told)[0].client or (peer, port)

    def _told_by_proxies(self, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The fields that only a proxy may set."""
        keys = self.keys
        # A name with a key is not a proxy's. One without may be, or is unknown, or is dropped for another reason.
        return [field for field in fields if not keys.get(field[0]) and self._is_a_proxys(field[0])]

    def _is_trusted(self, environ: Mapping[str, Any], peer: str) -> bool:
        header: ProxyHeader | None = environ.get("greenserve.proxy_protocol")
        if header is not None and not header.local and header.source is None:
            return False  # relayed for an unknown client
        return self._trust.trusts(peer)

    def _claims(self, told: list[tuple[str, str]]) -> tuple[Claims, dict[str, str]]:
        """The claims that are believed, and the believed fields that mean nothing to the server, for the app."""
        heard: dict[str, str] = {}
        for name, value in told:
            lowered = name.lower()
            if lowered in heard:
                # A malformed line of Forwarded must not swallow the next one.
                heard[lowered] += ("\n" if lowered == FORWARDED else ",") + value
            elif lowered in self._believed:
                heard[lowered] = value
        passed = {name: text for name, text in heard.items() if name != FORWARDED and name not in X_FIELDS}
        return read_claims(heard, self._trust, self._hops), passed

    def _complain(self, trusted: bool, told: list[tuple[str, str]], peer: str) -> None:
        """Log which fields are removed, once for each name, for an operator whose proxy sets them."""
        for name, _ in told:
            lowered = name.lower()
            if (trusted and lowered in self._believed) or not self._complaints.admit((trusted, name)):
                continue
            if trusted:
                log.warning(
                    "%s from %s is removed: if your proxy always sets it itself, whatever the client sent, "
                    "add it to --forwarded-headers (logged once)",
                    lowered[:_LONGEST_KEPT],
                    peer or "unix",
                )
            else:
                log.info(
                    "%s from %s is removed: if this is your proxy, add it to --forwarded-allow-ips (logged once)",
                    lowered[:_LONGEST_KEPT],
                    peer or "unix",
                )


def _set_server(
    updates: dict[str, str], scheme: str, authority: str | None, host: str | None, port: str | None
) -> None:
    """Set name and port of the server: a port that is not told is that of the Host field, or the scheme's."""
    default = _DEFAULT_PORTS[scheme]
    asked = host or authority or ""
    name, colon, at = asked.rpartition(":")
    if not colon or at.endswith("]"):
        name, at = asked, ""
    if host is not None:
        updates["SERVER_NAME"] = name
        updates["HTTP_HOST"] = host
    if port is not None and name:
        updates["HTTP_HOST"] = name if port == default else f"{name}:{port}"
    updates["SERVER_PORT"] = port or at or default


def _key(lowered: str) -> str:
    key = lowered.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


# Trusts no peer: for servers and tests without proxies.
DIRECT: Final = Forwarding(Trust(()))
