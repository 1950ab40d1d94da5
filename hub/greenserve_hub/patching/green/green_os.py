"""os for a patched program: descriptors by number, and waits for children and for file locks."""

from __future__ import annotations

from typing import Any

from greenserve_hub.greenio import children, file_locks, files, transfers
from greenserve_hub.greenio.green_numbers import green_socket
from greenserve_hub.loop.current import find_hub
from greenserve_hub.osthreads.thread_pools import waiting
from greenserve_hub.unpatched import os


def fdopen(
    fd: int, mode: str = "r", buffering: int = -1, encoding: str | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Like os.fdopen. Switches: never."""
    if not isinstance(fd, int):
        raise TypeError(f"invalid fd type ({type(fd)}, expected integer)")
    return files.open_pipe(fd, mode, buffering, encoding, *args, **kwargs)


def system(command: Any) -> int:
    """Like os.system. Switches: until the command has ended."""
    return waiting.execute(os.system, command)


def get_blocking(fd: int, /) -> bool:
    """Like os.get_blocking; for a green socket the mode of its settimeout(). Switches: never."""
    sock = green_socket(fd)
    return os.get_blocking(fd) if sock is None else sock.gettimeout() is None


def set_blocking(fd: int, blocking: bool, /) -> None:
    """Like os.set_blocking; for a green socket like its setblocking(). Switches: never."""
    sock = green_socket(fd)
    if sock is None:
        os.set_blocking(fd, blocking)
    else:
        sock.setblocking(bool(blocking))


def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Like os.dup2. A green thread that waits on `fd2` then waits on its new file. Switches: never."""
    hub = find_hub()
    descriptor = None if hub is None or fd == fd2 else hub.descriptors.get(fd2)
    if descriptor is None:
        return os.dup2(fd, fd2, inheritable)
    with descriptor.given_away():
        number = os.dup2(fd, fd2, inheritable)
        if green_socket(fd2) is not None:
            os.set_blocking(fd2, False)
        return number


REPLACED: dict[str, dict[str, Any]] = {
    "os": {
        "dup2": dup2,
        "eventfd_read": transfers.eventfd_read,
        "eventfd_write": transfers.eventfd_write,
        "fdopen": fdopen,
        "get_blocking": get_blocking,
        "lockf": file_locks.os_lockf,
        "open": files.open_descriptor,
        "preadv": transfers.preadv,
        "pwritev": transfers.pwritev,
        "read": transfers.read,
        "readinto": transfers.readinto,
        "readv": transfers.readv,
        "sendfile": transfers.sendfile,
        "set_blocking": set_blocking,
        "splice": transfers.splice,
        "system": system,
        "wait": children.wait,
        "wait3": children.wait3,
        "wait4": children.wait4,
        "waitid": children.waitid,
        "waitpid": children.waitpid,
        "write": transfers.write,
        "writev": transfers.writev,
    }
}
