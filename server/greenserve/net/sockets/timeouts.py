"""The deadlines of a connection's states, as the server's connections arm them."""

from __future__ import annotations

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

    def __init__(
        self,
        *,
        tls_handshake: float,
        head: float,
        queue: float,
        request: float,
        keep_alive: float,
        body: tuple[float, int],
        send: tuple[float, int],
        grace: float,
    ) -> None:
        """In seconds; 0: no limit. `body` and `send` with the rate that a client has to keep, in bytes a second."""
        self.tls_handshake_timeout = tls_handshake or NEVER
        self.head_timeout = head or NEVER
        self.queue_timeout = queue or NEVER
        self.request_timeout = request or NEVER
        self.keep_alive = keep_alive or NEVER
        self._body = (body[0] or NEVER, _price(body[1]), grace or NEVER)
        self._send = (send[0] or NEVER, _price(send[1]), grace or NEVER)

    def body_pace(self) -> Pace:
        """The credit of one request's client while it sends the body."""
        return Pace(*self._body)

    def send_pace(self) -> Pace:
        """The credit of a client while it takes a response."""
        return Pace(*self._send)


def _price(rate: int) -> float:
    return 1 / rate if rate else NEVER
