"""What looks inside a process that serves: the watchdog, the dump on a signal, the backdoor, as the settings say.

All three are the hub's and know nothing of the server; here they get its log and its pool. Called by single.py.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from greenserve.config.binds import parse_bind
from greenserve.errors import ConfigError
from greenserve.net import Server
from greenserve.net.binding import file_of, open_listener, remove_file
from greenserve.process.requests import holder_of_request
from greenserve_hub.backdoors import check_local, place_of, serve_backdoor
from greenserve_hub.debug import dump_on_signal
from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads import GreenletExit, kill, spawn
from greenserve_hub.loop import Hub
from greenserve_hub.natives import signal
from greenserve_hub.watchdogs import Watchdog

__all__ = ["debugging"]

log = logging.getLogger("greenserve.error")

_BACKLOG = 16
_MODE = 0o600  # who may connect may do anything that the process may


@contextlib.contextmanager
def debugging(server: Server, hub: Hub) -> Iterator[None]:
    """While inside, what block_threshold, dump_signal and backdoor ask for is there. Raises ConfigError."""
    config = server.config
    with contextlib.ExitStack() as stack:
        if config.backdoor != "off":
            stack.enter_context(_backdoor(server))
        if config.dump_signal != "off":
            stack.enter_context(_dump(signal.Signals[f"SIG{config.dump_signal.upper()}"]))
        if config.block_threshold:
            stack.enter_context(Watchdog(_tell_hold, config.block_threshold, hub, holder_of_request))
        yield


def _tell_hold(seconds: float, stack: str) -> None:
    log.warning(
        "a green thread holds the hub, and nothing else has run for %.0f ms: %s", seconds * 1000, stack
    )


@contextlib.contextmanager
def _dump(number: signal.Signals) -> Iterator[None]:
    def write(text: str) -> None:
        # Who asks for it gets it, at whatever level the log is.
        log.log(max(logging.INFO, log.level), "%s: what every green thread is doing:\n%s", number.name, text)

    before = dump_on_signal(number, write)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _backdoor(server: Server) -> Iterator[None]:
    config = server.config
    sock = open_listener(parse_bind(config.backdoor), _BACKLOG, False, _MODE)
    with sock:
        try:
            check_local(sock, config.backdoor_allow_remote)
        except HubError as error:
            raise ConfigError(f"backdoor = {config.backdoor}: {error}") from None
        file = file_of(sock)
        log.info("backdoor at %s", place_of(sock))
        names = {"server": server, "pool": lambda: server.dispatcher.pool}
        green = spawn(serve_backdoor, sock, names)
        try:
            yield
        finally:
            kill(green)
            with contextlib.suppress(GreenletExit):
                green.wait()  # until its connections have ended too
            remove_file(file)
