"""Handlers of the user's own: --log-config, and how both logs reach the loggers greenserve.error and greenserve.access.

Facts: a handler may wait, for a socket or a lock, and the hub logs too, which can't wait. In a process that is not
patched, such as most masters, what waits in a green thread holds the hub. Decision: records are kept and handed to the
handlers in their order, by a green thread where locks are green, else by an OS thread. Cost: a process that is killed
loses what is kept, and handlers that are slower than the server lose records, beyond MOST. A fork waits for the OS
thread, _FORK_PATIENCE at most: the child would inherit what a handler has locked.

Called by error_log.py and access_log.py.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from greenlet import GreenletExit

from greenserve.errors import ConfigError
from greenserve.logs.request_ids import ids_of
from greenserve_hub.forks import leave_in_children
from greenserve_hub.greenthreads.greenthreads import sleep, spawn_n
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.patching.monkey import is_monkey_patched
from greenserve_hub.unpatched import _thread, os, time

__all__ = [
    "LOGGING",
    "AccessLogger",
    "Handlers",
    "Relay",
    "access_logger",
    "configure_logging",
    "settle_handlers",
]

LOGGING: Final = "logging"  # as the place of a log
MOST: Final = 10_000  # records that wait for their handlers

_PATIENCE: Final = 1.0  # seconds that an end waits for handlers
_FORK_PATIENCE: Final = 0.1  # seconds
_relays: Final[WeakSet[Relay]] = WeakSet()

access_logger = logging.getLogger("greenserve.access")


def configure_logging(path: str) -> None:
    """Configure `logging` from a file: TOML or JSON for dictConfig, else ini for fileConfig; nothing for no path.

    Before the app is imported, which may add to it. Loggers that exist stay enabled, unless the file says otherwise.
    Raises ConfigError.
    """
    if not path:
        return
    # Imported late: they import socketserver, and most servers need neither.
    import tomllib
    from configparser import Error as IniError
    from logging.config import dictConfig, fileConfig

    file = Path(path)
    try:
        if file.suffix in (".toml", ".json"):
            text = file.read_text(encoding="utf-8")
            table: Any = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
            if not isinstance(table, dict):
                raise ValueError("it has no table at the top")
            dictConfig({"version": 1, "disable_existing_loggers": False, **table})
        else:
            file.open("rb").close()  # fileConfig takes a missing one for an empty one, up to Python 3.11
            fileConfig(file, disable_existing_loggers=False)
    except OSError as error:
        raise ConfigError(f"log_config = {path!r}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, ImportError, KeyError, RuntimeError, IniError) as error:
        raise ConfigError(f"log_config = {path!r}: {' '.join(_reasons(error).split())}") from None


def _reasons(error: BaseException) -> str:
    """Return an error and what caused it: dictConfig itself says only which handler it was."""
    cause = error.__cause__
    text = str(error) or type(error).__name__
    return text if cause is None or str(cause) in text else f"{text}: {_reasons(cause)}"


def settle_handlers() -> None:
    """Wait until handlers have what was logged in the current hub, which ends. Switches: if they do not have it yet."""
    hub = find_hub()
    for relay in tuple(_relays):
        if relay.is_of(hub):
            relay.settle()


class Relay:
    """Hands records to handlers, in a thread that exists only while there are records."""

    def __init__(self, deliver: Callable[[logging.LogRecord], object]) -> None:
        """`deliver(record)` may wait; if threads are patched it may switch."""
        self.lost = 0
        self._deliver = deliver
        self._kept: deque[logging.LogRecord] = deque()
        self._is_delivering = False
        self._is_late = False  # the end did not wait for the OS thread any longer
        self._has_told = False  # of a handler that wanted to end the process
        self._hub = find_hub()
        self._make_locks()
        atexit.register(self._at_exit)
        _relays.add(self)
        leave_in_children(self)

    def _make_locks(self) -> None:
        self._lock = _thread.RLock()  # of what is kept; a signal handler may log too
        self._turn = _thread.allocate_lock()  # held by the OS thread while a handler has a record

    def put(self, record: logging.LogRecord) -> None:
        """Keep a record for the handlers. From any OS thread. Raises nothing. Switches: never."""
        if len(self._kept) >= MOST:
            self.lost += 1
            return
        # Here, where the context is the request's.
        record.request_id, record.trace_id = ids_of(record)
        with self._lock:
            self._kept.append(record)
            if self._is_delivering:
                return
            hub = self._hub = find_hub() or self._hub
            if not is_monkey_patched("thread"):
                with contextlib.suppress(RuntimeError):  # no thread more: the next record tries it again
                    _thread.start_new_thread(self._run_apart, ())
                    self._is_delivering = True
            elif hub is not None and not hub.closed:
                self._is_delivering = True
                hub.call_from_thread(spawn_n, self._run)

    def _run(self) -> None:
        try:
            self.drain()
        finally:
            self._is_delivering = False

    def _run_apart(self) -> None:
        """In the OS thread."""
        while True:
            with self._turn:
                record = self._next()
                if record is not None:
                    self._hand_over(record)
                    continue
            if self._is_late:
                atexit.register(logging.shutdown)
            return

    def _next(self) -> logging.LogRecord | None:
        with self._lock:
            if self._kept:
                return self._kept.popleft()
            self._is_delivering = False
            return None

    def is_of(self, hub: Hub | None) -> bool:
        """Return True if its green thread runs in this hub."""
        return self._hub is hub

    def pause(self) -> bool:
        """Wait until the OS thread is between two records, _FORK_PATIENCE at most. Return True if it is held there."""
        return self._turn.acquire(timeout=_FORK_PATIENCE)

    def go_on(self) -> None:
        """Let the OS thread go on, after pause()."""
        self._turn.release()

    def leave_behind(self) -> None:
        """In the child of a fork: the parent hands over what is kept."""
        self._kept.clear()
        self._is_delivering = self._is_late = False
        self._make_locks()

    def close(self) -> None:
        """Hand over what is kept, unless a green thread is about that: see settle(). Switches: as the handlers do.

        An OS thread is waited for, as settle() does.
        """
        if not is_monkey_patched("thread"):
            self._at_exit()
            atexit.unregister(self._at_exit)
        elif not self._is_delivering:
            atexit.unregister(self._at_exit)
            self.drain()

    def _at_exit(self) -> None:
        if not is_monkey_patched("thread"):
            self._settle(time.sleep)
            if self._is_delivering:
                self._is_late = True
                atexit.unregister(logging.shutdown)  # it would wait for the handler's lock
                return
        elif self._hub is not None and self._hub is find_hub():
            self.settle()
        self.drain()

    def settle(self) -> None:
        """Wait for the thread that hands records over, at most _PATIENCE. Switches: if there is one."""
        self._settle(sleep)

    def _settle(self, pause: Callable[[float], object]) -> None:
        end = time.monotonic() + _PATIENCE
        while self._is_delivering and time.monotonic() < end:
            pause(0.001)

    def drain(self) -> None:
        """Hand over what is kept, now. Switches: as the handlers do."""
        while self._kept:
            self._hand_over(self._kept.popleft())

    def _hand_over(self, record: logging.LogRecord) -> None:
        try:
            self._deliver(record)
        except (GreenletExit, KeyboardInterrupt):  # meant for the green thread, or for the program
            raise
        except Exception:
            logging.lastResort.handleError(record)  # type: ignore[union-attr]  # as logging does with its handlers
        except BaseException:
            if not self._has_told:
                self._has_told = True
                logging.lastResort.handleError(record)  # type: ignore[union-attr]


_paused: Final[list[Relay]] = []


def _before_fork() -> None:
    _paused.extend(relay for relay in tuple(_relays) if relay.pause())


def _after_fork() -> None:
    while _paused:
        _paused.pop().go_on()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_paused.clear)


class Handlers:
    """The handlers that the logger of the error log has, taken off it: a Relay stands there instead."""

    def __init__(self, logger: logging.Logger) -> None:
        """Take them. Raises ConfigError if there are none, nor any above."""
        if not logger.hasHandlers():
            raise ConfigError(
                f"error_logfile = {LOGGING}: no handler for {logger.name}: give it one in log_config"
            )
        self._logger = logger
        self._parent = logger.parent if logger.propagate else None
        self._own = logger.handlers[:]
        for handler in self._own:
            logger.removeHandler(handler)

    def handle(self, record: logging.LogRecord) -> None:
        """Hand over a record. Switches: as they do."""
        for handler in self._own:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._parent is not None and self._parent.hasHandlers():
            self._parent.callHandlers(record)

    def give_back(self) -> None:
        """Put them back."""
        for handler in self._own:
            self._logger.addHandler(handler)


class AccessLogger:
    """The sink of an access log whose lines are records of `greenserve.access`."""

    adds_head = True
    is_terminal = is_journal = False

    def __init__(self) -> None:
        """Its lines go to the handlers that the logger has at that moment. Raises ConfigError if it has none."""
        if not access_logger.hasHandlers():
            raise ConfigError(
                f"access_logfile = {LOGGING}: no handler for {access_logger.name}: give it one in log_config"
            )
        self._relay = Relay(access_logger.handle)
        self._is_closed = False

    @property
    def lost(self) -> int:
        """See Sink."""
        return self._relay.lost

    def write(self, line: bytes, level: int = logging.INFO, fields: Mapping[str, str] | None = None) -> None:
        """See Sink."""
        if access_logger.isEnabledFor(level) and not self._is_closed:
            text = line.decode("utf-8", "replace").rstrip("\n")
            record = access_logger.makeRecord(access_logger.name, level, "", 0, text, (), None)
            for name, value in (fields or {}).items():
                setattr(record, name.lower(), value)
            self._relay.put(record)

    def write_all(self, lines: list[bytes], fields: Sequence[Mapping[str, str]] = ()) -> None:
        """See Sink."""
        for line, its in zip_longest(lines, fields):
            self.write(line, logging.INFO, its)

    def reopen(self) -> bool:
        """See Sink. WatchedFileHandler follows a file by itself."""
        return True

    def duplicate(self) -> int:
        """See Sink."""
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """See Sink."""
        if not self._is_closed:
            self._is_closed = True
            self._relay.close()
