"""The ids that join the log lines of one request over several services: `traceparent`, and an id that a proxy gives.

Sans-IO. The invariant: an id holds characters only that mean nothing in a log, a header field or a shell's quotes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["TRACEPARENT", "TraceParent", "is_request_id", "parse_traceparent"]

TRACEPARENT: Final = "traceparent"

# W3C Trace Context §3.2.2: version, trace-id, parent-id and flags, in lower case; a later version may append to it.
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
# As proxies make them: UUIDs, ULIDs, hex, base64, and AWS's `Root=1-67891233-abcdef012345678912345678`.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}", re.ASCII)


class TraceParent(NamedTuple):
    """The position of a request in a trace."""

    trace_id: str  # 32 hex digits
    parent_id: str  # 16 hex digits, of the caller's span
    is_sampled: bool


def parse_traceparent(text: str) -> TraceParent | None:
    """Parse the field's value; None for one that has to be ignored (W3C Trace Context §3.2.2 and §4.3)."""
    match = _PARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return TraceParent(trace_id, parent_id, bool(int(flags, 16) & 1))


def is_request_id(text: str) -> bool:
    """Return True for 1 to 128 characters of which none can break a log line."""
    return _REQUEST_ID.fullmatch(text) is not None
