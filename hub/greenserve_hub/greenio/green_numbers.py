"""Which green socket has a descriptor's number: for calls that are given the number alone (os.read, fcntl).

Facts: a green socket never blocks in the kernel, whatever mode its settimeout() says. Consequence: who asks the kernel
about its number is told of a non-blocking descriptor, and gets EAGAIN where an ordinary socket would have waited.
Decision: calls by number ask here, and wait where that socket would.

Invariant: nothing is kept alive, and a number that another has by now is nobody's.
"""

from __future__ import annotations

import socket
from weakref import ref

_sockets: dict[int, ref[socket.socket]] = {}  # by number; as many as there ever were at once


def note(sock: socket.socket) -> None:
    """Remember a new green socket. Switches: never."""
    _sockets[sock.fileno()] = ref(sock)


def green_socket(fd: int) -> socket.socket | None:
    """Return the green socket that has this number, if one has. Switches: never."""
    found = _sockets.get(fd)
    sock = None if found is None else found()
    return sock if sock is not None and sock.fileno() == fd else None


def waits_for_ever(fd: int) -> bool:
    """Return True if it is a green socket's, in blocking mode without a timeout. Switches: never."""
    sock = green_socket(fd)
    # With a timeout the standard's own sockets do not block in the kernel either.
    return sock is not None and sock.gettimeout() is None
