"""Settings: the proxies between clients and the server, and what they are trusted with.

Part of Config, in settings.py. proxies/README.md says what they mean for a request.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.peer_kinds import field_names, peers
from greenserve.config.values.registry import setting

__all__ = ["ProxySettings"]

PROXIES = "Proxies"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class ProxySettings:
    """The proxies that are trusted, and what they are trusted with."""

    forwarded_allow_ips: tuple[str, ...] = setting(
        ("127.0.0.1", "::1", "unix"),
        peers(),
        group=PROXIES,
        help="proxies whose forwarding fields are believed; from all other peers these fields are removed",
        protects="clients that forge their address, scheme or path with X-Forwarded-*",
        precedent="gunicorn, uvicorn 127.0.0.1,::1",
    )
    forwarded_headers: tuple[str, ...] = setting(
        ("x-forwarded-for", "x-forwarded-proto"),
        field_names(),
        group=PROXIES,
        help="forwarding fields that your proxy sets itself, whatever its client sent; all other forwarding "
        "fields are removed",
        protects="a client's own field passing through a proxy that does not set it",
        precedent="waitress proto, Werkzeug's ProxyFix for and proto",
        flags=("--trusted-proxy-headers",),
    )
    forwarded_hops: int = setting(
        0,
        kinds.count(least=0, zero="proxies are recognised by their addresses"),
        group=PROXIES,
        help="number of trusted proxies that append to the fields, if you do not know their addresses",
        protects="addresses that a client has put in front of those that proxies append",
        precedent="waitress, Werkzeug's ProxyFix 1",
        flags=("--trusted-proxy-count",),
    )
    proxy_protocol: str = setting(
        "off",
        kinds.choice("off", "v1", "v2", "auto"),
        group=PROXIES,
        help="version of the PROXY header that begins every connection: off (none), v1, v2 or auto (v1 or v2)",
    )
    proxy_allow_from: tuple[str, ...] = setting(
        ("127.0.0.1", "::1", "unix"),
        peers(),
        group=PROXIES,
        help="proxies that may send a PROXY header; connections from all other peers are closed",
        protects="clients that forge their address with a PROXY header",
        precedent="gunicorn 127.0.0.1,::1",
    )
