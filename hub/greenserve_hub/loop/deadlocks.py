"""Whether a hub waits for nothing that could ever come, and the error that says so.

Called by the hub before it waits without an end. Reads what the hub knows and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenserve_hub.errors import Deadlock
from greenserve_hub.loop.origins import name_of

if TYPE_CHECKING:
    from greenserve_hub.loop.hub import Hub


def is_deadlocked(hub: Hub) -> bool:
    """Whether no descriptor and no other OS thread can wake a hub that has no timer. Switches: never."""
    return hub.door.users == 0 and not any(d.reader or d.writer for d in hub.descriptors.values())


def deadlock_of(hub: Hub) -> Deadlock:
    """The error, with the list of who waits for what. Switches: never."""
    waiting = "".join(f"\n  {name_of(green)}: waiting: {waiter}" for green, waiter in hub.parked.items())
    return Deadlock(
        "nothing is left that could wake this program: no timer, no descriptor, no other OS thread."
        " Waiting are:" + waiting
    )
