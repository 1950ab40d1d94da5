"""Holds: says which code holds the hub and what helps, and cuts off an app's call to its own server.

Looks at the frames of another OS thread, which runs on meanwhile: what it finds is a guess. Made by debugging.py and
embedded.py, called in the watchdog's OS thread.
"""

from __future__ import annotations

import _socket
import contextlib
import linecache
import logging
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from types import FrameType
from typing import Any, Final

from greenserve.net import Server
from greenserve_hub.diagnostics.holders import frames_of
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.patching import is_monkey_patched
from greenserve_hub.unpatched import _thread, time
from greenserve_hub.unpatched import socket as native

__all__ = ["LIBRARIES", "Holds", "advice", "call_of_own_url"]

log = logging.getLogger("greenserve.error")

_DEPTH: Final = 8  # frames, from the innermost, that a library may have around its wait
_LOOK_AGAIN: Final = 0.1  # seconds
_EXECUTE: Final = "greenserve.threads.execute()"
_WORD: Final = re.compile(r"\w+")
_SQLITE: Final = (
    f"SQLite waits in C while another connection writes, five seconds by default: call it in an OS thread, {_EXECUTE} "
    "(connect with check_same_thread=False), or connect with timeout=0 and try again after greenserve.sleep(); "
    "PRAGMA journal_mode=WAL lets readers go on"
)
_WAITS_IN_C: Final = "{} waits in C, where no green thread can give way: call it in an OS thread, " + _EXECUTE
# The key is the first part of a module's name.
LIBRARIES: Final = {
    "sqlite3": _SQLITE,
    "_sqlite3": _SQLITE,
    "grpc": _WAITS_IN_C.format("gRPC") + ", as in greenserve.threads.execute(stub.Method, request)",
    "MySQLdb": _WAITS_IN_C.format("mysqlclient") + ", or use PyMySQL, which waits green",
    "_mysql_connector": _WAITS_IN_C.format("mysql.connector's C extension")
    + ", or connect with use_pure=True",
    "pycurl": _WAITS_IN_C.format("pycurl") + ", or use requests, which waits green",
} | {
    name: _WAITS_IN_C.format(name)
    for name in (
        "apsw",
        "confluent_kafka",
        "cx_Oracle",
        "duckdb",
        "ibm_db",
        "ldap",
        "lmdb",
        "oracledb",
        "psycopg2",
        "pymssql",
        "pyodbc",
        "zmq",
    )
}
_UNPATCHED: Final = (
    "nothing in this program is patched, so calls that wait block each other: greenserve.monkey_patch() before all "
    f"other imports has them wait green, {_EXECUTE} has one wait in an OS thread"
)
_ELSE: Final = (
    f"code that computes, or waits in C, lets the others run when it is called in an OS thread: {_EXECUTE}"
)
_QUERY: Final = re.compile(r"\.(?:execute|executemany|executescript|commit|rollback|fetchone|fetchall)\(")


class Holds:
    """Logs each time that code holds the hub of one server; a Watchdog reports to it."""

    def __init__(self, server: Server, *, once: bool = False) -> None:
        """`once` for the log of another program: only the first call that waits is logged."""
        self._server = server
        self._once = once
        self._told = False

    def tell(self, seconds: float, stack: str) -> None:
        """Log what holds the hub, for `seconds` by now, and what helps. In the watchdog's OS thread."""
        frame = sys._current_frames().get(self._server.hub.thread_id)
        helpful, sock = _ELSE, None
        with contextlib.suppress(
            Exception
        ):  # the objects in variables may raise anything, or change meanwhile
            helpful = advice(frame)
            sock = None if _is_patched() else call_of_own_url(frame, self._comes_to_it)
        place = _place(frame)
        del frame  # the objects in it must not be freed in this OS thread
        waits = False
        if self._once or sock is not None:
            # If it stays at one instruction it waits in a call; else it computes, or the machine is busy.
            time.sleep(_LOOK_AGAIN)
            waits = place == _place(sys._current_frames().get(self._server.hub.thread_id))
        if sock is not None and waits:
            # The app reads an end, as if the server had closed; nothing else could ever wake its OS thread.
            with contextlib.suppress(OSError):
                _socket.socket.shutdown(sock, _socket.SHUT_RDWR)
            log.error(
                "an app calls its own server, which can't answer before the app returns: the call is cut off\n%s%s",
                stack,
                _UNPATCHED,
            )
        elif not self._once:
            if helpful is _UNPATCHED:  # about the whole program and not this call: logged once
                helpful = "" if self._told else helpful
                self._told = True
            self._warn(seconds, f"{stack}{helpful}")
        elif waits and not self._told:
            self._told = True
            self._warn(seconds, f"{stack}{helpful} (told once)")
        if self._once:
            _forget_this_thread()

    def _warn(self, seconds: float, text: str) -> None:
        log.warning(
            "a green thread holds the hub, and nothing else has run for %.0f ms: %s", seconds * 1000, text
        )

    def _comes_to_it(self, address: Any) -> bool:
        """Return True if only this server listens at `address`, in the form of getpeername()."""
        config = self._server.config
        if config.reuse_port or any(bind.kind == "fd" for bind in config.addresses):
            return False  # another process may listen there too
        names = [listener.name for listener in self._server.listeners]
        if not isinstance(address, tuple):
            return address in names
        tcp = [name for name in names if isinstance(name, tuple)]
        return any(name[1] == address[1] and name[0] in (address[0], "0.0.0.0", "::") for name in tcp)


def _forget_this_thread() -> None:
    """Take this OS thread out of threading.enumerate(): before 3.13 each that has logged stays there for ever."""
    with threading._active_limbo_lock:  # type: ignore[attr-defined]  # private
        active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
        if isinstance(active.get(_thread.get_ident()), threading._DummyThread):
            del active[_thread.get_ident()]


def _place(frame: FrameType | None) -> tuple[int, int] | None:
    return None if frame is None else (id(frame), frame.f_lasti)


def _is_patched() -> bool:
    return is_monkey_patched("socket") or is_monkey_patched("time")


def advice(frame: FrameType | None) -> str:
    """Return the advice for the code that is in `frame`."""
    for name in _modules(frame):
        if name in LIBRARIES:
            return LIBRARIES[name]
    if not _is_patched():
        return _UNPATCHED
    if frame is not None and _QUERY.search(_line(frame)) and "sqlite3" in sys.modules:
        return f"if this is SQLite: {_SQLITE}"
    return _ELSE


def _modules(frame: FrameType | None) -> Iterator[str]:
    """The libraries that it may wait in: those of its frames, and of the objects that its innermost line names."""
    if frame is None:
        return
    words = set(_WORD.findall(_line(frame)))
    for name, value in _variables(frame):
        if name in words:
            yield type(value).__module__.partition(".")[0]
    for one in islice(frames_of(frame), _DEPTH):
        yield str(one.f_globals.get("__name__", "")).partition(".")[0]


def call_of_own_url(frame: FrameType | None, is_ours: Callable[[Any], bool]) -> socket.socket | None:
    """Return the socket on which the code waits for an answer from an address that `is_ours`; None if it does not.

    This OS thread itself would have to answer there. Only sockets in the code's variables are found.
    """
    for one in islice(frames_of(frame), _DEPTH):
        for _, value in _variables(one):
            if isinstance(value, native.socket | socket.socket) and not isinstance(value, GreenSocket):
                try:
                    peer = value.getpeername()
                except OSError:
                    continue
                if is_ours(peer):
                    return value
    return None


def _variables(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """The local variables, and the attributes of `self`."""
    found = dict(frame.f_locals)
    yield from found.items()
    yield from dict(getattr(found.get("self"), "__dict__", {})).items()
    for name in getattr(type(found.get("self")), "__slots__", ()):
        if isinstance(name, str) and hasattr(found["self"], name):
            yield name, getattr(found["self"], name)


def _line(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno)
