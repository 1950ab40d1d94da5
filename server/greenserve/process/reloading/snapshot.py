"""Snapshot: the watched files as the app was started with them, and which of them are others now.

Knows files, but neither events nor time: the watcher says when to look. The invariant: what differs is told until
accept(), so nothing is lost between two looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from greenserve.process.reloading.marks import Mark, Tree, mark_of, tree_of

__all__ = ["Snapshot"]

_COARSE = 0.02  # seconds by which the time of a file may lag behind the clock


class Snapshot:
    """The trees of some folders and single files besides."""

    def __init__(self) -> None:
        """Nothing is watched."""
        self.folders: frozenset[str] = frozenset()  # in which something may change
        self.too_large: set[str] = set()  # trees of which a part only is watched
        self._trees: dict[str, str] = {}  # the suffix of their files
        self._files: set[str] = set()
        self._marks: dict[str, Mark | None] = {}
        self._now: dict[str, Mark | None] = {}
        self._altered: set[str] = set()  # changed before they were known here

    def add(self, trees: dict[str, str], files: Iterable[str], since: float) -> None:
        """Watch more: the files with a suffix in trees, and single ones, which may be folders or not exist yet.

        What is new here and was changed after `since` (seconds since the epoch) counts as changed: the app may have
        read it before.
        """
        self._trees |= trees
        self._files.update(files)
        for path in self._paths():
            if path not in self._marks:
                self._marks[path] = mark = mark_of(path, None)
                if mark is not None and mark.changed >= since - _COARSE and not os.path.isdir(path):
                    self._altered.add(path)

    def _paths(self) -> set[str]:
        found, folders = set(self._files), {os.path.dirname(path) for path in self._files}
        for top, suffix in self._trees.items():
            tree: Tree = tree_of(top, suffix)
            folders.update(tree.folders)
            found.update(tree.files)
            if not tree.is_whole:
                self.too_large.add(top)
        self.folders = frozenset(folder for folder in folders if os.path.isdir(folder))
        return found

    def changes(self, lenient: bool = False) -> dict[str, Mark | None]:
        """Return what differs, with its mark of now, None if it is gone. `lenient`: new times are a difference too."""
        self._now = {}
        differing: dict[str, Mark | None] = {}
        for path in self._paths() | self._marks.keys():
            before = self._marks.get(path)
            now = self._now[path] = mark_of(path, before)
            if path in self._altered or _differ(before, now, lenient):
                differing[path] = now
            else:
                self._marks[path] = now  # not to be read again
        return differing

    def accept(self) -> None:
        """The app is started anew, with what the last look saw."""
        self._marks = {
            path: mark for path, mark in self._now.items() if mark is not None or path in self._files
        }
        self._altered.clear()


def _differ(before: Mark | None, now: Mark | None, lenient: bool) -> bool:
    if before is None or now is None or lenient:
        return before != now
    return before.content != now.content
