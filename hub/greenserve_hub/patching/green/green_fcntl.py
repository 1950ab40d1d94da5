"""fcntl and termios for a patched program: file locks, and waits until a terminal has sent its output."""

from __future__ import annotations

from typing import Any

from greenserve_hub.greenio import file_locks
from greenserve_hub.greenio.green_numbers import green_socket
from greenserve_hub.loop.current import find_hub
from greenserve_hub.osthreads.thread_pools import waiting
from greenserve_hub.patching.green.green_select import fileno_of
from greenserve_hub.unpatched import fcntl as native
from greenserve_hub.unpatched import os, termios


def fcntl(fd: Any, cmd: int, arg: Any = 0, /) -> Any:
    """Like fcntl.fcntl; O_NONBLOCK of a green socket is the mode of its settimeout().

    Switches: while another holds the lock that it asks for.
    """
    sock = green_socket(fileno_of(fd)) if cmd in (native.F_GETFL, native.F_SETFL) else None
    if sock is None:
        return file_locks.fcntl(fd, cmd, arg)
    if cmd == native.F_GETFL:
        flags: int = native.fcntl(fd, cmd)
        return flags & ~os.O_NONBLOCK if sock.gettimeout() is None else flags
    result = native.fcntl(fd, cmd, arg | os.O_NONBLOCK)
    if bool(arg & os.O_NONBLOCK) == (sock.gettimeout() is None):
        sock.setblocking(not arg & os.O_NONBLOCK)
    return result


def tcdrain(fd: Any, /) -> None:
    """Like termios.tcdrain. Switches: until the output is sent."""
    if find_hub() is None:
        termios.tcdrain(fd)
    else:
        waiting.execute(termios.tcdrain, fd)


def tcsendbreak(fd: Any, duration: int, /) -> None:
    """Like termios.tcsendbreak. Switches: until it is sent."""
    if find_hub() is None:
        termios.tcsendbreak(fd, duration)
    else:
        waiting.execute(termios.tcsendbreak, fd, duration)


def tcsetattr(fd: Any, when: int, attributes: list[Any], /) -> None:
    """Like termios.tcsetattr. Switches: until the output is sent, if `when` asks for that."""
    if find_hub() is None or when == termios.TCSANOW:
        termios.tcsetattr(fd, when, attributes)
    else:
        waiting.execute(termios.tcsetattr, fd, when, attributes)


REPLACED: dict[str, dict[str, Any]] = {
    "fcntl": {"fcntl": fcntl, "flock": file_locks.flock, "lockf": file_locks.lockf},
    "termios": {"tcdrain": tcdrain, "tcsendbreak": tcsendbreak, "tcsetattr": tcsetattr},
}
