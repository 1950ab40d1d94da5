"""Marks: by which a file is known again, and the files of a folder's tree.

Facts: editors save in place, by a rename over the file, or by deleting it first; `touch`, chmod and a checkout of the
same content change a file's times alone; rsync keeps them. Decision: the times, the size and the inode say when to read
a file, its content says whether it is another one. Cost: each watched file is read once at the start.

Standard library only: the watcher's process knows neither hub nor server.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

__all__ = ["MOST_FOLDERS", "Mark", "Tree", "mark_of", "tree_of"]

MOST_FOLDERS: Final = 5000  # of one tree: more are no project, but a home folder or `/`
_LONGEST: Final = 16 << 20  # bytes of a file that is read; of a longer one the times decide
_TRIES: Final = 5
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A file at one moment."""

    times: tuple[int, ...]  # and size and inode: if they are the same, so is the file
    content: bytes  # a digest; of a folder nothing
    changed: float  # seconds since the epoch


def mark_of(path: str, known: Mark | None) -> Mark | None:
    """Return the mark of a file or folder, which is `known` itself if nothing has touched it; None if it is gone."""
    for _ in range(_TRIES):
        try:
            before = _stat(path)
            if known is not None and known.times == before[0]:
                return known
            content = b"" if before[2] else _digest(path, before[0])
            if _stat(path)[0] == before[0]:  # else it was being written
                break
        except OSError:
            return None
    return Mark(before[0], content, before[1])


def _stat(path: str) -> tuple[tuple[int, ...], float, bool]:
    found = os.stat(path)
    times = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    return times, found.st_mtime, stat.S_ISDIR(found.st_mode)


def _digest(path: str, times: tuple[int, ...]) -> bytes:
    if times[2] > _LONGEST:
        return repr(times).encode()
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO has nothing to read, and must not hold it up
    with open(os.open(path, flags), "rb") as file:
        return blake2b(
            file.read(_LONGEST + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
        ).digest()


@dataclass(frozen=True, slots=True)
class Tree:
    """What a folder holds."""

    folders: list[str]
    files: list[str]
    is_whole: bool  # False if it has more than MOST_FOLDERS folders, and the deepest ones were left out


def tree_of(top: str, suffix: str, most: int = MOST_FOLDERS) -> Tree:
    """Return the folders below `top` and the files that end in `suffix`: no hidden ones, environments or caches."""
    tree = Tree([], [], True)
    level = [top]
    while level:
        deeper: list[str] = []
        for folder in level:
            if len(tree.folders) >= most:
                return Tree(tree.folders, tree.files, False)
            tree.folders.append(folder)
            deeper += _read(folder, suffix, tree.files)
        level = deeper
    return tree


def _read(folder: str, suffix: str, files: list[str]) -> Iterator[str]:
    """Add the files of one folder, and yield its folders."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in _SKIPPED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                        yield entry.path
                elif entry.name.endswith(suffix):
                    files.append(entry.path)
    except OSError:  # gone, or not readable
        return
