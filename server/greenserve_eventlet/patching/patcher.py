"""eventlet.patcher: greenserve's monkey patching, with eventlet's cache of copies in sys.modules."""

from __future__ import annotations

import _imp
import sys
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any, Final

import greenserve_hub
from greenserve_eventlet.greenio import GreenSocket
from greenserve_eventlet.patching.threads import know_green_threads
from greenserve_hub import is_monkey_patched, original
from greenserve_hub.patching.monkey import patch_early, use_socket_class
from greenserve_hub.patching.originals import green_modules

_GROUPS: Final = ("os", "select", "socket", "thread", "time", "psycopg", "MySQLdb", "builtins", "subprocess")
_ALSO: Final = ("signal", "multiprocessing")  # greenserve's own, on unless turned off
_NOT_COPIED: Final = {"__builtins__", "__file__", "__name__"}
# Patched programs and green copies get sockets that are eventlet's: isinstance() says so, and recv() gives b"" after a
# reset.
use_socket_class(GreenSocket)

already_patched: Final[dict[str, bool]] = {}


def monkey_patch(**on: bool) -> None:
    """Make blocking calls of the standard library green. Switches: never. TypeError for unknown groups.

    Unlike greenserve's it does not warn of modules that were imported before: they are patched too, and eventlet's
    programs are used to a call behind other imports.
    """
    assert not {"__builtin__", "builtins"} <= set(on), "one of __builtin__ and builtins, not both"
    if "__builtin__" in on:
        on["builtins"] = on.pop("__builtin__")
    for name in on:
        if name not in (*_GROUPS, *_ALSO, "all"):
            raise TypeError(f"monkey_patch() got an unexpected keyword argument {name!r}")
    patch_early(**on)
    if is_monkey_patched("thread"):
        know_green_threads(threading)
    already_patched.update({name: True for name in _GROUPS if is_monkey_patched(name)})


def inject(
    module_name: str, new_globals: dict[str, Any] | None, /, *additional_modules: tuple[str, ModuleType]
) -> ModuleType:
    """Return a copy of a module that uses green modules, or the given ones alone; and copy its names to `new_globals`.

    The same copy each time: the first call's modules count, as in eventlet. Switches: never.
    """
    key = f"__patched_module_{module_name}"
    if key in sys.modules:
        return sys.modules[key]
    if not additional_modules and module_name in green_modules():
        module = green_modules()[module_name]
    else:
        module = greenserve_hub.import_patched(module_name, *additional_modules)
    sys.modules[key] = module
    if new_globals is not None:
        new_globals.update({name: value for name, value in vars(module).items() if name not in _NOT_COPIED})
    return module


def import_patched(
    module_name: str, /, *additional_modules: tuple[str, ModuleType], **kw_additional_modules: ModuleType
) -> ModuleType:
    """Return a copy of a module that uses green modules; the same copy each time. Switches: never."""
    return inject(module_name, None, *additional_modules, *kw_additional_modules.items())


def patch_function(
    func: Callable[..., Any], /, *additional_modules: tuple[str, ModuleType]
) -> Callable[..., Any]:
    """Return a function that runs `func` while imports find green modules, or the given ones. Switches: as `func`."""
    modules = dict(additional_modules)

    @wraps(func)
    def patched(*args: Any, **kwargs: Any) -> Any:
        instead = modules or green_modules()
        saver = SysModulesSaver(instead)
        try:
            sys.modules.update(instead)
            return func(*args, **kwargs)
        finally:
            saver.restore()

    return patched


def slurp_properties(
    source: ModuleType,
    destination: dict[str, Any],
    ignore: Iterable[str] = (),
    srckeys: Iterable[str] | None = None,
) -> None:
    """Copy the names of a module, or those in `srckeys`, without dunder names and those in `ignore`."""
    left_out = set(ignore)
    names = vars(source) if srckeys is None else srckeys
    destination.update(
        {
            name: getattr(source, name)
            for name in tuple(names)
            if not (name.startswith("__") or name in left_out) and hasattr(source, name)
        }
    )


class SysModulesSaver:
    """Remembers modules of sys.modules, and holds the import lock until restore()."""

    def __init__(self, module_names: Iterable[str] = ()) -> None:
        """Remember these."""
        self._saved: dict[str, ModuleType | None] = {}
        _imp.acquire_lock()
        self.save(*module_names)

    def save(self, *module_names: str) -> None:
        """Remember these too."""
        self._saved.update({name: sys.modules.get(name) for name in module_names})

    def restore(self) -> None:
        """Put all back, and release the lock."""
        try:
            for name, module in self._saved.items():
                if module is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = module
        finally:
            _imp.release_lock()


__all__ = [
    "SysModulesSaver",
    "already_patched",
    "import_patched",
    "inject",
    "is_monkey_patched",
    "monkey_patch",
    "original",
    "patch_function",
    "slurp_properties",
]
