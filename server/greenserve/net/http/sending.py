"""A whole response on its way to a client that reads slowly: sent from hub callbacks, without a slot.

Of an app's response and of a refusal alike. The invariant: it goes out in full or the connection is reset, so that a
client never takes a part for the whole.
"""

from __future__ import annotations

import logging

from greenserve.errors import PeerGone
from greenserve.net.http.activity import Activity, Host
from greenserve.net.http.states import State
from greenserve.net.sockets.outbox import Outbox

log = logging.getLogger("greenserve.error")


class Sending(Activity):
    """Sends what the kernel did not take at once."""

    __slots__ = ("_connection", "_outbox", "_request")

    def __init__(
        self,
        connection: Host,
        request: Activity | None,
        first: bytes | memoryview,
        second: bytes | memoryview,
        sent: int,
    ) -> None:
        """Begins. `sent` bytes are out. `request` is whose response it is; None of a head that was refused."""
        self._connection = connection
        self._request = request
        services = connection.services
        self._outbox = outbox = Outbox(
            connection.stream, services.timeouts.send_pace(), services.budget, connection.reset
        )
        if sent < len(first):
            outbox.put(memoryview(first)[sent:])
            if second:
                outbox.put(second)
        else:
            outbox.put(memoryview(second)[sent - len(first) :])
        self._wait()

    def __str__(self) -> str:
        """See Activity."""
        return "" if self._request is None else str(self._request)

    @property
    def request(self) -> Activity | None:
        """Whose response it is; None of a head that was refused."""
        return self._request

    @property
    def may_ask(self) -> bool:
        """See Activity."""
        return self._request is not None and self._request.may_ask

    def _wait(self) -> None:
        connection = self._connection
        now = connection.services.hub.now
        self._outbox.start_clock(now)
        connection.deadline.arm(now + self._outbox.left)
        connection.stream.when_writable(self._on_writable)

    def _on_writable(self) -> None:
        """There is room again."""
        connection = self._connection
        if connection.state is not State.SENDING:
            return
        try:
            self._outbox.check_clock(connection.services.hub.now)
            if not self._outbox.flush():
                self._wait()
            elif self._request is None:
                connection.enter(State.SENDING, None)
                connection.linger()
            else:
                connection.enter(State.SENDING, self._request)
                self._request.sent()
        except PeerGone as error:
            log.debug("%r: client gone: %s", connection, error)
            connection.close()
        except Exception:
            connection.broke()

    def expired(self) -> None:
        """See Activity: its time is over, unless it has taken something of which the kernel has told nothing yet."""
        connection = self._connection
        if self._outbox.check_clock(connection.services.hub.now):
            connection.services.budget.moved(self._outbox)
            self._wait()
        else:
            log.debug("%r: reads too slowly (send_timeout, send_min_rate)", connection)
            connection.reset()

    def end(self) -> str | None:
        """See Activity."""
        told = repr(self._connection)
        self._connection.close()
        return told

    def closed(self) -> None:
        """See Activity."""
        self._outbox.drop()
        if self._request is not None:
            self._request.closed()


def send_early(connection: Host, whole: bytes | memoryview) -> memoryview:
    """Send a response whose app goes on for longer. Return the rest, for when that is over. Switches: never.

    A rest is rare: what is held back is small.
    """
    try:
        return memoryview(whole)[connection.stream.send_now(whole) :]
    except PeerGone as error:
        log.debug("%r: client gone: %s", connection, error)
        connection.close()
        return memoryview(b"")
