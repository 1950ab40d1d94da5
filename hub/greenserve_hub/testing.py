"""For tests: a fake clock that jumps instead of waiting, and a wait until all other green threads wait.

With `fake_clock()` an hour of sleeps, timeouts and keep-alives passes in no time, and in the same order as in a real
hour.

    with fake_clock() as clock:
        green = spawn(poll_every_minute)
        sleep(3600)                       # returns at once; clock() is an hour on
        green.kill()

Only the hub's own time is fake. Other processes and OS threads take real time, during which this clock may jump past
their timeout: keep both ends of a conversation inside one hub.
"""

from __future__ import annotations

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
from greenserve_hub.pollers.choosing import choose_poller
from greenserve_hub.pollers.contract import Poller


class FakeClock:
    """A clock that moves only by advance(), or when a hub with a JumpingPoller has nothing else to do."""

    def __init__(self, now: float = 1000.0) -> None:
        """Start at `now`."""
        self.now = now

    def __call__(self) -> float:
        """Return the time in seconds; a new object each time, as from a real clock."""
        return self.now + 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass. Deadlines that become due fire when the current green thread waits. Switches: never."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds} s")
        self.now += seconds


class JumpingPoller:
    """Wraps a poller. It never waits for a deadline, but moves the clock there instead."""

    def __init__(self, poller: Poller, clock: FakeClock) -> None:
        """Wrap `poller`, for a hub that uses `clock`."""
        self.name = poller.name
        self.edge = poller.edge
        self._poller = poller
        self._clock = clock
        self.register = poller.register
        self.unregister = poller.unregister
        self.arm = poller.arm
        self.close = poller.close

    def __getattr__(self, name: str) -> Any:
        """Further attributes of the asyncio hub's poller."""
        return getattr(self._poller, name)

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """Return what is ready now. If nothing is, the clock jumps by `seconds`; None really waits."""
        if not seconds:
            return self._poller.poll(seconds)
        events = self._poller.poll(0)
        if not events:
            self._clock.advance(seconds)
        return events


@contextmanager
def fake_clock(now: float = 1000.0) -> Iterator[FakeClock]:
    """Replace this OS thread's hub by one with a FakeClock, and yield the clock.

    At the end, green threads that still wait on that hub are killed. HubError outside the OS thread's main greenlet.
    """
    if getcurrent().parent is not None:
        raise HubError(
            "fake_clock() must be entered in the main greenlet of an OS thread, not in a green thread"
        )
    clock = FakeClock(now)
    hub = Hub(JumpingPoller(choose_poller(), clock), clock)
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
    # Repeatedly, because a finally clause of one may make others wait.
    for _ in range(100):
        if not hub.parked:
            break
        for green in tuple(hub.parked):
            kill(green)


_watches: WeakKeyDictionary[Hub, list[Waiter]] = WeakKeyDictionary()  # of wait_all_blocked()


def wait_all_blocked() -> None:
    """Wait until no other green thread of this hub can run: each waits for something that is not there yet.

    Sleeps and timeouts that are not due count as waiting: no time passes on a fake clock. Switches: always.
    """
    hub = get_hub()
    waiter = Waiter(hub, "all others to be blocked")
    watch = _watches.setdefault(hub, [])
    watch.append(waiter)
    if len(watch) == 1:
        hub.call_soon(_look, hub)
    waiter.park()


def _look(hub: Hub) -> None:
    # Called by the hub. If nothing is ready, no deadline is due and the kernel reports no event, all wait.
    if not hub.ready and hub.deadlines.next_moment() > hub.clock():
        events = hub.poller.poll(0)
        if not events:
            for waiter in _watches.pop(hub):
                waiter.wake()
            return
        hub.hand_out(events)
    hub.call_soon(_look, hub)
