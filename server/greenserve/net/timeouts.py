"""The deadlines of a connection's states, as the server's connections arm them."""

from __future__ import annotations

from greenserve.config import Config
from greenserve_hub.deadlines import NEVER


class Timeouts:
    """In seconds, where off is NEVER: a deadline can be armed with each."""

    __slots__ = (
        "body_timeout",
        "head_timeout",
        "keep_alive",
        "queue_timeout",
        "request_timeout",
        "send_timeout",
        "tls_handshake_timeout",
    )

    def __init__(self, config: Config) -> None:
        """As configured."""
        self.tls_handshake_timeout = config.tls_handshake_timeout or NEVER
        self.head_timeout = config.head_timeout or NEVER
        self.queue_timeout = config.queue_timeout or NEVER
        self.request_timeout = config.request_timeout or NEVER
        self.body_timeout = config.body_timeout or NEVER
        self.send_timeout = config.send_timeout or NEVER
        self.keep_alive = config.keep_alive or NEVER
