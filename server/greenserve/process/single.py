"""run(): one server in one process, until a signal stops it.

SIGTERM and the first SIGINT drain, a second one stops at once: see stopping.py. With TLS, SIGHUP reloads the
certificates. All log lines about a start and a stop are written in these two files.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Sequence

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.hooks import Hooks, Process
from greenserve.net import Server
from greenserve.process.admin_pages import admin_pages, import_pages
from greenserve.process.notifying import Watchdog, notify
from greenserve.process.serving import (
    make_server,
    open_log,
    serve,
    tell_how_to_stop,
    tell_of_bodies,
    tell_places,
)
from greenserve.process.starting import Starting
from greenserve.process.stopping import Stopping
from greenserve.process.system.pid_files import PidFile
from greenserve.process.system.unused_signals import UnusedSignals
from greenserve.wsgi import WSGIApplication

log = logging.getLogger("greenserve.error")


def run(
    app: WSGIApplication,
    config: Config,
    sockets: Sequence[socket.socket] = (),
    *,
    starting: Starting | None = None,
    hooks: Hooks | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code. Raises ConfigError before anything is accepted.

    In the main thread. `starting` is given by the command, whose process ends afterwards, and so are `hooks`.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "run() handles signals, which only the main thread can: call it there, or use serve()"
        )
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as while_serving:
        error_log = stack.enter_context(open_log(config))
        stack.enter_context(UnusedSignals())
        if config.pid:
            while_serving.callback(PidFile(config.pid).close)
        hooks = hooks or Hooks()
        itself = Process(os.getpid(), config)  # server and worker at once
        hooks.on_starting(itself)
        server = make_server(hooks.around(app, itself), config, error_log, sockets=sockets)
        import_pages(config)
        with hooks.worker(itself, itself), contextlib.ExitStack() as pages:
            code = serve(server, error_log, stack, _Alone(app, starting, hooks, itself, pages))
        log.info("stopped")
        return code


class _Alone:
    """The part of a process without a master; see Phases."""

    def __init__(
        self,
        app: WSGIApplication,
        starting: Starting | None,
        hooks: Hooks,
        itself: Process,
        pages: contextlib.ExitStack,
    ) -> None:
        self._app = app
        self._pages = pages
        self._starting = starting
        self._hooks = hooks
        self._itself = itself
        self.ends_process = starting is not None

    def began(self, server: Server, stopping: Stopping) -> None:
        self._pages.enter_context(admin_pages(server))
        stopping.take(hangup=bool(server.config.certfile))
        if self._starting is not None:
            self._starting.end()
        # Logged after the signals are taken: a program that reads this may send one at once.
        tell_places(server.places, server.redirect_urls)
        tell_how_to_stop()
        try:
            self._hooks.when_ready(self._itself)
        except BaseException:
            server.stop(0)
            raise
        notify("READY=1", f"STATUS=serving at {', '.join(server.urls)}")
        tell_of_bodies(self._app, server.config)
        self._ping(server, Watchdog.of(os.environ))
        if self._starting is not None:
            self._starting.ready()

    def _ping(self, server: Server, watchdog: Watchdog) -> None:
        if watchdog.every:
            watchdog.ping()
            server.hub.call_after(watchdog.every / 2, self._ping, server, watchdog)

    def stops(self, running: int) -> None:
        notify("STOPPING=1", f"STATUS=stopping, {running} requests run")
