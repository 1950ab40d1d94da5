"""The deadlines of a connection's states, as the server's connections arm them."""

from __future__ import annotations

from greenserve.config import Config
from greenserve.net.sockets.min_rates import Pace
from greenserve_hub.deadlines import NEVER


class Timeouts:
    """In seconds, where off is NEVER: a deadline can be armed with each."""

    __slots__ = (
        "_body",
        "_send",
        "head_timeout",
        "keep_alive",
        "queue_timeout",
        "request_timeout",
        "tls_handshake_timeout",
    )

    def __init__(self, config: Config) -> None:
        """As configured."""
        self.tls_handshake_timeout = config.tls_handshake_timeout or NEVER
        self.head_timeout = config.head_timeout or NEVER
        self.queue_timeout = config.queue_timeout or NEVER
        self.request_timeout = config.request_timeout or NEVER
        self.keep_alive = config.keep_alive or NEVER
        grace = config.min_rate_grace or NEVER
        self._body = (config.body_timeout or NEVER, _price(config.body_min_rate), grace)
        self._send = (config.send_timeout or NEVER, _price(config.send_min_rate), grace)

    def body_pace(self) -> Pace:
        """The credit of one request's client while it sends the body."""
        return Pace(*self._body)

    def send_pace(self) -> Pace:
        """The credit of a client while it takes a response."""
        return Pace(*self._send)


def _price(rate: int) -> float:
    return 1 / rate if rate else NEVER
