"""The testing kit: a clock that jumps instead of letting you wait, and a wait until everybody else waits.

For the tests of this package and of programs that stand on it. With `fake_clock()` an hour of sleeping, of
timeouts and of keep-alives passes in no time, and in the same order as in a real hour.

    with fake_clock() as clock:
        green = spawn(poll_every_minute)
        sleep(3600)                       # returns at once; clock() is an hour on
        green.kill()

Only the hub's own time is fake. What comes from outside (other processes, other OS threads) takes real time,
during which this clock may have jumped past its timeout: keep both ends of a conversation inside one hub.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from greenlet import getcurrent

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import kill
from greenserve_hub.loop.current import get_hub, set_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter
from greenserve_hub.pollers.choosing import make_poller
from greenserve_hub.pollers.contract import Poller


class FakeClock:
    """Seconds that pass only when told to, or when a hub with a JumpingPoller has nothing else to do."""

    def __init__(self, now: float = 1000.0) -> None:
        """Stands at `now`."""
        self.now = now

    def __call__(self) -> float:
        """The time, in seconds. A new object each time, as a real clock's."""
        return self.now + 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass. What is due then runs when the current green thread waits. Switches: never."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds} s")
        self.now += seconds


class JumpingPoller:
    """Another poller, which never waits for a deadline: it moves the clock there instead."""

    def __init__(self, poller: Poller, clock: FakeClock) -> None:
        """Around `poller`, for a hub on `clock`."""
        self.name = poller.name
        self.edge = poller.edge
        self._poller = poller
        self._clock = clock
        self.register = poller.register
        self.unregister = poller.unregister
        self.arm = poller.arm
        self.close = poller.close

    def __getattr__(self, name: str) -> Any:
        """What the asyncio hub's poller can do besides."""
        return getattr(self._poller, name)

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """What is ready now; if nothing is, the clock jumps by `seconds`. None waits for the world outside."""
        if not seconds:
            return self._poller.poll(seconds)
        events = self._poller.poll(0)
        if not events:
            self._clock.advance(seconds)
        return events


@contextmanager
def fake_clock(now: float = 1000.0) -> Iterator[FakeClock]:
    """Put a hub with a FakeClock in the place of this thread's, from the main greenlet; yields the clock.

    At the end, green threads that still wait on it are killed.
    """
    if getcurrent().parent is not None:
        raise HubError("fake_clock() begins in a thread's main greenlet, not in a green thread")
    clock = FakeClock(now)
    hub = Hub(JumpingPoller(make_poller(os.environ.get("GREENSERVE_HUB", "auto")), clock), clock)
    old = set_hub(hub)
    try:
        yield clock
    finally:
        try:
            _kill_all(hub)
            hub.close()
        finally:
            set_hub(old)


def _kill_all(hub: Hub) -> None:
    # Again and again, since what one does in its finally clauses may make others wait.
    for _ in range(100):
        if not hub.parked:
            break
        for green in tuple(hub.parked):
            kill(green)


_watches: WeakKeyDictionary[Hub, list[Waiter]] = WeakKeyDictionary()  # who waits until all others are blocked


def wait_all_blocked() -> None:
    """Wait until every other green thread of this hub waits, and not for what is there already. Switches: always.

    Sleeps and timeouts that are not due count as waiting: no time passes on a fake clock.
    """
    hub = get_hub()
    waiter = Waiter(hub, "all others to be blocked")
    watch = _watches.setdefault(hub, [])
    watch.append(waiter)
    if len(watch) == 1:
        hub.call_soon(_look, hub)
    waiter.park()


def _look(hub: Hub) -> None:
    # Called by the hub. When nothing is ready, nothing is due and the kernel has nothing to tell, all wait.
    if not hub.ready and hub.deadlines.next_moment() > hub.clock():
        events = hub.poller.poll(0)
        if not events:
            for waiter in _watches.pop(hub):
                waiter.wake()
            return
        hub.hand_out(events)
    hub.call_soon(_look, hub)
