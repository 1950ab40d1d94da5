"""os for a patched program: reading and writing pipes, and waiting for children."""

from __future__ import annotations

from typing import Any

from greenserve_hub import children, files
from greenserve_hub.natives import os
from greenserve_hub.thread_pools import shared


def fdopen(
    fd: int, mode: str = "r", buffering: int = -1, encoding: str | None = None, *rest: Any, **more: Any
) -> Any:
    """As os.fdopen. Switches: never."""
    if not isinstance(fd, int):
        raise TypeError(f"invalid fd type ({type(fd)}, expected integer)")
    return files.open_pipe(fd, mode, buffering, encoding, *rest, **more)


def readinto(fd: int, buffer: Any, /) -> int:
    """As os.readinto of Python 3.14. Switches: when nothing is there."""
    with memoryview(buffer) as view, view.cast("B") as room:
        data = files.read(fd, len(room))
        room[: len(data)] = data
    return len(data)


def system(command: Any) -> int:
    """As os.system. Switches: until the command has ended."""
    return shared.execute(os.system, command)


REPLACED: dict[str, dict[str, Any]] = {
    "os": {
        "fdopen": fdopen,
        "read": files.read,
        "readinto": readinto,
        "system": system,
        "wait": children.wait,
        "wait3": children.wait3,
        "wait4": children.wait4,
        "waitid": children.waitid,
        "waitpid": children.waitpid,
        "write": files.write,
    }
}
