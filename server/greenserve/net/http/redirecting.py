"""The answer of a `redirect_bind`: whatever is asked for in plain HTTP is to be had at https.

Answered from the hub, like a refusal: no app, no slot of the pool. Knows heads and makes one value of them.
"""

from __future__ import annotations

import re
from typing import Final

from greenserve.errors import ProtocolError
from greenserve.http1 import RequestHead

_PORT: Final = re.compile(r":\d*\Z", re.ASCII)
_AUTHORITY: Final = re.compile(r"[^/?#]*")


def https_location(head: RequestHead, port: int) -> str:
    """Where the same resource is with TLS, at `port`. Raises ProtocolError for a request that names no host."""
    host = _PORT.sub("", head.host or "")
    if not host:
        raise ProtocolError(400, "a redirect to https needs the Host field (RFC 9110 §7.2)")
    target = head.target
    if target[:1] != "/":
        # RFC 9112 §3.2.2 and §3.2.4: the path behind scheme and authority, which has none in `OPTIONS *`.
        target = _AUTHORITY.sub("", target.partition("://")[2], count=1)
        if target[:1] != "/":
            target = f"/{target}"
    return f"https://{host}{'' if port == 443 else f':{port}'}{target}"
