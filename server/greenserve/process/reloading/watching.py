"""Watching: the watcher, as its master handles it: started, told what the app has loaded, and started again.

A fresh process, not a fork: an inotify that was made before a fork tells the child nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import cache_from_source
from typing import Any, Final, Protocol

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import socket, time

__all__ = ["Line", "Watched", "Watching"]

log = logging.getLogger("greenserve.error")

_PROGRAM: Final = """\
import json, sys
sys.path[:] = json.loads(sys.argv[3])
from greenserve.process.reloading.watcher import main
main(int(sys.argv[1]), sys.argv[2])
"""
_LONGEST_PAUSE: Final = 30.0  # seconds before a watcher that has ended is started again
_STEADY: Final = 60.0  # seconds after which its end is no failed start
_RESTART: Final = 1.0  # seconds
_NAMED: Final = 3  # files in a log line

Message = dict[str, Any]


class Line(Protocol):
    """The master's end of the connection with the watcher. Nothing switches."""

    def send(self, message: Message) -> None:
        """Send it soon."""

    def close(self) -> None:
        """Close it; the watcher ends."""


class Watched(Protocol):
    """The workers. Nothing switches."""

    def suspend(self) -> None:
        """Have all end at once; none starts until resume(). Connections wait."""

    def resume(self) -> None:
        """Start new ones, when the old ones have ended."""


class Watching:
    """The watcher of one master. Nothing switches."""

    def __init__(
        self,
        hub: Hub,
        config: Config,
        preloaded: bool,
        connect: Callable[
            [socket.socket, Callable[[Message, list[int]], object], Callable[[], object]], Line
        ],
        watched: Watched,
        later: Callable[[Callable[[], object]], object],
    ) -> None:
        """`connect(socket, heard, ended)` makes a line; `later(call)` has it called where processes are started.

        `preloaded`: the app is no matter of the workers. Does nothing without `reload`. Raises ConfigError.
        """
        if config.reload and (preloaded or config.preload):
            raise ConfigError(
                "reload: each worker has to import the app itself: leave preload out, and name the app as module:attr"
            )
        self._is_on = config.reload
        self._hub = hub
        self._engine = config.reload_engine
        self._remote = ", ".join(str(one) for one in config.addresses if not one.is_local)
        self._connect = connect
        self._watched = watched
        self._later = later
        folder = os.getcwd()
        self._trees = {folder: ".py"}
        self._files: set[str] = set()
        for path in (os.path.join(folder, extra) for extra in config.reload_extra_files):
            if os.path.isdir(path):
                self._trees[path] = ""
            else:
                self._files.add(path)
        self._lenient = False
        self._since = time.time()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None
        self._began = 0.0
        self._failures = 0
        self._is_changing = False
        self._reload_began = 0.0
        self._is_closed = False

    def start(self) -> None:
        """Start the process. Raises ConfigError."""
        if not self._is_on:
            return
        if self._remote:
            log.warning(
                "--reload at %s: everyone who can reach that address sees errors of the app with their source: "
                "bind a loopback address, and use --reload for development only",
                self._remote,
            )
        self._open()

    def _open(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise ConfigError(
                "reload: this program has no Python beside it that could watch files; leave it out"
            )
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        _PROGRAM,
                        str(theirs.fileno()),
                        self._engine,
                        json.dumps(sys.path),
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except OSError as error:
                ours.close()
                raise ConfigError(
                    f"reload: {sys.executable} can't be started to watch files: {error}"
                ) from None
        self._began = time.monotonic()
        self._line = self._connect(ours, self._hears, self._hears_end)
        self._send(self._trees, self._files, self._since)

    def _send(self, trees: dict[str, str], files: set[str], since: float) -> None:
        if self._line is not None:
            self._line.send(
                {"trees": trees, "files": sorted(files), "since": since, "lenient": self._lenient}
            )

    def loaded(self, message: Message) -> None:
        """A worker tells what its app has loaded; see Developing."""
        self._lenient = message["lenient"]
        trees = {top: ".py" for top in message["trees"] if top not in self._trees}
        files = set(message["files"])
        self._send(trees, files, message["since"])
        self._trees |= trees
        self._files |= files

    @property
    def pids(self) -> set[int]:
        """The process that watches, if there is one."""
        return set() if self._process is None else {self._process.pid}

    def are_ready(self) -> None:
        """All workers serve again."""
        if self._reload_began and not self._lenient:  # else the worker has logged why there is no app
            log.info("reloaded in %.2f s", time.monotonic() - self._reload_began)
        self._reload_began = 0.0

    def restart(self) -> None:
        """End the process, and start another one soon, unless this program is executed anew by then."""
        if self._process is not None:
            self._end()
            self._hub.call_after(_RESTART, self._later, self._start_again)

    def close(self) -> None:
        """End the process, and wait for that. Repeatable."""
        self._is_closed = True
        self._end()

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    # What it tells -----------------------------------------------------------------------------------------

    def _hears(self, message: Message, fds: list[int]) -> None:
        self._later(lambda: self._told(message))

    def _told(self, message: Message) -> None:
        self._since = time.time()
        if self._is_closed:
            return
        if "watches" in message:
            log.info("reload: files are watched (%s); a change restarts the app", message["watches"])
        elif "changing" in message:
            self._is_changing = True
            self._reload_began = time.monotonic()
            self._watched.suspend()
        elif "changed" in message:
            self._is_changing = False
            _forget_compiled(message["changed"])
            log.info("reloading: %s", _named(message["changed"]))
            self._watched.resume()
        elif "warning" in message:
            log.warning("reload: %s", message["warning"])
        elif "failed" in message:
            log.error("%s", message["failed"])

    def _hears_end(self) -> None:
        self._later(self._ended)

    def _ended(self) -> None:
        if self._is_closed or self._process is None:
            return
        self._line = None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # it has closed the socket, whatever else it does
        code = self._process.wait()
        self._process = None
        self._failures = 0 if time.monotonic() - self._began >= _STEADY else self._failures + 1
        pause = min(_LONGEST_PAUSE, 2.0 ** (self._failures - 1)) if self._failures else 0.0
        log.error(
            "reload: the process that watches files has ended (%d); it starts again in %g s", code, pause
        )
        if self._is_changing:
            self._is_changing = False
            self._watched.resume()
        self._hub.call_after(pause, self._later, self._start_again)

    def _start_again(self) -> None:
        if not self._is_closed and self._process is None:
            try:
                self._open()
            except ConfigError as error:
                log.error("%s. Changes are not seen any more; SIGHUP reloads", error)


def _forget_compiled(paths: list[str]) -> None:
    """Remove what Python has compiled: it takes it for that of a file of the same size and the same second."""
    for path in paths:
        if path.endswith(".py"):
            with contextlib.suppress(OSError, NotImplementedError):
                os.unlink(cache_from_source(path))


def _named(paths: list[str]) -> str:
    names = [os.path.relpath(path) for path in paths[:_NAMED]]
    more = len(paths) - len(names)
    subject = ", ".join(names) + (f" and {more} more" if more else "")
    return f"{subject} {'have' if len(paths) > 1 else 'has'} changed" if paths else "files were written"
