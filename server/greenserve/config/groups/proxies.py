"""The settings of the registry that say whose word is taken for others': what stands between clients and the server.

Part of Config: see settings.py. What they mean for a request is told in server/README.md, "Behind a proxy".
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.peer_kinds import field_names, peers
from greenserve.config.values.registry import setting

__all__ = ["ProxySettings"]

PROXIES = "Proxies"


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """Which proxies are trusted, and with what."""

    forwarded_allow_ips: tuple[str, ...] = setting(
        ("127.0.0.1", "::1", "unix"),
        peers(),
        group=PROXIES,
        help="proxies that may say for whom they ask; from all others such fields are removed",
        protects="clients that forge their address, scheme or path with X-Forwarded-*",
        precedent="gunicorn, uvicorn 127.0.0.1,::1",
    )
    forwarded_headers: tuple[str, ...] = setting(
        ("x-forwarded-for", "x-forwarded-proto"),
        field_names(),
        group=PROXIES,
        help="the fields that these proxies set themselves, whatever their client sent; all others of "
        "the kind are removed",
        protects="a client's own field that passes through a proxy which knows nothing of it",
        precedent="waitress proto, Werkzeug's ProxyFix for and proto",
        flags=("--trusted-proxy-headers",),
    )
    forwarded_hops: int = setting(
        0,
        kinds.count(least=0),
        group=PROXIES,
        help="how many proxies have added to the fields, where their addresses aren't known; 0 goes by addresses",
        protects="addresses that a client has written before the proxies' own",
        precedent="waitress, Werkzeug's ProxyFix 1",
        flags=("--trusted-proxy-count",),
    )
    proxy_protocol: str = setting(
        "off",
        kinds.choice("off", "v1", "v2", "auto"),
        group=PROXIES,
        help="every connection begins with a PROXY header of this version; auto: of either",
    )
    proxy_allow_from: tuple[str, ...] = setting(
        ("127.0.0.1", "::1", "unix"),
        peers(),
        group=PROXIES,
        help="proxies that may send a PROXY header; connections of all others are closed",
        protects="clients that forge their address with a PROXY header",
        precedent="gunicorn 127.0.0.1,::1",
    )
