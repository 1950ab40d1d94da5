"""What trusted proxies tell about a request: from the fields `X-Forwarded-*` or `Forwarded` (RFC 7239) to one Claims.

Sans-IO: the caller knows that the peer is trusted, which fields that peer sets itself, and how to use the result.

A chain is read from its right end, where the nearest proxy writes. If an address is that of a trusted proxy, this proxy
has written the entry left of it. The first other address is the client; entries left of it are the client's own claims.
With a count of hops, that many proxies have written, at any addresses. An entry that is not an address ends the chain:
the client is unknown then. It must not be the last proxy, whose address may have rights.

Invariant: no text that only the client can have written is believed, and the cost is linear in the fields' length.
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
# RFC 3986 §3.3: segments of pchar, without the comma, which separates the members of a list.
_PREFIX: Final = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+;=:@]|%[0-9A-Fa-f]{2})+)+/?", re.ASCII)
_UNSAFE_IN_PATH: Final = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(?:/|\Z)")


@dataclass(frozen=True, slots=True)
class Claims:
    """The believed values; None for one that is missing or malformed."""

    client: tuple[str, str] | None = None  # address and port, each "" if it is unknown
    scheme: str | None = None  # http or https
    host: str | None = None  # as in a Host field; the caller checks its grammar
    port: str | None = None
    prefix: str | None = None  # percent-decoded, latin-1 as PEP 3333 has it; "" or begins with a slash
    told: Mapping[str, str] | None = None  # by field: the believed part of its text


def read_claims(fields: Mapping[str, str], trust: Trust, hops: int = 0) -> Claims:
    """Read the believed `fields` of a trusted peer: `forwarded`, or X_FIELDS.

    Names are in lower case. Repeated fields are joined by commas, but those of `forwarded` by newlines, since a
    malformed one must not swallow the next. `hops` is the number of proxies, 0 to recognise them by their addresses.
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
        # The member that the proxy next to the client wrote, or the first one: not all proxies add to these lists.
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
    """The members of a list; empty ones are skipped (RFC 9110 §5.6.1)."""
    return [member for part in text.split(",") if (member := part.strip(" \t"))]


def _find_client(chain: list[str], trust: Trust, hops: int) -> tuple[int, tuple[str, str]]:
    """Return the number of believed members, from the right, and the client, which is the last of them."""
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
        # The proxy nearest to the client knows the client's request best.
        scheme = _SCHEMES.get((element.get("proto") or "").lower()) or scheme
        host = element.get("host") or host
        node = element.get("for")
        if node is None:
            break  # it names no client: the one that is known already stays
        client = parse_node(node, bare_v6=False) or _NOBODY  # RFC 7239 §6.2, §6.3: unknown, _hidden
        if client is _NOBODY or len(believed) == hops or (not hops and not trust.is_hop(client[0])):
            break
    told = {FORWARDED: ", ".join(reversed(believed))} if believed else {}
    return Claims(client, scheme, host, None, None, told)


def _is_tcp_port(text: str) -> bool:
    return is_port(text) and text != "0"


def _clean_prefix(text: str) -> str | None:
    """A prefix that is safe before a path: a browser reads the result as a path. None for any other prefix."""
    if text == "/":
        return ""
    if not _PREFIX.fullmatch(text):
        return None
    path = unquote_to_bytes(text).decode("latin-1")
    # Checked again: %2F becomes a slash, %5C a backslash that browsers read as a slash, %2e%2e the parent.
    return None if _UNSAFE_IN_PATH.search(path) else path.removesuffix("/")
