"""io.FileIO and open() for a patched program: pipes, FIFOs, terminals and devices are read and written green.

Everything else is opened as usual: open() of a regular file uses the io.FileIO in C.
"""

from __future__ import annotations

from typing import Any

from greenserve_hub.greenio.files import GreenFileIO, open_pipe
from greenserve_hub.unpatched import io

_native: type = io.FileIO


class _AsNative(type):
    """Makes the files that open() creates in C instances of FileIO too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _native) if cls is FileIO else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _native) if cls is FileIO else super().__subclasscheck__(subclass)


class FileIO(GreenFileIO, metaclass=_AsNative):  # type: ignore[metaclass]  # the one in C has none
    """Like io.FileIO."""


FileIO.__module__ = "io"  # where pickle and users find it

REPLACED: dict[str, dict[str, Any]] = {
    "io": {"FileIO": FileIO, "open": open_pipe},
    "builtins": {"open": open_pipe},
}
