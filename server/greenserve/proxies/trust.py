"""Who is trusted to speak for others: addresses, networks, `unix`, `*`.

Made once from a setting. Knows no socket: a peer is the text of its address, "" at the far end of a unix socket.

Two questions are asked, and `*` answers only the first. Whoever connects may tell for whom it does: `trusts`. An
address in a chain that others wrote is a proxy's, so the client is further away: `is_hop`. Would `*` answer that too,
each client could name any address as its own. The same holds for a network that is every address.
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
    """What a list of addresses says of a peer."""

    __slots__ = ("_answers", "_everyone", "_networks", "_unix")

    def __init__(self, items: Iterable[str]) -> None:
        """`items` as canonical_peer gives them."""
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
        """Whether a peer may speak for others."""
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
        )  # the kernel tells a link-local peer's interface with it
        return address is not None and any(address in network for network in self._networks)

    def is_hop(self, address: str) -> bool:
        """Whether an address that a trusted peer told is a proxy's of ours."""
        parsed = parse_address(address)
        return parsed is not None and any(
            parsed in network for network in self._networks if network.prefixlen
        )


def canonical_peer(text: str) -> str:
    """The one spelling of an address, a network, `unix` or `*`. Raises ValueError, which says what to write instead."""
    text = text.strip()
    if text.lower() in (EVERYONE, UNIX):
        return text.lower()
    if "%" in text:
        raise ValueError(f"{text!r}: leave the zone away: {text.partition('%')[0]}")
    if text[:1] == "[" or ("." in text and text.count(":") == 1):
        raise ValueError(f"{text!r}: an address alone is meant, without brackets or port")
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
