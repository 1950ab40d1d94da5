"""One server in one process, until a signal stops it.

SIGTERM and the first SIGINT drain; a second SIGINT stops at once; with TLS, SIGHUP reads the certificates anew.
Signal handlers only knock at the hub's door, and are put back when the server has stopped. Everything a user sees of
a start and a stop is said here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.logs import open_error_log
from greenserve.net import Server
from greenserve.process.debugging import debugging
from greenserve.wsgi import WSGIApplication
from greenserve_hub import threads
from greenserve_hub.greenthreads import spawn_n
from greenserve_hub.loop import Hub, get_hub, use_hub
from greenserve_hub.signals import wake_on_signals

log = logging.getLogger("greenserve.error")

_RESERVE = 192  # descriptors for the app's own files and sockets, and for clients that are turned away


def run(app: WSGIApplication, config: Config, sockets: Sequence[socket.socket] = ()) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises ConfigError before anything is accepted.

    In the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "run() takes the signals, so it belongs into the main thread; elsewhere use serve()"
        )
    with open_error_log(config) as error_log:
        hub = get_hub()
        if config.hub not in ("auto", hub.poller.name):
            hub = use_hub(config.hub)
        threads.set_size(config.threadpool_size)
        _raise_descriptor_limit(config.limit_connections)
        server = Server(app, config, sockets=sockets, errors=error_log.text_stream())
        with debugging(server, hub):
            server.start()
            with _signals(hub, server):
                # Said when the signals are taken: who reads it may send one at once.
                for url in server.urls:
                    log.info("listening at %s", url)
                for url in server.redirect_urls:
                    log.info("redirecting %s to https", url)
                log.info(
                    "greenserve runs as process %d; stop it with Ctrl-C or `kill %d`",
                    os.getpid(),
                    os.getpid(),
                )
                code = 0
                try:
                    server.wait()
                except OSError:  # told already: nothing listens any more
                    code = 1
        log.info("stopped")
        return code


@contextlib.contextmanager
def _signals(hub: Hub, server: Server) -> Iterator[None]:
    received: list[str] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        hub.call_from_thread(spawn_n, tell_and_stop, len(received), received[-1])

    def tell_and_stop(count: int, name: str) -> None:
        if count == 1:
            running = server.stats.active + server.stats.queued
            log.info(
                "%s: stopping; %d requests run, for at most %g s more",
                name,
                running,
                server.config.graceful_timeout,
            )
            server.stop()
        elif name == "SIGINT":
            log.info("SIGINT while stopping: stopping at once")
            server.stop(0)

    def reload(number: int, frame: FrameType | None) -> None:
        hub.call_from_thread(spawn_n, server.reload_or_tell)

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if server.config.certfile:
        handlers[signal.SIGHUP] = reload
    with wake_on_signals(hub):
        before: dict[signal.Signals, Any] = {
            number: signal.signal(number, handler) for number, handler in handlers.items()
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _raise_descriptor_limit(connections: int) -> None:
    """Each connection is a descriptor: take what the system allows, and say so when that is too little."""
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
            "raise the one or lower the other",
            limit,
            connections,
        )
