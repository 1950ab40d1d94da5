"""serve(): a server in the main thread of a process, from its start until a signal or its master has stopped it.

The common part of a process alone (single.py) and of a worker (master/). Both tell by Phases what they do meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
from collections.abc import Sequence
from typing import Protocol

from greenserve.config import Config
from greenserve.core import describe
from greenserve.loading.frameworks import unseen_by_length
from greenserve.logs.error_log import ErrorLog, open_error_log
from greenserve.net import Server
from greenserve.net.serving.listeners import Given
from greenserve.process.debugging import debugging
from greenserve.process.stopping import Stopping
from greenserve.process.system.log_reopening import ReopeningLogs
from greenserve.wsgi import WSGIApplication
from greenserve_hub.loop.current import get_hub, use_hub
from greenserve_hub.osthreads import threads

log = logging.getLogger("greenserve.error")

_RESERVE = 192  # descriptors for the app's own files and sockets, and for rejected clients


class Phases(Protocol):
    """What a process does while its server lives. Nothing switches."""

    @property
    def ends_process(self) -> bool:
        """Return True if the process ends after the server: it is then watched, and ended by force if need be."""

    def began(self, server: Server, stopping: Stopping) -> None:
        """The server accepts. Take the signals."""

    def stops(self, running: int) -> None:
        """A stop has begun, while so many requests run."""


def open_log(config: Config) -> ErrorLog:
    """Open the error log as the settings say. Raises ConfigError."""
    return open_error_log(
        config.error_logfile,
        config.log_level,
        config.error_log_format,
        config.log_color,
        bool(config.log_config),
    )


def make_server(
    app: WSGIApplication,
    config: Config,
    error_log: ErrorLog,
    *,
    sockets: Sequence[socket.socket] = (),
    given: Given | None = None,
) -> Server:
    """Make the server of this process, on the hub that the settings name. Raises ConfigError."""
    hub = get_hub()
    if config.hub not in ("auto", hub.poller.name):
        use_hub(config.hub)
    threads.set_size(config.threadpool_size)
    _raise_descriptor_limit(config.limit_connections)
    return Server(app, config, sockets=sockets, given=given, errors=error_log.text_stream())


def serve(server: Server, error_log: ErrorLog, stack: contextlib.ExitStack, phases: Phases) -> int:
    """Serve until a stop, and return the exit code. Raises ConfigError before anything is accepted.

    What outlives the server until the process ends stays open when `stack` is left.
    """
    hub = get_hub()
    stack.enter_context(ReopeningLogs(server.config))
    stopping = stack.enter_context(Stopping(hub, server, error_log, phases.stops))
    with debugging(server, hub):
        server.start()
        phases.began(server, stopping)
        code = 0
        try:
            server.wait()
        except OSError:  # logged already: no socket listens any more
            code = 1
    if phases.ends_process:
        stopping.watch_exit()
        stack.pop_all()  # the log and the signals stay until the process ends
    return code


def tell_places(places: Sequence[str], redirects: Sequence[str]) -> None:
    """Log where it listens."""
    for place in places:
        log.info("listening at %s", place)
    for url in redirects:
        log.info("redirecting %s to https", url)


def tell_how_to_stop(crew: str = "") -> None:
    """Log what runs here and the signals for it; `crew` says of which workers this process is the master."""
    pid = os.getpid()
    log.info(
        "greenserve runs as process %d%s, %s; stop it with Ctrl-C or `kill %d`%s",
        pid,
        f" with {crew}" if crew else "",
        describe(),
        pid,
        f", reload it with `kill -HUP {pid}`" if crew else "",
    )


def tell_of_bodies(app: WSGIApplication, config: Config) -> None:
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
