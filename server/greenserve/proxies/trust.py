"""The peers that are trusted to name their clients: addresses, networks, `unix`, `*`.

Made once from a setting. Knows no socket: a peer is the text of its address, "" for the other end of a unix socket.

It answers two questions, and `*` counts only for the first. `trusts`: may a connected peer name its client? `is_hop`:
is an address in a chain that of a trusted proxy, so that the client is further left? If `*` counted for this too, each
client could claim any address as its own. The same is true of a network that contains every address.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from greenserve.caches import remember
from greenserve.proxies.addresses import parse_address

EVERYONE = "*"
UNIX = "unix"

_MAPPED = IPv6Network("::ffff:0:0/96")


class Trust:
    """A list of trusted peers."""

    __slots__ = ("_answers", "_everyone", "_networks", "_unix")

    def __init__(self, items: Iterable[str]) -> None:
        """`items` as canonical_peer returns them."""
        self._networks: list[IPv4Network | IPv6Network] = []
        self._everyone = self._unix = False
        self._answers: dict[str, bool] = {}
        for item in items:
            if item == EVERYONE:
                self._everyone = True
            elif item == UNIX:
                self._unix = True
            else:
                self._networks.append(ip_network(item))

    def trusts(self, peer: str) -> bool:
        """Return True if a connected peer may name its client."""
        answer = self._answers.get(peer)
        if answer is None:
            answer = remember(self._answers, peer, self._look(peer))
        return answer

    def _look(self, peer: str) -> bool:
        if self._everyone:
            return True
        if not peer:
            return self._unix
        address = parse_address(
            peer.partition("%")[0]
        )  # a link-local peer's address comes with its interface
        return address is not None and any(address in network for network in self._networks)

    def is_hop(self, address: str) -> bool:
        """Return True if an address in a chain is that of a trusted proxy."""
        parsed = parse_address(address)
        return parsed is not None and any(
            parsed in network for network in self._networks if network.prefixlen
        )


def canonical_peer(text: str) -> str:
    """The canonical spelling of an address, a network, `unix` or `*`. Raises ValueError, with the correct form."""
    text = text.strip()
    if text.lower() in (EVERYONE, UNIX):
        return text.lower()
    if "%" in text:
        raise ValueError(f"{text!r}: omit the zone: {text.partition('%')[0]}")
    if text[:1] == "[" or ("." in text and text.count(":") == 1):
        raise ValueError(f"{text!r}: write the address alone, without brackets or port")
    address, slash, length = text.partition("/")
    try:
        network = ip_network(text)
    except ValueError:
        if parse_address(address) is None:
            raise ValueError(f"{text!r} is not an address, a network such as 10.0.0.0/8, unix or *") from None
        if not slash or not (length.isascii() and length.isdigit()):
            raise ValueError(f"{text!r}: a network is written ADDRESS/BITS") from None
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r}: /{length} is more bits than an address has") from None
        raise ValueError(f"{text!r} has bits set behind its /{length}; did you mean {meant}?") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        network = IPv4Network((int(mapped or 0), network.prefixlen - 96))
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
