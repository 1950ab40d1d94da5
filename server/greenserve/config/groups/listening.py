"""Settings: the addresses and sockets that a server listens on. Part of Config, in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["ListeningSettings"]

LISTEN = "Listening"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class ListeningSettings:
    """The addresses and sockets that a server listens on."""

    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",),
        kinds.binds(),
        group=LISTEN,
        help="address to listen on; may be given several times; port 0 takes a free port",
        flags=("-b",),
    )
    backlog: int = setting(
        2048,
        kinds.count(),
        group=LISTEN,
        help="maximum number of connections that the kernel queues until they are accepted",
        protects="a burst of new connections being refused; the kernel caps the queue at net.core.somaxconn",
        precedent="gunicorn, uvicorn 2048",
    )
    reuse_port: bool = setting(
        False,
        kinds.boolean(),
        group=LISTEN,
        help="share the port with other processes (SO_REUSEPORT)",
    )
    socket_mode: int = setting(
        0o660,
        kinds.mode(),
        group=LISTEN,
        help="file mode of a unix socket; the umask is not changed",
        protects="other users of the machine reaching a unix socket without the proxy",
        precedent="php-fpm 0660, uvicorn 0666",
    )
