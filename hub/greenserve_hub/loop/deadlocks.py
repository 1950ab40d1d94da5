"""Whether a hub waits for nothing that could ever come, and the error that says so.

Called by the hub before it waits without an end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from greenlet import greenlet

from greenserve_hub.errors import Deadlock
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.origins import name_of
from greenserve_hub.loop.wakeups import Door


def is_deadlocked(door: Door, descriptors: Iterable[Descriptor]) -> bool:
    """Whether no descriptor and no other OS thread can wake a hub that has no timer. Switches: never."""
    return door.users == 0 and not any(d.reader or d.writer for d in descriptors)


def deadlock_of(parked: Mapping[greenlet, object]) -> Deadlock:
    """The error, with the list of who waits for what. Switches: never."""
    waiting = "".join(f"\n  {name_of(green)}: waiting: {waiter}" for green, waiter in parked.items())
    return Deadlock(
        "nothing is left that could wake this program: no timer, no descriptor, no other OS thread."
        " Waiting are:" + waiting
    )
