"""The settings of the registry that say where a server listens. Part of Config: see settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["ListeningSettings"]

LISTEN = "Where it listens"


@dataclass(frozen=True, kw_only=True)
class ListeningSettings:
    """Where a server listens."""

    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",),
        kinds.binds(),
        group=LISTEN,
        help="address to listen at, may be given several times; port 0 takes a free port",
        flags=("-b",),
    )
    backlog: int = setting(
        2048,
        kinds.count(),
        group=LISTEN,
        help="connections that the kernel holds before they are accepted",
        protects="a burst of new connections being refused; the kernel caps it at net.core.somaxconn",
        precedent="gunicorn, uvicorn 2048",
    )
    reuse_port: bool = setting(
        False,
        kinds.boolean(),
        group=LISTEN,
        help="let several processes listen at one port (SO_REUSEPORT)",
    )
    socket_mode: int = setting(
        0o660,
        kinds.mode(),
        group=LISTEN,
        help="mode of a unix socket's file; the umask is left alone",
        protects="other users of the machine talking to a unix socket past the proxy",
        precedent="php-fpm 0660, uvicorn 0666",
    )
