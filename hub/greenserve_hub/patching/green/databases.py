"""Database drivers in C that must be configured to let other green threads run.

psycopg2 calls a callback to wait (psycopg2.extensions.set_wait_callback). psycopg 3 waits in C unless it gets one of
its own functions that wait with `selectors`. MySQLdb has no such option: its calls run in OS threads. Drivers in Python
(PyMySQL, pg8000, redis-py) need nothing.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from greenserve_hub.greenio.selecting import wait_any
from greenserve_hub.loop.current import find_hub
from greenserve_hub.osthreads.proxies import Proxy
from greenserve_hub.osthreads.threads import execute
from greenserve_hub.patching.stdlib.import_hooks import when_imported
from greenserve_hub.unpatched import select


def patch_psycopg() -> None:
    """Configure psycopg 3 and psycopg2 when they are imported. Switches: never."""
    when_imported("psycopg.waiting", _psycopg3)
    when_imported("psycopg2.extensions", _psycopg2)


def _psycopg3(waiting: ModuleType) -> None:
    waiting.wait = waiting.wait_selector  # type: ignore[attr-defined]


def _psycopg2(extensions: Any) -> None:
    def wait(connection: Any) -> None:
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            if state not in (extensions.POLL_READ, extensions.POLL_WRITE):
                raise extensions.OperationalError(f"poll() returned {state!r}")
            mask = select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
            hub = find_hub()
            if hub is None:
                poller = select.poll()
                poller.register(connection.fileno(), mask)
                poller.poll()
            else:
                wait_any(hub, {connection.fileno(): mask}, None)

    extensions.set_wait_callback(wait)


def patch_mysqldb() -> None:
    """Run the calls of MySQLdb in OS threads, when it is imported. Switches: never."""
    when_imported("MySQLdb", _mysqldb)


def _mysqldb(module: Any) -> None:
    connect = module.connect

    def connect_in_thread(*args: Any, **kwargs: Any) -> Any:
        return Proxy(execute(connect, *args, **kwargs), autowrap_names=("cursor",))

    module.connect = module.Connect = connect_in_thread
