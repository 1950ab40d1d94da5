"""Detects that nothing can wake a hub any more, and makes the error.

Called by the hub before it waits without a timeout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from greenlet import greenlet

from greenserve_hub.errors import Deadlock
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.origins import name_of
from greenserve_hub.loop.wakeups import Wakeup


def is_deadlocked(wakeup: Wakeup, descriptors: Iterable[Descriptor]) -> bool:
    """Return True if no descriptor and no OS thread can wake a hub that has no timer. Switches: never."""
    return wakeup.users == 0 and not any(d.reader or d.writer for d in descriptors)


def deadlock_of(parked: Mapping[greenlet, object]) -> Deadlock:
    """Make the error, with a list of what each green thread waits for. Switches: never."""
    waiting = "".join(f"\n  {name_of(green)}: waiting: {waiter}" for green, waiter in parked.items())
    return Deadlock(
        "nothing is left that could wake this program: no timer, no descriptor, no other OS thread."
        " These green threads wait:" + waiting
    )
