"""wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").

An iterable over a file's blocks. A Response sends the file with sendfile(2) instead if it has a descriptor. Below a
middleware, or called by the app itself, it is an ordinary iterable.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from typing import Any


class FileWrapper:
    """The rest of a file, from its current position. Closes the file with the response."""

    def __init__(self, file: Any, block_size: int = 64 * 1024) -> None:
        """`file` needs read(); with fileno() and tell() the kernel can send it. `block_size` is in bytes."""
        self.file = file
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        """Return itself: frameworks that serve a range keep only the iterator, and close it."""
        return self

    def __next__(self) -> bytes:
        """The next block, until read() returns an empty one."""
        block: bytes = self.file.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def seekable(self) -> bool:
        """Return True if a range can be read without the part before it; Werkzeug asks."""
        seekable = getattr(self.file, "seekable", None)
        return seekable is not None and bool(seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As the file's."""
        place: int = self.file.seek(offset, whence)
        return place

    def tell(self) -> int:
        """As the file's."""
        place: int = self.file.tell()
        return place

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.file, "close", None)
        if close is not None:
            close()

    def region(self) -> tuple[int, int, int] | None:
        """(descriptor, offset, count) in bytes for sendfile, or None if it is not a regular file with a known size."""
        try:
            fd: int = self.file.fileno()
            offset: int = self.file.tell()
            status = os.fstat(fd)
        except (AttributeError, OSError, ValueError):
            return None
        # A text or decompressing file has a descriptor too, but other content than the descriptor's file.
        if not stat.S_ISREG(status.st_mode) or type(self.file).__module__ not in ("_io", "io"):
            return None
        if "b" not in getattr(self.file, "mode", ""):
            return None
        if not status.st_blocks and status.st_size <= mmap.PAGESIZE:
            return None  # sysfs reports one page for files whose real length shows only when they are read
        return fd, offset, max(0, status.st_size - offset)
