"""eventlet.greenio.py3: green pipes and other files."""

from __future__ import annotations

import os
from io import DEFAULT_BUFFER_SIZE
from socket import SocketIO as _fileobject  # eventlet's name
from typing import Any

from greenserve_eventlet.greenio.base import SOCKET_BLOCKING, set_nonblocking
from greenserve_hub.greenio.files import GreenFileIO, open_pipe

__all__ = [
    "DEFAULT_BUFFER_SIZE",
    "SOCKET_BLOCKING",
    "GreenFileIO",
    "GreenPipe",
    "_fileobject",
    "set_nonblocking",
]


def GreenPipe(  # eventlet's name
    name: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """Like open(), for pipes too: reads and writes wait green. `name` may be a file, which is then closed.

    A regular file is opened as usual: the kernel never lets one wait. Switches: when it is a FIFO that nobody else has
    opened.
    """
    if hasattr(name, "fileno"):
        descriptor = os.dup(name.fileno())
        name.close()
        name = descriptor
    return open_pipe(name, mode, buffering, encoding, errors, newline, closefd, opener)
