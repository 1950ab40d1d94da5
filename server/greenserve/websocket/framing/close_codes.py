"""The codes of a close frame: which may be sent and received (RFC 6455 §7.4, and IANA's registry).

The registry is at https://www.iana.org/assignments/websocket/websocket.xhtml. One rule serves both directions: a
server has no use for 1010 of its own, but has to send it back to a client that closed with it (§5.5.1).
"""

from __future__ import annotations

from typing import Final

from greenserve.websocket.framing.events import NO_STATUS, PROTOCOL_ERROR, Broken, Close, not_utf8

# What the registry and §7.4.1 name. 1004, 1005, 1006 and 1015 are reserved: they never stand in a frame.
CLOSE_CODES: Final = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1007: "invalid frame payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}
_LIBRARIES: Final = range(3000, 4000)  # registered by libraries, frameworks and applications (§7.4.2)
_PRIVATE: Final = range(4000, 5000)  # for private use (§7.4.2)


def may_be_in_a_frame(code: int) -> bool:
    """Return True if a close frame may carry `code`. 1016 to 2999 are for later versions of the protocol (§7.4.2)."""
    return code in CLOSE_CODES or code in _LIBRARIES or code in _PRIVATE


def read_close(payload: bytes) -> Close:
    """Return what a close frame's payload says (§5.5.1). Raises Broken."""
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise Broken(PROTOCOL_ERROR, "close frame with half a code (RFC 6455 §5.5.1)")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_in_a_frame(code):
        raise Broken(PROTOCOL_ERROR, f"close code {code} may not be sent (RFC 6455 §7.4)")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise not_utf8("the reason of a close frame (RFC 6455 §5.5.1)") from None
