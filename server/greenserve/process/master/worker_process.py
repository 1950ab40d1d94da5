"""WorkerProcess: a worker, as its master handles it: its process, its channel, and its row of the board.

See seats.Worker, which it is for the crew.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from greenserve.metrics.board import Row
from greenserve.net.serving.listeners import Given
from greenserve.process.crew.seats import Failure, State
from greenserve.process.master.channel import Channel, Message
from greenserve_hub.deadlines import NEVER
from greenserve_hub.unpatched import socket, time

__all__ = ["BEAT", "WorkerProcess", "beat_now"]

BEAT: Final = "beat"  # the column of the board in which a worker's hub notes that it runs


def beat_now() -> int:
    """The clock of the heartbeats: milliseconds, the same in all processes."""
    return int(time.monotonic() * 1000)


class WorkerProcess:
    """One worker."""

    def __init__(
        self,
        number: int,
        seat: int,
        pid: int,
        row: Row,
        born: float,
        adoptable: Callable[[int], Given],
    ) -> None:
        """`number` counts the workers of one master; `adoptable(seat)` returns a seat's own sockets."""
        self.number = number
        self.seat = seat
        self.pid = pid
        self.row = row
        self.state = State.STARTING
        self.born = born
        self.ready_at = 0.0
        self.left_at = born
        self.failure: Failure | None = None
        self.kill_at = NEVER
        self._adoptable = adoptable
        self._channel: Channel | None = None

    def __str__(self) -> str:
        """For the log."""
        return f"worker {self.number} (process {self.pid})"

    def listen(
        self,
        sock: socket.socket,
        heard: Callable[[WorkerProcess, Message], object],
        ended: Callable[[WorkerProcess], object],
    ) -> None:
        """Take the master's end of its channel. Switches: never."""
        self._channel = Channel(sock, lambda message, _: heard(self, message), lambda: ended(self))

    @property
    def channel(self) -> Channel:
        """The master's end."""
        assert self._channel is not None
        return self._channel

    def silence(self) -> float:
        """Return the seconds since its hub last ran. 0 before the first heartbeat."""
        beat = self.row[BEAT]
        return max(0.0, (beat_now() - beat) / 1000) if beat else 0.0

    def retire(self) -> None:
        """See seats.Worker."""
        self.channel.send({"do": "retire"})

    def make_way(self) -> None:
        """See seats.Worker."""
        self.channel.send({"do": "make way"})

    def stop(self, number: int) -> None:
        """See seats.Worker. A terminal's Ctrl-C reaches the worker too, and would be a second signal."""
        if number == signal.SIGINT and self.state is not State.STARTING:
            self.channel.send({"do": "stop"})
        else:
            self._signal(signal.SIGTERM)

    def hurry(self) -> None:
        """See seats.Worker. The signal is for one whose hub is held."""
        self.channel.send({"do": "hurry"})
        self._signal(signal.SIGTERM)

    def pass_on(self, number: int) -> None:
        """Send it a signal that the master was sent, if it has a handler by now."""
        if self.state is not State.STARTING:
            self._signal(number)

    def abort(self) -> None:
        """See seats.Worker."""
        self._signal(signal.SIGABRT)  # faulthandler has it log the stacks, in C

    def kill(self) -> None:
        """See seats.Worker."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def adopt(self, seat: int) -> None:
        """See seats.Worker."""
        given = self._adoptable(seat)
        fds = [sock.fileno() for sock in given.serving + given.redirecting]
        if fds:
            self.channel.send({"do": "adopt", "seat": seat, "serving": len(given.serving)}, fds)

    def leave(self, seat: int) -> None:
        """See seats.Worker."""
        self.channel.send({"do": "leave", "seat": seat})
