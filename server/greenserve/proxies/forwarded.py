"""What trusted proxies say of a request: `X-Forwarded-*` or RFC 7239's `Forwarded`, from fields to one Claims.

Sans-IO: the caller knows that the peer is trusted, which fields it sets itself, and what becomes of the answer.

A chain is read from its right end, where the nearest proxy writes: each address that is a proxy's of ours says that
what stands left of it was written by that proxy; the first other one is the client, and what stands left of that is
whatever the client has claimed. With a count of hops, it is so many proxies that have written, whatever their
addresses. At an entry that is no address the chain ends: the client is then nobody, and not the last proxy, whose
address might open doors.

Invariant: nothing is taken that only the client can have written, and the cost is linear in the length of the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from greenserve.proxies.addresses import is_port, parse_node
from greenserve.proxies.elements import parse_elements
from greenserve.proxies.trust import Trust

FORWARDED: Final = "forwarded"
FOR, PROTO, HOST, PORT, PREFIX = X_FIELDS = (
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
)

_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_NOBODY: Final = ("", "")
# RFC 3986 §3.3: segments of pchar, without the comma, which parts the members of a list.
_PREFIX: Final = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+;=:@]|%[0-9A-Fa-f]{2})+)+/?", re.ASCII)
_UNSAFE_IN_PATH: Final = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(?:/|\Z)")


@dataclass(frozen=True, slots=True)
class Claims:
    """What is believed; None where nothing is told, or nothing that is well formed."""

    client: tuple[str, str] | None = None  # address and port, each "" where it is not known
    scheme: str | None = None  # http or https
    host: str | None = None  # as a Host field; its grammar is the caller's to check
    port: str | None = None
    prefix: str | None = None  # percent-decoded, latin-1 as PEP 3333 has it; "" or begins with a slash
    told: Mapping[str, str] | None = None  # by field: as much of its text as is believed


def read_claims(fields: Mapping[str, str], trust: Trust, hops: int = 0) -> Claims:
    """What fields of a trusted peer tell, `fields` being those that are believed: `forwarded`, or X_FIELDS.

    Names are in small letters; several fields of a name are joined by commas, but those of `forwarded` by newlines,
    since one that is malformed must not swallow its neighbour. `hops` is 0 to go by addresses.
    """
    if FORWARDED in fields:
        return _read_forwarded(fields[FORWARDED], trust, hops)
    client = None
    told = {}
    count = hops or 1
    if chain := _members(fields.get(FOR, "")):
        count, client = _find_client(chain, trust, hops)
        told[FOR] = ", ".join([chain[-count] if client[0] else "unknown", *chain[len(chain) - count + 1 :]])

    def member(name: str) -> str:
        # That of the hop which has seen the client, or the first: not all proxies add to these lists.
        members = _members(fields.get(name, ""))
        return members[-min(count, len(members))] if members else ""

    scheme = _SCHEMES.get(member(PROTO).lower())
    host = member(HOST) or None
    port = member(PORT)
    prefix = _clean_prefix(member(PREFIX))
    believed = {PROTO: scheme, HOST: host, PORT: port if _is_tcp_port(port) else None, PREFIX: prefix}
    told.update({name: value for name, value in believed.items() if value is not None})
    return Claims(client, scheme, host, believed[PORT], prefix, told)


def _members(text: str) -> list[str]:
    """RFC 9110 §5.6.1: empty members count for nothing."""
    return [member for part in text.split(",") if (member := part.strip(" \t"))]


def _find_client(chain: list[str], trust: Trust, hops: int) -> tuple[int, tuple[str, str]]:
    """How many members from the right are believed, and the client, which the last of these is."""
    client = _NOBODY
    for count, text in enumerate(reversed(chain), 1):
        node = parse_node(text, bare_v6=True)
        if node is None:
            return count, _NOBODY
        client = node
        if count == hops or (not hops and not trust.is_hop(node[0])):
            return count, client
    return len(chain), client


def _read_forwarded(text: str, trust: Trust, hops: int) -> Claims:
    elements = [element for line in text.split("\n") for element in parse_elements(line)]
    client: tuple[str, str] | None = None
    scheme = host = None
    believed: list[str] = []
    for element in reversed(elements):
        if not element.well_formed:
            client = _NOBODY
            believed.append("for=unknown")
            break
        believed.append(element.text)
        # The hop nearest to the client knows best what the client has asked.
        scheme = _SCHEMES.get((element.get("proto") or "").lower()) or scheme
        host = element.get("host") or host
        node = element.get("for")
        if node is None:
            break  # it does not tell: the client is who is known already
        client = parse_node(node, bare_v6=False) or _NOBODY  # RFC 7239 §6.2, §6.3: unknown, _hidden
        if client is _NOBODY or len(believed) == hops or (not hops and not trust.is_hop(client[0])):
            break
    told = {FORWARDED: ", ".join(reversed(believed))} if believed else {}
    return Claims(client, scheme, host, None, None, told)


def _is_tcp_port(text: str) -> bool:
    return is_port(text) and text != "0"


def _clean_prefix(text: str) -> str | None:
    """A prefix that can stand before a path without changing what a browser makes of it; None for any other."""
    if text == "/":
        return ""
    if not _PREFIX.fullmatch(text):
        return None
    path = unquote_to_bytes(text).decode("latin-1")
    # Looked at once more: %2F makes slashes, %5C what browsers take for one, %2e%2e the way up.
    return None if _UNSAFE_IN_PATH.search(path) else path.removesuffix("/")
