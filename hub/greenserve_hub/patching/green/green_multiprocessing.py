"""multiprocessing for a patched program: its waits in C become green.

Its semaphores are in process_locks.py, and its pipes, children and sentinels use os and select. Here are the rest:
functions that keep a native one as a default argument, and open() of the pipe with the instructions for a new process,
which blocks its caller until that process has read it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from greenserve_hub.greenio import files
from greenserve_hub.patching.stdlib.import_hooks import when_imported
from greenserve_hub.patching.stdlib.versions import OPENS_PIPES_OF_CHILDREN, registries_of, use_in_connections

REPLACED: dict[str, dict[str, Any]] = {}
EXISTING: dict[type, Any] = {}  # type of an existing object: what replaces it
if hasattr(import_module("_multiprocessing"), "SemLock"):  # not where the system has no named semaphores
    from greenserve_hub.patching.locks.process_locks import NativeSemLock, SemLock

    SemLock.__module__ = "_multiprocessing"
    REPLACED["_multiprocessing"] = {"SemLock": SemLock}
    EXISTING[NativeSemLock] = SemLock.over


def follow_imports(twin_of: Callable[[Any], Any]) -> None:
    """Change the package's modules, now or when they are imported. Switches: never.

    `twin_of` returns the green replacement of a patched object.
    """
    when_imported("multiprocessing.connection", _read_and_write_green)
    when_imported("multiprocessing.managers", lambda managers: _make_green(managers, twin_of))
    for name in OPENS_PIPES_OF_CHILDREN:
        when_imported(name, _open_green)


def _read_and_write_green(connection: ModuleType) -> None:
    use_in_connections(connection, files.read, files.write)


def _make_green(managers: ModuleType, twin_of: Callable[[Any], Any]) -> None:
    for registry in registries_of(managers):
        for name, (make, *rest) in tuple(registry.items()):
            registry[name] = (twin_of(make), *rest)


def _open_green(module: ModuleType) -> None:
    vars(module)["open"] = files.open_pipe
