"""Compression: takes one of a client's offers of permessage-deflate, with its parameters (RFC 7692 §5.1, §7.1).

Called by accepting.py. Offers are in the client's order of preference. One is passed over for the next if it asks for
what can't be done, or has a parameter that is unknown, doubled or invalid (§5.1, §7.1). zlib has no raw window of 8
bits (asked for 8 it uses 9), so an offer that insists on 8 is passed over too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from greenserve.websocket.framing.deflate import MEMORY_LEVEL, Deflate
from greenserve.websocket.handshake.offers import Offer

_NAME: Final = "permessage-deflate"
_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_SERVER_BITS: Final = "server_max_window_bits"
_CLIENT_BITS: Final = "client_max_window_bits"
_BITS: Final = re.compile(r"9|1[0-5]")  # no leading zeros (§7.1.2.1)
_ANY: Final = 15


@dataclass(frozen=True, slots=True)
class Compression:
    """How we compress: what a socket's zlib may take, and whether messages may refer to those before them."""

    window_bits: int = 12  # 9 to 15, both ways where the client lets us say so
    memory_level: int = MEMORY_LEVEL  # 1 to 9, of the compressor
    context_takeover: bool = (
        True  # False: nothing is kept between messages, at the price of worse compression
    )

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that zlib would not take."""
        if not 9 <= self.window_bits <= 15:
            raise ValueError(f"window_bits={self.window_bits}: a window has 9 to 15 bits (RFC 7692 §7.1.2)")
        if not 1 <= self.memory_level <= 9:
            raise ValueError(f"memory_level={self.memory_level}: zlib has the levels 1 to 9")

    def choose(self, offers: list[Offer]) -> tuple[Deflate, str] | None:
        """Take the first acceptable offer. Return what is agreed on and the field that says so; or None."""
        for name, parameters in offers:
            if name == _NAME and (wanted := _read(parameters)) is not None:
                return self._accept(wanted)
        return None

    def _accept(self, wanted: dict[str, int]) -> tuple[Deflate, str]:
        server_bits = min(self.window_bits, wanted.get(_SERVER_BITS, _ANY))
        # Only a client that says it knows the parameter may be told to use less than 15 bits (§7.1.2.2).
        client_bits = min(self.window_bits, wanted[_CLIENT_BITS]) if _CLIENT_BITS in wanted else _ANY
        forgets = {flag: flag in wanted or not self.context_takeover for flag in _FLAGS}
        answer = [_NAME, *(flag for flag in _FLAGS if forgets[flag])]
        if _SERVER_BITS in wanted:
            answer.append(f"{_SERVER_BITS}={server_bits}")
        if _CLIENT_BITS in wanted:
            answer.append(f"{_CLIENT_BITS}={client_bits}")
        deflate = Deflate(
            client_no_context_takeover=forgets["client_no_context_takeover"],
            client_max_window_bits=client_bits,
            server_no_context_takeover=forgets["server_no_context_takeover"],
            server_max_window_bits=server_bits,
            memory_level=self.memory_level,
        )
        return deflate, "; ".join(answer)


def _read(parameters: list[tuple[str, str | None]]) -> dict[str, int] | None:
    """Return an offer's parameters, each with its number of bits if it has one; None if it can't be accepted."""
    wanted: dict[str, int] = {}
    for name, value in parameters:
        if name in wanted:
            return None
        if value is None and (name in _FLAGS or name == _CLIENT_BITS):
            wanted[name] = _ANY
        elif value is not None and name in (_SERVER_BITS, _CLIENT_BITS) and _BITS.fullmatch(value):
            wanted[name] = int(value)
        else:
            return None
    return wanted
