"""run(): one server in one process, until a signal stops it.

SIGTERM and the first SIGINT drain, a second one stops at once: see stopping.py. With TLS, SIGHUP reloads the
certificates. All log lines about a start and a stop are written in these two files.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
import threading
from collections.abc import Sequence

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.loading.frameworks import unseen_by_length
from greenserve.logs.error_log import open_error_log
from greenserve.net import Server
from greenserve.process.debugging import debugging
from greenserve.process.notifying import notify
from greenserve.process.starting import Starting
from greenserve.process.stopping import Stopping
from greenserve.wsgi import WSGIApplication
from greenserve_hub.loop.current import get_hub, use_hub
from greenserve_hub.osthreads import threads

log = logging.getLogger("greenserve.error")

_RESERVE = 192  # descriptors for the app's own files and sockets, and for rejected clients


def run(
    app: WSGIApplication,
    config: Config,
    sockets: Sequence[socket.socket] = (),
    *,
    starting: Starting | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code. Raises ConfigError before anything is accepted.

    In the main thread. `starting` is given by the command, whose process ends afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "run() handles signals, which only the main thread can: call it there, or use serve()"
        )
    with contextlib.ExitStack() as stack:
        error_log = stack.enter_context(open_error_log(config.error_logfile, config.log_level))
        hub = get_hub()
        if config.hub not in ("auto", hub.poller.name):
            hub = use_hub(config.hub)
        threads.set_size(config.threadpool_size)
        _raise_descriptor_limit(config.limit_connections)
        server = Server(app, config, sockets=sockets, errors=error_log.text_stream())
        stopping = stack.enter_context(Stopping(hub, server, error_log))
        with debugging(server, hub):
            server.start()
            stopping.take(hangup=bool(config.certfile))
            if starting is not None:
                starting.end()
            # Logged after the signals are taken: a program that reads this may send one at once.
            for place in server.places:
                log.info("listening at %s", place)
            for url in server.redirect_urls:
                log.info("redirecting %s to https", url)
            log.info(
                "greenserve runs as process %d; stop it with Ctrl-C or `kill %d`", os.getpid(), os.getpid()
            )
            notify("READY=1", f"STATUS=serving at {', '.join(server.urls)}")
            _tell_of_bodies(app, config)
            code = 0
            try:
                server.wait()
            except OSError:  # logged already: no socket listens any more
                code = 1
        log.info("stopped")
        if starting is not None:
            stopping.watch_exit()
            stack.pop_all()  # the log and the signals stay until the process ends
        return code


def _tell_of_bodies(app: WSGIApplication, config: Config) -> None:
    """Log it if a framework is loaded that may take chunked bodies for empty ones."""
    if config.chunked_bodies == "auto" and (name := unseen_by_length(app)):
        log.info(
            "%s is loaded but was not found in the app: set --chunked-bodies buffer if the app reads bodies by "
            "CONTENT_LENGTH alone, else stream",
            name,
        )


def _raise_descriptor_limit(connections: int) -> None:
    """Raise `ulimit -n` to what the connections need, and warn if the system allows less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _RESERVE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < wanted:
        log.warning(
            "only %d descriptors are allowed (ulimit -n), too few for limit_connections = %d: "
            "raise the former or lower the latter",
            limit,
            connections,
        )
