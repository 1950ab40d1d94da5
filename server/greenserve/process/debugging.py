"""debugging(): the watchdog, slow requests, the dump on a signal and the backdoor of a process, as the settings ask.

All but slow requests belong to the hub and know no server; here they get its log and its pool. Called by single.py.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from greenserve.config import Config
from greenserve.config.values.binds import parse_bind
from greenserve.errors import ConfigError
from greenserve.net import Server
from greenserve.net.sockets.binding import file_of, open_listener, remove_file
from greenserve.process.holding import Holds
from greenserve.process.requests import holder_of_request
from greenserve.process.slow_requests import SlowRequests
from greenserve_hub.diagnostics.backdoors import check_local, names_at_attach, place_of, serve_backdoor
from greenserve_hub.diagnostics.debug import dump_on_signal
from greenserve_hub.diagnostics.watchdogs import Watchdog
from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import GreenletExit, kill, spawn
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import signal

__all__ = ["debugging"]

log = logging.getLogger("greenserve.error")

_BACKLOG = 16
_MODE = 0o600  # a client of the backdoor can do anything that the process can


@contextlib.contextmanager
def debugging(server: Server, hub: Hub) -> Iterator[None]:
    """Have what the settings of logs and debugging ask for inside the block. Raises ConfigError."""
    config = server.config
    names = {"server": server, "pool": lambda: server.queue.pool}
    names_at_attach.update(names)
    with contextlib.ExitStack() as stack:
        stack.callback(names_at_attach.clear)
        if config.backdoor != "off":
            stack.enter_context(_backdoor(config, names))
        if config.dump_signal != "off":
            stack.enter_context(_dump(signal.Signals[f"SIG{config.dump_signal.upper()}"]))
        if config.slow_request:
            stack.enter_context(SlowRequests(server, hub, config.slow_request))
        if config.block_threshold:
            stack.enter_context(Watchdog(Holds(server).tell, config.block_threshold, hub, holder_of_request))
        yield


@contextlib.contextmanager
def _dump(number: signal.Signals) -> Iterator[None]:
    def write(text: str) -> None:
        # The user has asked for it: it is logged at any log_level.
        log.log(max(logging.INFO, log.level), "%s: what every green thread is doing:\n%s", number.name, text)

    before = dump_on_signal(number, write)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _backdoor(config: Config, names: Mapping[str, Any]) -> Iterator[None]:
    sock = open_listener(parse_bind(config.backdoor), _BACKLOG, False, _MODE)
    with sock:
        try:
            check_local(sock, config.backdoor_allow_remote)
        except HubError as error:
            raise ConfigError(f"backdoor = {config.backdoor}: {error}") from None
        file = file_of(sock)
        log.info("backdoor at %s", place_of(sock))
        green = spawn(serve_backdoor, sock, names)
        try:
            yield
        finally:
            kill(green)
            with contextlib.suppress(GreenletExit):
                green.wait()  # until its connections have ended too
            remove_file(file)
