"""greenserve's settings for wsgi.server. What eventlet does not limit is off.

Programs set eventlet's variables and keywords to any number. One that greenserve refuses becomes the nearest one that
it takes.
"""

from __future__ import annotations

import http.client
from typing import Any, Final

from greenserve.config.values.values import LARGEST, LONGEST, SHORTEST

MANY: Final = 1_000_000
_HEAD_TIME: Final = 10.0  # seconds; no honest client needs longer for a head
_LEAST: Final = 16  # bytes


def limits(line: int, field: int, head: int) -> dict[str, Any]:
    """Return limits in bytes, of the request line, of a field and of all fields, and of what else is counted."""
    line, head = _size(line), _size(head)
    return {
        "limit_queue": MANY,  # more requests wait, as they do for a GreenPool
        "limit_connections_per_ip": 0,
        "limit_request_body": 0,
        "chunked_bodies": "stream",
        "limit_request_line": line,
        "limit_request_field_size": min(_size(field), head),
        "limit_request_head": max(line, head),  # which has the request line in it, as eventlet's has not
        "limit_request_fields": int(http.client._MAXHEADERS),  # type: ignore[attr-defined]  # programs set it
    }


def times(socket_timeout: float, keepalive: float | bool) -> dict[str, Any]:
    """Return timeouts in seconds. `socket_timeout` is for each wait for a client, 0 for none."""
    seconds = _seconds(socket_timeout)
    settings: dict[str, Any] = {
        "queue_timeout": 0,
        "request_timeout": 0,
        "body_timeout": seconds,
        "send_timeout": seconds,
        "body_min_rate": 0,
        "send_min_rate": 0,
    }
    if seconds:
        settings["head_timeout"] = min(seconds, _HEAD_TIME)
    if keepalive is not True:
        settings["keep_alive"] = _seconds(float(keepalive))
    return settings


def _seconds(value: float) -> float:
    return min(max(value, SHORTEST), LONGEST) if value else 0.0


def _size(value: int) -> int:
    return min(max(int(value), _LEAST), LARGEST)
