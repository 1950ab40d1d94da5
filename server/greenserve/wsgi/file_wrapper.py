"""wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").

An iterable over a file's blocks, which an Exchange may hand to sendfile(2) instead where the file has a
descriptor. It decides nothing itself: used by hand, or below a middleware, it is an ordinary iterable.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from typing import Any


class FileWrapper:
    """The rest of a file, from where it stands. Closes the file with the answer."""

    def __init__(self, file: Any, block_size: int = 64 * 1024) -> None:
        """`file` needs read(); with fileno() and tell() the kernel can send it. `block_size` in bytes."""
        self.file = file
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        """It is its own iterator: frameworks that serve a range of it keep only that, and close it."""
        return self

    def __next__(self) -> bytes:
        """The next block, until read() gives none."""
        block: bytes = self.file.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def seekable(self) -> bool:
        """Whether a range can be had without reading what is before it; Werkzeug asks."""
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
        """(descriptor, offset, count) for sendfile, or None where this is no regular file whose size is known."""
        try:
            fd: int = self.file.fileno()
            offset: int = self.file.tell()
            status = os.fstat(fd)
        except (AttributeError, OSError, ValueError):
            return None
        # A text or decompressing file has a descriptor too, but its content is not the descriptor's.
        if not stat.S_ISREG(status.st_mode) or type(self.file).__module__ not in ("_io", "io"):
            return None
        if "b" not in getattr(self.file, "mode", ""):
            return None
        if not status.st_blocks and status.st_size <= mmap.PAGESIZE:
            return None  # of sysfs, which says a page of files whose length shows when they are read
        return fd, offset, max(0, status.st_size - offset)
