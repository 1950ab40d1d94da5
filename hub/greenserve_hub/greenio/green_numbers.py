"""Finds the green socket of a descriptor's number, for calls that get only the number (os.read, fcntl).

Facts: a green socket is always non-blocking in the kernel, whatever its settimeout(). Consequence: a native call by
number gets EAGAIN where an ordinary socket would wait. Decision: calls by number look here, and wait if that socket
would.

Invariant: no socket is kept alive, and a number that has another owner by now is not found.
"""

from __future__ import annotations

import socket
from weakref import ref

_sockets: dict[int, ref[socket.socket]] = {}  # by number; it grows to the highest number of open sockets


def note(sock: socket.socket) -> None:
    """Remember a new green socket. Switches: never."""
    _sockets[sock.fileno()] = ref(sock)


def green_socket(fd: int) -> socket.socket | None:
    """Return the green socket with this number, or None. Switches: never."""
    found = _sockets.get(fd)
    sock = None if found is None else found()
    return sock if sock is not None and sock.fileno() == fd else None


def waits_for_ever(fd: int) -> bool:
    """Return True for a green socket in blocking mode without a timeout. Switches: never."""
    sock = green_socket(fd)
    # With a timeout, standard sockets do not block in the kernel either.
    return sock is not None and sock.gettimeout() is None
