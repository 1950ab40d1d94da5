"""eventlet.db_pool: pools of connections to databases, of any DB-API module (PEP 249).

TpooledConnectionPool runs the module's calls in OS threads, for modules in C that know nothing of green threads;
RawConnectionPool runs them as they are. Invariant: a connection is in the pool, or in use by one green thread, or
closed; its age and idle time are looked at whenever one comes back, and by a timer while some are idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from greenserve_eventlet.pooling.pools import Pool
from greenserve_hub import Timeout, get_hub, spawn_n, threads
from greenserve_hub.osthreads.proxies import Proxy
from greenserve_hub.unpatched import time

__all__ = [
    "BaseConnectionPool",
    "ConnectTimeout",
    "ConnectionPool",
    "DatabaseConnector",
    "GenericConnectionWrapper",
    "PooledConnectionWrapper",
    "RawConnectionPool",
    "TpooledConnectionPool",
    "cleanup_rollback",
]

_MISSING: Any = object()


class ConnectTimeout(Exception):
    """The database did not take a connection within connect_timeout."""


def cleanup_rollback(conn: Any) -> None:
    """End what a connection has begun; what a pool does by default when one comes back."""
    conn.rollback()


class BaseConnectionPool:
    """A pool of connections. get() returns them wrapped: close() gives them back."""

    def __init__(
        self,
        db_module: Any,
        min_size: int = 0,
        max_size: int = 4,
        max_idle: float = 10,
        max_age: float = 30,
        connect_timeout: float = 5,
        cleanup: Callable[[Any], object] | None = cleanup_rollback,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Connections are closed after `max_idle` s without use, or `max_age` s; 0: each when it comes back.

        `cleanup(connection)` is called when one comes back; what raises there is closed. The other arguments are those
        of db_module.connect(). Switches: with `min_size`.
        """
        if not db_module:
            raise AssertionError("a connection pool needs a DB-API module")
        self._db_module = db_module
        self._args = args
        self._kwargs = kwargs
        self.max_idle = max_idle
        self.max_age = max_age
        self.connect_timeout = connect_timeout
        self.cleanup = cleanup
        self._expiration_timer: Any = None
        self._items = Pool(min_size, max_size, order_as_stack=True, create=self.create)

    def __getattr__(self, name: str) -> Any:
        """free(), waiting(), resize(), max_size and the like are those of the pool of connections."""
        if name == "_items":
            raise AttributeError(name)
        return getattr(self._items, name)

    def create(self) -> tuple[float, float, Any]:
        """Connect; return when it was used and made, by time.time(), and itself. Switches: as connect() does."""
        now = time.time()
        return now, now, self.connect(self._db_module, self.connect_timeout, *self._args, **self._kwargs)

    @classmethod
    def connect(cls, db_module: Any, connect_timeout: float, *args: Any, **kwargs: Any) -> Any:
        """Return a new connection. Raises ConnectTimeout."""
        raise NotImplementedError("use RawConnectionPool or TpooledConnectionPool")

    def get(self) -> PooledConnectionWrapper:
        """Return a connection. Switches: when all are in use, and to connect. Raises ConnectTimeout."""
        item = self._items.get()
        while item is None:  # put() had one that was of no more use
            self._items.current_size -= 1
            item = self._items.get()
        _, created, connection = item
        wrapped = PooledConnectionWrapper(connection, self)
        wrapped._db_pool_created_at = created
        return wrapped

    def put(self, conn: Any, cleanup: Any = _MISSING) -> None:
        """Give a connection back, or None for one that is lost. Switches: as `cleanup` does."""
        created = getattr(conn, "_db_pool_created_at", 0.0)
        connection = self._unwrap_connection(conn)
        now = time.time()
        if self._is_expired(now, now, created):
            self._safe_close(connection)
            connection = None
        elif connection is not None:
            connection = self._cleaned(connection, self.cleanup if cleanup is _MISSING else cleanup)
        if connection is not None:
            self._items.put((now, created, connection))
        elif self._items.waiting():
            self._items.put(None)
        else:
            self._items.current_size -= 1
        self._schedule_expiration()

    @contextmanager
    def item(self, cleanup: Any = _MISSING) -> Iterator[Any]:
        """A connection for the time of a `with` block. Switches: as get()."""
        connection = self.get()
        try:
            yield connection
        finally:
            self.put(connection, cleanup)

    def _cleaned(self, connection: Any, cleanup: Callable[[Any], object] | None) -> Any:
        """Return the connection, or None if it can't be used any more."""
        if cleanup is None:
            return connection
        try:
            cleanup(connection)
        except Exception:
            self._safe_close(connection)
            return None
        except BaseException:
            self._items.current_size -= 1
            self._safe_close(connection)
            raise
        return connection

    def _unwrap_connection(self, conn: Any) -> Any:
        base = None
        with suppress(AttributeError):
            if conn:
                base = conn._base
                conn._destroy()
        return base

    def _safe_close(self, conn: Any, quiet: bool = False) -> None:
        with suppress(Exception):  # it may be broken, or None
            conn.close()

    # Those that are idle ---------------------------------------------------------------------------------

    def _is_expired(self, now: float, last_used: float, created_at: float) -> bool:
        return (
            self.max_idle <= 0
            or self.max_age <= 0
            or now - last_used > self.max_idle
            or now - created_at > self.max_age
        )

    def _expire_old_connections(self, now: float) -> None:
        kept: deque[Any] = deque()
        expired = []
        for item in self._items.free_items:
            if item is not None and self._is_expired(now, item[0], item[1]):
                expired.append(item[2])
            else:
                kept.append(item)
        self._items.free_items = kept
        self._items.current_size -= len(expired)
        for connection in expired:
            self._safe_close(connection)

    def _schedule_expiration(self) -> None:
        """Look again when the first one expires."""
        if self._expiration_timer is not None or self.max_idle <= 0 or self.max_age <= 0:
            return
        now = time.time()
        self._expire_old_connections(now)
        known = [item for item in self._items.free_items if item is not None]
        if known:
            moments = (min(used + self.max_idle, made + self.max_age) for used, made, _ in known)
            self._expiration_timer = get_hub().call_after(max(0.0, min(moments) - now) + 0.001, self._look)

    def _look(self) -> None:
        self._expiration_timer = None
        spawn_n(
            self._schedule_expiration
        )  # close() of a connection may wait, and a callback of the hub may not

    def clear(self) -> None:
        """Close the connections that are free. Switches: as their close() does."""
        timer, self._expiration_timer = self._expiration_timer, None
        if timer is not None:
            timer.cancel()
        items, self._items.free_items = self._items.free_items, deque()
        for item in items:
            self._items.current_size -= 1
            if item is not None:
                self._safe_close(item[2])

    def __del__(self) -> None:
        """Close what is left."""
        if "_items" in self.__dict__:
            self.clear()


class TpooledConnectionPool(BaseConnectionPool):
    """Connections whose calls run in OS threads."""

    @classmethod
    def connect(cls, db_module: Any, connect_timeout: float, *args: Any, **kwargs: Any) -> Any:
        """Switches: always. Raises ConnectTimeout."""
        with Timeout(connect_timeout, ConnectTimeout()):
            connection = threads.execute(db_module.connect, *args, **kwargs)
        return Proxy(connection, autowrap_names=("cursor",))


class RawConnectionPool(BaseConnectionPool):
    """Connections as they are, of modules that wait green."""

    @classmethod
    def connect(cls, db_module: Any, connect_timeout: float, *args: Any, **kwargs: Any) -> Any:
        """Switches: as the module does. Raises ConnectTimeout."""
        with Timeout(connect_timeout, ConnectTimeout()):
            return db_module.connect(*args, **kwargs)


ConnectionPool = TpooledConnectionPool


class GenericConnectionWrapper:
    """Passes on to a connection whatever is asked of it."""

    _base: Any

    def __init__(self, baseconn: Any) -> None:
        """Wrap a connection."""
        self._base = baseconn

    def __getattr__(self, name: str) -> Any:
        """Return the connection's own attribute. AttributeError when it was given back."""
        if name == "_base":
            raise AttributeError("this connection was given back to its pool: get() another one")
        return getattr(self._base, name)

    def __enter__(self) -> Any:
        """As the connection does."""
        return self._base.__enter__()

    def __exit__(self, *error: Any) -> Any:
        """As the connection does."""
        return self._base.__exit__(*error)

    def __repr__(self) -> str:
        """As the connection does."""
        return repr(self._base)


class PooledConnectionWrapper(GenericConnectionWrapper):
    """A connection in use. close() gives it back to its pool; it is false from then on."""

    _db_pool_created_at = 0.0

    def __init__(self, baseconn: Any, pool: BaseConnectionPool) -> None:
        """Of this pool."""
        super().__init__(baseconn)
        self._pool: BaseConnectionPool | None = pool

    def __bool__(self) -> bool:
        """Return True until it is given back."""
        return "_base" in self.__dict__ and bool(self._base)

    def _destroy(self) -> None:
        self._pool = None
        self.__dict__.pop("_base", None)

    def close(self) -> None:
        """Give it back. Switches: as the pool's put()."""
        if self and self._pool is not None:
            self._pool.put(self)
        self._destroy()


class DatabaseConnector:
    """A pool for each host and database."""

    def __init__(
        self, module: Any, credentials: Mapping[str, Any], conn_pool: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """`credentials`: for each host, or "default", the arguments of connect(). `conn_pool`: the pools' class."""
        self._module = module
        self._credentials = credentials
        self._conn_pool_class = conn_pool or ConnectionPool
        self._args = args
        self._kwargs = kwargs
        self._databases: dict[tuple[str, str], BaseConnectionPool] = {}

    def credentials_for(self, host: str) -> Any:
        """Return the arguments for a host, None if there are none. Switches: never."""
        return self._credentials.get(host, self._credentials.get("default"))

    def get(self, host: str, dbname: str) -> BaseConnectionPool:
        """Return the pool of a database. Switches: never."""
        key = (host, dbname)
        if key not in self._databases:
            settings = {**self._kwargs, "db": dbname, "host": host, **(self.credentials_for(host) or {})}
            self._databases[key] = self._conn_pool_class(self._module, *self._args, **settings)
        return self._databases[key]
