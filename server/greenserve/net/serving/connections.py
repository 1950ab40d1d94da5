"""The connections of one server, and the upgraded ones whose apps outlive them; both are waited for here.

Knows connections as Members. The invariant: a connection is here from its accept to its close; one that has left HTTP
counts as upgraded until then, and as finishing from then until its app has returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from greenserve.net.http.services import Ending, Member
from greenserve_hub.loop.parking import WaitQueue


class Connections:
    """The open connections of one server."""

    def __init__(self, name: object, opened: Callable[[str], None], closed: Callable[[str], None]) -> None:
        """`name` stands in dumps. `opened` and `closed` are called with the peer's address of each connection."""
        self._name = name
        self._opened = opened
        self._closed = closed
        self._open: set[Member] = set()
        self._finishing: set[Ending] = set()  # calls of apps whose upgraded connections are closed
        self.upgraded = 0  # open connections that have left HTTP
        self._awaited: dict[Member, WaitQueue] = {}  # what waits for one connection to close
        self._closes = WaitQueue()  # for any connection to close
        self._quiet = WaitQueue()  # for the last connection to close

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def __iter__(self) -> Iterator[Member]:
        """The open connections; some may be closed meanwhile."""
        return iter(tuple(self._open))

    def __contains__(self, connection: object) -> bool:
        """Return True if it is open."""
        return connection in self._open

    @property
    def beyond_http(self) -> int:
        """The number of connections that have left HTTP and are open, or are closed while their apps still run."""
        return self.upgraded + len(self._finishing)

    @property
    def all(self) -> list[Ending]:
        """The open connections, and the closed ones whose apps still run."""
        return [*self._open, *self._finishing]

    def add(self, connection: Member) -> None:
        """Count a connection that was opened. Switches: never."""
        self._open.add(connection)
        self._opened(connection.peer)

    def remove(self, connection: Member) -> None:
        """Count out a connection that was closed. Switches: never."""
        if connection in self._open:
            self._open.remove(connection)
            self._closed(connection.peer)
        if self._closes.waiting:
            self._closes.wake_all()
        if self._awaited and (waiting := self._awaited.pop(connection, None)) is not None:
            waiting.wake_all()
        if not self._open:
            self._quiet.wake_all()

    def begin_upgrade(self) -> None:
        """Count an open connection that leaves HTTP. Switches: never."""
        self.upgraded += 1

    def end_upgrade(self) -> None:
        """That connection could not leave HTTP, or is closed. Switches: never."""
        self.upgraded -= 1

    def outlive(self, call: Ending) -> None:
        """It is closed, while the call of the app that has upgraded it still runs. Switches: never."""
        self._finishing.add(call)

    def finish(self, call: Ending) -> None:
        """That call is over. Switches: never."""
        self._finishing.discard(call)
        if not self._finishing:
            self._quiet.wake_all()

    def wait_for(self, connection: Member) -> None:
        """Wait until a connection is closed. Switches: unless it is."""
        if connection in self._open:
            self._awaited.setdefault(connection, WaitQueue()).park("the end of", connection, None)

    def wait_for_a_close(self, seconds: float) -> None:
        """Wait until a connection closes and so frees a descriptor and memory, or `seconds`. Switches: always."""
        self._closes.park("descriptors and memory for", self._name, seconds)

    def leave_behind(self) -> None:
        """Forget all connections, in the child of a fork. Switches: never."""
        for connection in self.all:
            connection.leave_behind()
        self._open.clear()
        self._finishing.clear()

    def stop_waiting(self) -> None:
        """Wake what waits for a connection to close. Switches: never."""
        self._closes.wake_all()

    def hurry(self) -> None:
        """Wake what waits for the last connection: its time has become shorter. Switches: never."""
        self._quiet.wake_all()

    def wait_for_last(self, seconds: float) -> None:
        """Wait until the last connection may have closed and all apps returned, at most `seconds`. Switches: always."""
        self._quiet.park("the last connections of", self._name, seconds)
