"""How long one request waits for its client, to send a body and to take a response, and lends its slot meanwhile.

Made when a request first has to wait. The invariant: a slot that was lent is taken back before the request goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from greenlet import getcurrent, greenlet

from greenserve.errors import PeerGone
from greenserve.net.http.activity import Host
from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.stream import SEND_STEP, Side
from greenserve_hub.deadlines import NEVER


class Patience:
    """The credit of one request's client, in both directions."""

    __slots__ = ("_connection", "_send", "body")

    def __init__(self, connection: Host) -> None:
        """All of it is left."""
        self._connection = connection
        self.body: Pace = connection.services.timeouts.body_pace()
        self._send: Pace | None = None

    def wait_to_receive(self, side: Side, worker: greenlet | None) -> None:
        """Wait for more of the body. `worker` is the green thread that holds the request's slot. Switches: always.

        Raises TimeoutError, PeerGone.
        """
        # When time is over, the stream looks once more: an app may have held the hub while something came.
        self._wait(side, worker, self.body)

    def wait_to_send(self, side: Side, worker: greenlet | None) -> None:
        """Wait until the client takes more. Else as wait_to_receive."""
        pace = self._send
        if pace is None:
            pace = self._send = self._connection.services.timeouts.send_pace()
        if self._wait(side, worker, pace, self._connection.stream.untaken):
            pace.earn(SEND_STEP)

    def _wait(self, side: Side, worker: greenlet | None, pace: Pace, level: Callable[[], int] = int) -> bool:
        """Wait for as long as the pace allows. Return True if the wait came to its end.

        It is asked for again after a try of the call in question: TimeoutError then, when no time is left.
        """
        if pace.is_over:
            raise TimeoutError
        services = self._connection.services
        hub = services.hub
        slots = services.slots
        # Another green thread of the app's has no slot to lend.
        lent = getcurrent() is worker and slots.lend()
        pace.begin(hub.clock(), level())
        try:
            self._connection.stream.wait(side, None if pace.left == NEVER else pace.left)
            moved = True
        except TimeoutError:
            moved = False
        except PeerGone:
            if lent:
                slots.take_back()
            raise
        except BaseException:
            # Thrown at the request: its end, or a time limit of the app's own, which can't be kept waiting.
            if lent:
                slots.take_back_now()
            raise
        pace.end(hub.now, level())  # not clock(): what ran before us in this turn is not the client's
        if lent:
            slots.take_back()
        return moved
