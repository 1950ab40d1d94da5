"""Puts green objects in place of native ones, in the patched modules and in all modules that hold the same objects.

`from time import sleep` copies the function into another module, which patching `time` does not reach. So all loaded
modules are searched, and names that refer to a patched object are replaced there too. Not searched: greenserve itself,
modules in C, which hold objects for the interpreter, and debuggers, whose threads must be real OS threads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import BuiltinImporter, ExtensionFileLoader, FrozenImporter
from types import ModuleType
from typing import Any

from greenserve_hub.patching.stdlib.functions import in_place_of

_UNTOUCHED = (
    "greenserve",
    "greenserve_hub",
    "pydevd",
    "_pydevd_bundle",
    "_pydev_bundle",
    "debugpy",
    "_pytest",
)


class Places:
    """All replacements, with the native objects that were there before."""

    def __init__(self) -> None:
        """Nothing is replaced yet."""
        self.natives: dict[str, dict[str, Any]] = {}  # module → name → native object
        self._modules: dict[str, ModuleType] = {}
        self._twins: dict[int, Any] = {}

    def replace(self, module: ModuleType, names: dict[str, Any]) -> list[str]:
        """Put `names` into a module, and return the dotted names that changed."""
        natives = self.natives.setdefault(module.__name__, {})
        self._modules[module.__name__] = module
        replaced = []
        for name, green in names.items():
            native = getattr(module, name, None)
            if native is None:
                continue  # this system does not have it
            # One object may have names in several modules: threading.get_ident is _thread.get_ident.
            twin = self._twins.get(id(native)) or in_place_of(native, green, module, name)
            if native is twin:
                continue  # done before
            natives.setdefault(name, native)
            self._twins[id(native)] = twin
            setattr(module, name, twin)
            replaced.append(f"{module.__name__}.{name}")
        return replaced

    def twin_of(self, native: Any) -> Any:
        """Return the replacement of a native object, or the object itself if it has none."""
        return self._twins.get(id(native), native)

    def lost(self) -> list[str]:
        """Return the patched modules that an import does not find any more."""
        return sorted(name for name, module in self._modules.items() if sys.modules.get(name) is not module)

    def replace_on_class(self, cls: type, name: str, green: Any) -> str:
        """Set an attribute of a class, and return its dotted name."""
        setattr(cls, name, green)
        return f"{cls.__module__}.{cls.__qualname__}.{name}"

    def follow(self, except_in: Iterable[str]) -> list[str]:
        """Replace patched objects in other modules, and return the dotted names."""
        replaced = []
        for name, module in tuple(sys.modules.items()):
            if (
                not isinstance(module, ModuleType)
                or name in except_in
                or name.partition(".")[0] in _UNTOUCHED
            ):
                continue
            if name != "__main__" and not _is_in_python(module):
                continue
            for attribute, value in tuple(vars(module).items()):
                twin = self._twins.get(id(value))
                if twin is not None and value is not twin and not isinstance(value, ModuleType):
                    vars(module)[attribute] = twin
                    replaced.append(f"{name}.{attribute}")
        return replaced


def _is_in_python(module: ModuleType) -> bool:
    # From any loader: a file, with or without its source, an archive, or a frozen program.
    loader = getattr(module, "__loader__", None)
    if loader is None or loader is BuiltinImporter or loader is FrozenImporter:
        return False
    return not isinstance(loader, ExtensionFileLoader)
