"""original: an unpatched copy of a module. import_patched: a green copy of a module in an unpatched program.

Both load a second copy, while sys.modules holds native, or green, copies of the modules that it imports. The caller
gets the copy, and sys.modules is restored.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from greenserve_hub.patching.monkey import places, replacements
from greenserve_hub.patching.stdlib.functions import in_place_of
from greenserve_hub.unpatched import _thread

# Modules that can be patched, each after those that it imports. Those not in _LOADED_ANEW are copied name by name:
# their functions are in C, or call functions in C.
_STANDARD = (
    "_multiprocessing",
    "_thread",
    "fcntl",
    "io",
    "os",
    "select",
    "signal",
    "termios",
    "time",
    "threading",
    "queue",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
)
_LOADED_ANEW = frozenset({"threading", "queue", "selectors", "socket", "ssl", "subprocess"})
_loading = _thread.RLock()
_native: dict[str, ModuleType] = {}
_green: dict[str, ModuleType] = {}


def original(name: str) -> ModuleType:
    """Return the module as if nothing were patched; the same copy each time. Switches: never."""
    with _loading:
        if not _native:
            _fill(
                _native, {name: names for name, names in places.natives.items() if name not in _LOADED_ANEW}
            )
        found = _native.get(name)
        if found is None:
            is_copied = (
                name in places.natives and name not in _LOADED_ANEW
            )  # builtins: cannot be loaded twice
            found = _copy(name, places.natives[name]) if is_copied else _load(name, _native)
            _native[name] = found
        return found


def import_patched(name: str, /, *also: tuple[str, ModuleType], **more: ModuleType) -> ModuleType:
    """Return a new copy of the module that uses the green standard library, patched or not. Switches: never.

    This applies to the module's own imports and to its submodules. `also` and keywords give, by name, copies of other
    modules for it to import.
    """
    with _loading:
        return _load(name, {**green_modules(), **dict(also), **more})


def green_modules() -> dict[str, ModuleType]:
    """Return by name a green copy of each module that can be patched; the same copies each time. Switches: never."""
    with _loading:
        if not _green:
            _fill(_green, replacements())
            _green["ssl"].SSLContext.sslsocket_class = import_module(
                "greenserve_hub.greenio.tls_sockets"
            ).GreenSSLSocket
        return _green


def _fill(modules: dict[str, ModuleType], names: dict[str, dict[str, Any]]) -> None:
    for name in _STANDARD:
        module = import_module(name)
        if name in _LOADED_ANEW:
            twin = _load(name, modules)
            _share_errors(twin, module)
            _put(twin, module, names.get(name, {}))
        else:
            twin = _copy(name, names.get(name, {}))
        modules[name] = twin


def _share_errors(twin: ModuleType, module: ModuleType) -> None:
    """Make the copy raise the module's own exceptions: `except queue.Full` catches those of both."""
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, BaseException):
            twin.__dict__[name] = value


def _copy(name: str, names: dict[str, Any]) -> ModuleType:
    module = import_module(name)
    twin = ModuleType(name, module.__doc__)
    twin.__dict__.update(vars(module))
    _put(twin, module, names)
    return twin


def _put(twin: ModuleType, module: ModuleType, names: dict[str, Any]) -> None:
    for key, value in names.items():
        if hasattr(module, key):
            twin.__dict__[key] = in_place_of(getattr(module, key), value, module, key)


def _load(name: str, modules: dict[str, ModuleType]) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    # It imports so much that each program would start a sixth slower; and what it imports must not get the copies.
    import_module("importlib.abc")
    module = importlib.util.module_from_spec(spec)
    with _instead({**modules, name: module}, anew=f"{name}."):
        spec.loader.exec_module(module)
    return module


def _forget(names: list[str], copies: list[ModuleType]) -> None:
    """Remove from sys.modules what was imported only for the copy, because it holds the copy's modules.

    Packages with a part in C stay, because they can be loaded only once. `copies`: the copy and its submodules.
    """
    from importlib.abc import (
        SourceLoader,
    )  # here: it imports so much that a program would start a sixth slower

    in_c = {
        name.partition(".")[0]
        for name in names
        if not isinstance(getattr(sys.modules[name], "__loader__", None), SourceLoader)
    }
    children: dict[ModuleType, dict[str, ModuleType]] = {}
    for name in names:
        if name.partition(".")[0] not in in_c:
            module = sys.modules.pop(name)
            copies.append(module)
            parent, _, child = name.rpartition(".")
            package = sys.modules.get(parent, module)
            if vars(package).get(child) is module:
                delattr(package, child)
                children.setdefault(package, {})[child] = module
    for package, found in children.items():
        _give_twin(package, found, copies)


def _give_twin(package: ModuleType, children: dict[str, ModuleType], copies: list[ModuleType]) -> None:
    # `import http.client` has bound the package, which stays and has no such child any more.
    twin = ModuleType(package.__name__, package.__doc__)
    twin.__dict__.update(vars(package) | children)
    for copy in copies:
        copy.__dict__.update({name: twin for name, value in vars(copy).items() if value is package})


@contextmanager
def _instead(modules: dict[str, ModuleType], anew: str) -> Iterator[None]:
    """In this block, imports find `modules`, and load again modules whose name begins with `anew`."""
    before = {name: sys.modules.get(name) for name in modules}
    before.update({name: module for name, module in sys.modules.items() if name.startswith(anew)})
    known = frozenset(sys.modules)
    for name in before:
        sys.modules.pop(name, None)
    sys.modules.update(modules)
    try:
        yield
    finally:
        copies = [modules[anew[:-1]]]
        copies += [sys.modules.pop(name) for name in tuple(sys.modules) if name.startswith(anew)]
        _forget([name for name in sys.modules if name not in known and name not in modules], copies)
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
