"""What the hub asks of a poller, and what a poller asks of the hub that has it.

A poller knows descriptor numbers and nothing else: no greenlet, no callback, no timer. Only the hub calls it.
Readiness comes out in epoll's bits (READ, WRITE, HANGUP), whatever the kernel's own are.

Facts: epoll and kqueue can tell of changes (edges): a descriptor is registered once and costs no system call
per wait. poll and select tell of states (levels): a descriptor that is watched while nobody reads it makes
every turn return at once. Consequence: `edge` says which kind a poller is, and a level poller watches a side
only from `arm` until it has told of it once. The hub treats both alike: it remembers an edge that nobody
waited for and arms before it waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from greenserve_hub.deadlines import DeadlineQueue

READ = 1  # EPOLLIN
WRITE = 4  # EPOLLOUT
HANGUP = 0x2000 | 0x10 | 0x8  # EPOLLRDHUP, EPOLLHUP, EPOLLERR: the peer has closed at least its sending side

Call = tuple[Callable[..., object], tuple[Any, ...]]


class Poller(Protocol):
    """What the hub asks of a poller. The contract tests run over every implementation."""

    name: str
    edge: bool

    def register(self, fd: int) -> None:
        """Begin to watch a descriptor; OSError when the kernel cannot watch its kind (EPERM)."""

    def unregister(self, fd: int) -> bool:
        """Stop watching it. Called before it is closed.

        False, and no error, when the kernel knows it no longer: it was closed behind the hub's back, and the number
        may be somebody else's by now. Level pollers cannot tell: always True.
        """

    def arm(self, fd: int, sides: int) -> None:
        """Tell of these sides (READ | WRITE) once.

        Edge pollers tell of all changes anyhow; asked, they tell of what is ready already, once more.
        """

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """Wait at most `seconds` (None: until something happens); a list of (descriptor, bits)."""

    def close(self) -> None:
        """Give back what the poller itself holds."""


class PollablePoller(Poller, Protocol):
    """One that is itself a descriptor, readable while it has something to tell: epoll and kqueue."""

    def fileno(self) -> int:
        """The descriptor."""


class Host(Protocol):
    """What a poller that runs other code while it waits asks of the hub that has adopted it."""

    ready: deque[Call]
    deadlines: DeadlineQueue

    def expect_calls(self) -> None:
        """Take it from now on that something outside may wake the program."""

    def tell_error(self, error: BaseException) -> None:
        """Tell of an error that nobody waits for."""
