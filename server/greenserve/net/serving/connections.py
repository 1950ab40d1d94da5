"""The connections of one server, and the upgraded ones whose apps outlive them: who is there, and who waits for an end.

Knows connections by a few of their methods. The invariant: a connection is here from its accept to its close; one that
has left HTTP is counted as such as long, and finishing after it until its app is through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from greenserve_hub.loop.parking import WaitQueue

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection
    from greenserve.net.serving.admission import Admission


class Connections:
    """Open connections of one server."""

    def __init__(self, name: object) -> None:
        """None; `name` is told in dumps."""
        self._name = name
        self._open: set[Connection] = set()
        self._finishing: set[Connection] = set()  # closed, while the app that has upgraded them still runs
        self.upgraded = 0  # of those that are open
        self._closes = WaitQueue()  # who waits for any connection to close
        self._quiet = WaitQueue()  # who waits for the last connection to close
        self.admission: Admission | None = None  # is told of each that comes and goes

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        """Those that are open, and may close meanwhile."""
        return iter(tuple(self._open))

    def __contains__(self, connection: object) -> bool:
        """Whether it is open."""
        return connection in self._open

    @property
    def beyond_http(self) -> int:
        """How many have left HTTP and are open, or closed while their apps still run."""
        return self.upgraded + len(self._finishing)

    @property
    def all(self) -> list[Connection]:
        """The open ones and those whose apps are not through."""
        return [*self._open, *self._finishing]

    def add(self, connection: Connection) -> None:
        """It was opened. Switches: never."""
        self._open.add(connection)
        if self.admission is not None:
            self.admission.count_in(connection.peer)

    def remove(self, connection: Connection) -> None:
        """It was closed. Switches: never."""
        if connection in self._open:
            self._open.remove(connection)
            if self.admission is not None:
                self.admission.count_out(connection.peer)
            if connection.is_upgraded:
                self.upgraded -= 1
                connection.log_upgraded()
                if connection.is_with_app:
                    self._finishing.add(connection)
        if self._closes.waiting:
            self._closes.wake_all()
        if not self._open:
            self._quiet.wake_all()

    def finish(self, connection: Connection) -> None:
        """The app that had upgraded it is through, some time after it was closed. Switches: never."""
        self._finishing.discard(connection)
        if not self._finishing:
            self._quiet.wake_all()

    def wait_for_a_close(self, seconds: float) -> None:
        """Wait until one closes, which gives back a descriptor and memory, or so long. Switches: always."""
        self._closes.park("descriptors and memory for", self._name, seconds)

    def leave_behind(self) -> None:
        """For the child of a fork. Switches: never."""
        for connection in self.all:
            connection.leave_behind()
        self._open.clear()
        self._finishing.clear()

    def stop_waiting(self) -> None:
        """Wake who waits for one to close. Switches: never."""
        self._closes.wake_all()

    def hurry(self) -> None:
        """Wake who waits for the last one, to look at its time again. Switches: never."""
        self._quiet.wake_all()

    def wait_for_last(self, seconds: float) -> None:
        """Wait until the last one may have closed and all apps are through, or so long. Switches: always."""
        self._quiet.park("the last connections of", self._name, seconds)
