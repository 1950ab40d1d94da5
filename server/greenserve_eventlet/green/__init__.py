"""Modules of the standard library, and others, that wait green without monkey patching."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    # `eventlet.green.socket` works after `import eventlet` alone, but is made only for those who use it.
    if name[:2] == "__":
        raise AttributeError(name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"{__name__}.{name}":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        raise
