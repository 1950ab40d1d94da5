"""Putting green things in place of native ones: in the patched modules, and in all that hold the same by name.

`from time import sleep` copies the function into a module; patching `time` doesn't reach it. So every module that is
loaded is looked through, and what is the very object that was patched is replaced there too. Not looked at: greenserve
itself, modules in C, which hold things for the interpreter, and debuggers, whose threads must be real ones.
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
    """What was there before each replacement."""

    def __init__(self) -> None:
        """Nothing replaced."""
        self.natives: dict[str, dict[str, Any]] = {}  # module → name → what was there
        self._modules: dict[str, ModuleType] = {}
        self._twins: dict[int, Any] = {}

    def replace(self, module: ModuleType, names: dict[str, Any]) -> list[str]:
        """Put these into a module; the dotted names that are new there."""
        natives = self.natives.setdefault(module.__name__, {})
        self._modules[module.__name__] = module
        replaced = []
        for name, green in names.items():
            native = getattr(module, name, None)
            if native is None:
                continue  # not on this system
            # One object may be in several modules by name: threading.get_ident is _thread's.
            twin = self._twins.get(id(native)) or in_place_of(native, green, module, name)
            if native is twin:
                continue  # done
            natives.setdefault(name, native)
            self._twins[id(native)] = twin
            setattr(module, name, twin)
            replaced.append(f"{module.__name__}.{name}")
        return replaced

    def twin_of(self, native: Any) -> Any:
        """What was put in its place; itself where that is nothing."""
        return self._twins.get(id(native), native)

    def lost(self) -> list[str]:
        """The patched modules that an import does not find any more, but another copy."""
        return sorted(name for name, module in self._modules.items() if sys.modules.get(name) is not module)

    def replace_on_class(self, cls: type, name: str, green: Any) -> str:
        """Set an attribute of a class; its dotted name."""
        setattr(cls, name, green)
        return f"{cls.__module__}.{cls.__qualname__}.{name}"

    def follow(self, except_in: Iterable[str]) -> list[str]:
        """Replace what other modules hold; the dotted names."""
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
    # Whatever has loaded it: a file, with or without its source, an archive, or what a frozen program brings.
    loader = getattr(module, "__loader__", None)
    if loader is None or loader is BuiltinImporter or loader is FrozenImporter:
        return False
    return not isinstance(loader, ExtensionFileLoader)
