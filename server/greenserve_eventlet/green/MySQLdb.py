"""eventlet.green.MySQLdb: MySQLdb (mysqlclient), whose connections work in OS threads."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from greenserve_hub import threads
from greenserve_hub.osthreads.proxies import Proxy

try:
    standard: Any = import_module("MySQLdb")
    _connections: Any = import_module("MySQLdb.connections")
except ImportError as error:
    raise ImportError("eventlet.green.MySQLdb needs mysqlclient: pip install mysqlclient") from error

globals().update({name: value for name, value in vars(standard).items() if not name.startswith("__")})


def __getattr__(name: str) -> Any:
    return getattr(standard, name)  # for type checkers


def Connection(*args: Any, **kwargs: Any) -> Proxy:  # MySQLdb's name
    """Connect, and return the connection: its calls, and those of its cursors, run in OS threads. Switches: always."""
    return Proxy(threads.execute(_connections.Connection, *args, **kwargs), autowrap_names=("cursor",))


connect = Connect = Connection
connections = SimpleNamespace(**{**vars(_connections), "Connection": Connection})
cursors = import_module("MySQLdb.cursors")
converters = import_module("MySQLdb.converters")
