"""The interfaces between the hub and a poller.

A poller knows only descriptor numbers: no greenlet, no callback, no timer. Only the hub calls it. All pollers report
readiness in epoll's bits (READ, WRITE, HANGUP).

Facts: epoll and kqueue report changes (edges): a descriptor is registered once, and a wait costs no system call. poll
and select report states (levels): a watched descriptor that nothing reads makes every turn return at once. Consequence:
`edge` says which kind a poller is, and a level poller watches a direction only from `arm` until it has reported it
once. The hub treats both kinds alike: it remembers an edge that nothing waited for, and arms before it waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from greenserve_hub.deadlines import DeadlineQueue

READ = 1  # EPOLLIN
WRITE = 4  # EPOLLOUT
BROKEN = 0x10 | 0x8  # EPOLLHUP, EPOLLERR: nothing can be sent to the peer any more
HANGUP = 0x2000 | BROKEN  # besides EPOLLRDHUP: the peer has closed at least its sending side

Call = tuple[Callable[..., object], tuple[Any, ...]]


class Poller(Protocol):
    """A poller, as the hub uses it. The contract tests run over every implementation."""

    name: str
    edge: bool

    def register(self, fd: int) -> None:
        """Start to watch a descriptor; OSError if the kernel cannot watch its kind (EPERM)."""

    def unregister(self, fd: int) -> bool:
        """Stop watching it. Called before it is closed.

        Return False if the kernel does not know it any more: other code has closed it, and the number may belong to
        another file by now. Level pollers cannot tell: always True.
        """

    def arm(self, fd: int, sides: int) -> None:
        """Report readiness in these directions (READ | WRITE) once.

        Edge pollers report all changes anyway; this makes them report again what is ready already.
        """

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """Wait at most `seconds` (None: until an event), and return a list of (descriptor, bits)."""

    def close(self) -> None:
        """Close the poller's own descriptors."""


class PollablePoller(Poller, Protocol):
    """A poller with a descriptor of its own, which is readable while it has events: epoll and kqueue."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Host(Protocol):
    """The hub, as a poller uses it that runs other code while it waits."""

    ready: deque[Call]
    deadlines: DeadlineQueue

    def expect_calls(self) -> None:
        """Assume from now on that something outside may wake the program."""

    def tell_error(self, error: BaseException) -> None:
        """Report an error that no green thread waits for."""
