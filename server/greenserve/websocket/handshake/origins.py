"""The check of Origin: only the pages of allowed sites may open a WebSocket here (RFC 6455 §4.2.2, §10.2).

A browser lets every page open a WebSocket to any site, and sends the site's cookies with it: without this check a page
that a user visits could talk to us in the user's name (cross-site WebSocket hijacking). A client that is not a browser
sends no Origin, and could send any; it is let in, as it has no cookies but its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from greenserve.websocket.handshake.refusals import HandshakeError

# One of these, or a list: "same", the page's host and port are those of the request; "*", any; an origin; "null", of a
# file say. Or a function that decides, by the Origin or None and the environ.
Origins: TypeAlias = str | Sequence[str] | Callable[[str | None, Mapping[str, Any]], bool]

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+\-.]*+)://([^/?#@:\[\]\s,*]++|\[[0-9a-f:.]++\])(?::([0-9]{1,5}))?"
)
_HOST: Final = re.compile(r"([^:\[\]]++|\[[0-9a-f:.]++\])(?::([0-9]{0,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def check_origin(environ: Mapping[str, Any], origins: Origins) -> None:
    """Raise HandshakeError (403) if `origins` does not allow the page that asks."""
    origin = environ.get("HTTP_ORIGIN")
    if callable(origins):
        allowed = origins(origin, environ)
        hint = "the app's own check refused it"
    else:
        entries = {_canonical(one) for one in ([origins] if isinstance(origins, str) else origins)}
        allowed = (
            origin is None
            or "*" in entries
            or ("same" in entries and _is_same(origin, environ))
            or _canonical(origin) in entries - {"same"}
        )
        hint = "another site, which must be listed (ws_origins, origins=[...])"
    if not allowed:
        raise HandshakeError(403, f"Origin {(origin or 'absent')[:100]!a}: {hint} (RFC 6455 §10.2)")


def _is_same(origin: str, environ: Mapping[str, Any]) -> bool:
    page = _ORIGIN.fullmatch(origin.lower())
    host = _HOST.fullmatch(environ.get("HTTP_HOST", "").lower())
    if page is None or host is None:
        return False  # "null" among others: a sandboxed frame, or a file
    scheme, name, port = page.groups()
    # Browsers leave out the port that is the scheme's own. Behind a proxy that ends TLS ours says less than theirs.
    default = _DEFAULT_PORTS.get(scheme, "")
    ours = "443" if environ.get("wsgi.url_scheme") == "https" else default
    return (name, port or default) == (host[1], host[2] or ours)


def _canonical(origin: str) -> str:
    origin = origin.lower()
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return origin
    scheme, _, port = match.groups()
    return origin.removesuffix(f":{port}") if port and port == _DEFAULT_PORTS.get(scheme) else origin
