"""pyOpenSSL's SSL if it is installed, else classes with the names of its exceptions, for `except` clauses."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

_NAMES = ("WantReadError", "WantWriteError", "ZeroReturnError", "SysCallError")

SSL: Any
try:
    SSL = import_module("OpenSSL.SSL")
except ImportError:
    SSL = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in _NAMES})

__all__ = ["SSL"]
