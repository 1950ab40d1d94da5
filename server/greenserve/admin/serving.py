"""AdminPages: a small Server for the admin pages, on the hub of the process that watches the workers.

Made by process/. Its limits are narrow, since the master has to go on whatever is sent to it.
"""

from __future__ import annotations

import logging
import resource
from typing import Final

from greenserve.admin.access import Access
from greenserve.admin.app import AdminApp
from greenserve.admin.history import PERIOD, History
from greenserve.admin.master import Master
from greenserve.config import Config
from greenserve.config.tokens import token_of
from greenserve.config.values.binds import parse_bind
from greenserve.net import Server
from greenserve_hub.deadlines import Deadline
from greenserve_hub.loop.current import get_hub
from greenserve_hub.unpatched import time

__all__ = ["AdminPages"]

log = logging.getLogger("greenserve.error")

_MOST: Final = 1000  # connections
_LEAST: Final = 50
_MODE: Final = 0o600  # of a unix socket: who may connect may do everything


class AdminPages:
    """The admin pages of one master, if the settings ask for them."""

    def __init__(self, config: Config, master: Master) -> None:
        """Listen at `admin_bind`. Raises ConfigError. Switches: never."""
        address = parse_bind(config.admin_bind)
        token = token_of(config)
        self._history = History(master, time.time)
        self._hub = get_hub()
        self.access = Access(address, token)
        app = AdminApp(master, self._history, self.access, config.admin_open_metrics)
        self.server = Server(app, _config(config.admin_bind))
        self.server.start()
        self._timer: Deadline | None = self._hub.call_after(PERIOD, self._sample)
        only = "" if token or self.access.has_file else ": health only, since there is no admin_token_file"
        log.info("admin pages at %s%s", self.server.places[0], only)

    def _sample(self) -> None:
        self._timer = self._hub.call_after(PERIOD, self._sample)
        self._history.sample()

    def close(self) -> None:
        """End at once. Repeatable. Switches: never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.server.release()


def _connections() -> int:
    """Return how many may be open: with a quarter of the descriptors the master still forks."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if soft == resource.RLIM_INFINITY else max(_LEAST, min(_MOST, soft // 4 * 3))


def _config(bind: str) -> Config:
    return Config(
        bind=(bind,),
        socket_mode=_MODE,
        access_logfile="off",
        pool=32,
        pool_overflow=32,
        limit_queue=100,
        limit_connections=_connections(),
        limit_connections_per_ip=0,  # a probe and an attacker may come by the same proxy
        limit_request_body=1024,
        head_timeout=2.0,  # connections that say nothing make no way for others
        keep_alive=15.0,
        queue_timeout=5.0,
        request_timeout=10.0,
        drain_delay=0.0,
        forwarded_allow_ips=(),
        monkey_patch=False,
    )
