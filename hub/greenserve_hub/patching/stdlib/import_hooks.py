"""when_imported: calls a function when a module is imported, without importing it.

For libraries that must be configured before they let other green threads run (databases.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What it imports besides is a sixth of the start of a program. The import system asks for no class of it.
    from importlib.abc import Loader

_wanted: dict[str, Callable[[ModuleType], object]] = {}


def when_imported(name: str, fn: Callable[[ModuleType], object]) -> None:
    """Call `fn(module)` after the module is imported; now if it is already. Switches: never."""
    module = sys.modules.get(name)
    if module is not None:
        fn(module)
        return
    _wanted[name] = fn
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds what the other finders find, and wraps the loader of a wanted module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        fn = _wanted.pop(fullname, None)
        if fn is None:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, fn)  # type: ignore[assignment]  # in all but its base it is one
                return spec
        _wanted[fullname] = fn
        return None


class _Loader:
    """Wraps a loader, and calls a function after it."""

    def __init__(self, loader: Loader, fn: Callable[[ModuleType], object]) -> None:
        self._loader = loader
        self._fn = fn

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)  # get_source, is_package, get_resource_reader, …

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._fn(module)


_finder = _Finder()
