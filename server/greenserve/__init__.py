"""greenserve: blocking Python, ten thousand connections.

Public names: the server (serve, run, Server, Config, wsgi_server), its errors, and the green-thread runtime
of greenserve_hub. Arrows run
one way: process → net → wsgi → http1; nothing below imports from here.
"""

import greenserve_hub
from greenserve.config import Config
from greenserve.embedding import run, serve, wsgi_server
from greenserve.errors import (
    AppError,
    AppImportError,
    BodyError,
    ConfigError,
    LimitExceeded,
    PeerGone,
    ProtocolError,
    ServeError,
)
from greenserve.net import Server
from greenserve_hub import *  # noqa: F403  # the runtime's public names are greenserve's too

__all__ = [
    "AppError",
    "AppImportError",
    "BodyError",
    "Config",
    "ConfigError",
    "LimitExceeded",
    "PeerGone",
    "ProtocolError",
    "ServeError",
    "Server",
    "run",
    "serve",
    "wsgi_server",
    *greenserve_hub.__all__,
]
