"""Developing: what a worker does more with `reload`.

It tells which files it has loaded, and serves a page in place of an app that can't be loaded.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from greenserve.config.places import is_installed, is_standard
from greenserve.errors import AppImportError
from greenserve.process.reloading.error_page import ErrorPage
from greenserve.wsgi import WSGIApplication

__all__ = ["Developing"]

log = logging.getLogger("greenserve.error")


class Developing:
    """One worker's app while it is being written. In the worker, before the app is loaded."""

    def __init__(self) -> None:
        """What is loaded by now is of the master, and a new worker would load it no more."""
        self._before = frozenset(sys.modules)
        self._path = frozenset(sys.path)
        self._since = time.time()
        self._page: ErrorPage | None = None
        self._count = 0
        self._at_fault: set[str] = set()

    def load(self, load: Callable[[], WSGIApplication]) -> WSGIApplication:
        """Return the app, or a page that says why there is none."""
        try:
            return load()
        except AppImportError as error:
            log.error(
                "%s%s. Requests get a page that says so, until a file is saved that mends it",
                error.details,
                error,
            )
            self._page = ErrorPage(error)
            self._at_fault = set(self._page.files)
            return self._page

    def news(self) -> dict[str, Any] | None:
        """Return what the watcher is to be told, None if it knows all. Cheap if there is nothing new."""
        if len(sys.modules) == self._count:
            return None
        self._count = len(sys.modules)
        files = {*_files_of(self._before), *self._at_fault}
        if self._page is not None:  # a package may be missing that is installed now
            files |= {folder for folder in sys.path if is_installed(folder)}
        added = [os.path.abspath(folder) for folder in sys.path if folder not in self._path]
        trees = [folder for folder in added if os.path.isdir(folder) and not is_installed(folder)]
        lenient = self._page is not None
        return {"trees": trees, "files": sorted(files), "since": self._since, "lenient": lenient}

    def end(self) -> None:
        """The worker is to end: pages that wait for that are told."""
        if self._page is not None:
            self._page.end()


def _files_of(before: frozenset[str]) -> Iterator[str]:
    for name, module in tuple(sys.modules.items()):
        path = getattr(module, "__dict__", {}).get("__file__") if name not in before else None
        if not isinstance(path, str):
            continue
        path = os.path.abspath(path)
        if is_standard(path):
            continue
        while not os.path.exists(path) and os.path.dirname(path) != path:  # inside an archive
            path = os.path.dirname(path)
        if os.path.isfile(path):
            yield path
