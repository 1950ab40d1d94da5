"""A port for a program that has to be told one."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port below the ephemeral range, so that no client connection can sit on it before the server does."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
