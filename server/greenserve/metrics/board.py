"""Board: rows of named numbers in memory that several processes share.

The master makes one before it forks and gives each worker a row. The memory says by itself which names it holds, so
that a newer version of the program can take over the board of an older one.

Facts: struct.pack_into writes byte by byte, and another process reads a half-written number, often 0; an item of a
memoryview of 8-byte integers is one store. Two processes that add to one cell lose additions. Consequence: numbers are
written by memoryview only, and each cell has one writer at a time.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Final, Self

__all__ = ["Board", "Row"]

_CELL: Final = 8  # bytes
LARGEST: Final = 2**64 - 1


class Board:
    """Rows of unsigned 64-bit numbers, all 0 at first. The names are the columns."""

    def __init__(self, names: Sequence[str], rows: int) -> None:
        """Make a board. Its `fd` is not inherited by programs: see os.set_inheritable(). Raises OSError."""
        header = json.dumps({"names": list(names), "rows": rows}).encode()
        start = -(-(_CELL + len(header)) // _CELL) * _CELL
        fd = _unnamed_file()
        try:
            os.truncate(fd, start + rows * len(names) * _CELL)
            os.pwrite(fd, len(header).to_bytes(_CELL, "little") + header, 0)
            self._map(fd)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, fd: int) -> Self:
        """Take over the board of another program, and its descriptor. ValueError if it is none, OSError."""
        board = object.__new__(cls)
        board._map(fd)
        return board

    def _map(self, fd: int) -> None:
        self.fd = fd
        length = int.from_bytes(os.pread(fd, _CELL, 0), "little")
        size = os.fstat(fd).st_size
        if not 0 < length <= size - _CELL:
            raise ValueError("this file holds no board")
        header = json.loads(os.pread(fd, length, _CELL))
        self.names: tuple[str, ...] = tuple(header["names"])
        self.rows: int = header["rows"]
        start = -(-(_CELL + length) // _CELL) * _CELL
        if size < start + self.rows * len(self.names) * _CELL:
            raise ValueError("this file holds a part of a board")
        self._columns: Mapping[str, int] = {name: index for index, name in enumerate(self.names)}
        self._memory = mmap.mmap(fd, size)
        self._cells = memoryview(self._memory)[start:].cast("Q")

    def row(self, index: int) -> Row:
        """Return a row, 0 to rows - 1. IndexError."""
        if not 0 <= index < self.rows:
            raise IndexError(f"the board has {self.rows} rows, no row {index}")
        width = len(self.names)
        return Row(self._cells[index * width : (index + 1) * width], self._columns)

    def close(self) -> None:
        """Close its descriptor, and give the memory back as soon as no Row is left."""
        self._cells.release()
        with contextlib.suppress(BufferError):  # a Row is left, which holds it
            self._memory.close()
        os.close(self.fd)


class Row:
    """One row of a Board, written by one process at a time."""

    __slots__ = ("_cells", "_columns")

    def __init__(self, cells: memoryview, columns: Mapping[str, int]) -> None:
        """Board.row() makes it."""
        self._cells = cells
        self._columns = columns

    def __getitem__(self, name: str) -> int:
        """Return a number. KeyError for a name that the board does not have."""
        return self._cells[self._columns[name]]

    def __setitem__(self, name: str, value: int) -> None:
        """Set a number, 0 to LARGEST. KeyError; ValueError."""
        self._cells[self._columns[name]] = value

    def values(self) -> dict[str, int]:
        """Return all numbers by name. Each is whole; another process may write between two of them."""
        return dict(zip(self._columns, self._cells.tolist(), strict=True))

    def clear(self) -> None:
        """Set all numbers to 0."""
        for index in range(len(self._cells)):
            self._cells[index] = 0


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("greenserve-board")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
