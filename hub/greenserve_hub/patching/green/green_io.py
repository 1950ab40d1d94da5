"""io.FileIO, and open(), for a patched program: pipes, FIFOs, terminals and devices are read and written green.

Everything else is opened as ever: open() of a file gives what it gave, with an io.FileIO in C below it.
"""

from __future__ import annotations

from typing import Any

from greenserve_hub.greenio.files import GreenFileIO, open_pipe
from greenserve_hub.unpatched import io

_native: type = io.FileIO


class _AsNative(type):
    """The files that open() makes in C are instances of FileIO too, as they were."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _native) if cls is FileIO else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _native) if cls is FileIO else super().__subclasscheck__(subclass)


class FileIO(GreenFileIO, metaclass=_AsNative):  # type: ignore[metaclass]  # the one in C has none
    """As io.FileIO."""


FileIO.__module__ = "io"  # where pickle and users find it

REPLACED: dict[str, dict[str, Any]] = {
    "io": {"FileIO": FileIO, "open": open_pipe},
    "builtins": {"open": open_pipe},
}
