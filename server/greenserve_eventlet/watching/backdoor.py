"""eventlet.backdoor: greenserve's backdoor, with eventlet's greeting and calls that do not wait."""

from __future__ import annotations

import code
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

import greenserve_hub
from greenserve_hub import spawn_n

# Scripts that talk to a backdoor wait for the words of Python's own console.
_BANNER: Final = (
    f"Python {sys.version} on {sys.platform}\n"
    'Type "help", "copyright", "credits" or "license" for more information.\n'
    f"({code.InteractiveConsole.__name__})\n"
)


def backdoor_server(
    sock: socket.socket, locals: Mapping[str, Any] | None = None, allow_remote: bool = False
) -> None:
    """Serve a backdoor on a listening socket. Switches: always.

    HubError if other machines could connect, unless `allow_remote`: see greenserve.backdoor_server.
    """
    greenserve_hub.backdoor_server(sock, locals, allow_remote, _BANNER)


def backdoor(conn_info: tuple[socket.socket, Any], locals: Mapping[str, Any] | None = None) -> None:
    """Serve one connection in a new green thread, and return at once, as eventlet's does. Switches: never."""
    sock = conn_info[0].dup()  # the caller's accept loop closes its own
    spawn_n(greenserve_hub.backdoor, (sock, conn_info[1]), locals, _BANNER)


__all__ = ["backdoor", "backdoor_server"]
