"""The standard modules before monkey patching, for the runtime and the server themselves.

These are copies of the modules' names, made when greenserve_hub is imported. monkey_patch() belongs to that package, so
it cannot have run before. A hub that called a patched poll() would wait for itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

LOADED_BEFORE: Final = frozenset(sys.modules)  # when greenserve_hub was imported

if TYPE_CHECKING:
    import _thread
    import fcntl
    import io
    import os
    import select
    import signal
    import socket
    import termios
    import time
else:

    def _copy(name: str) -> ModuleType:
        module = import_module(name)
        twin = ModuleType(name, module.__doc__)
        twin.__dict__.update(vars(module))
        return twin

    for _name in ("_thread", "fcntl", "io", "os", "select", "signal", "socket", "termios", "time"):
        setattr(sys.modules[__name__], _name, _copy(_name))

__all__ = [
    "LOADED_BEFORE",
    "_thread",
    "fcntl",
    "io",
    "os",
    "select",
    "signal",
    "socket",
    "termios",
    "time",
]
