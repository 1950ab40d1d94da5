"""What goes along when an OS thread gets another hub: Timeouts of the green thread that asks, and the runtime's own.

Called by use_hub() only. A hub may be left while nothing but that is in it, and what a fork left behind there.

Facts: a patched program has descriptors in its hub before it has done anything (loop/signals.py), and the child of a
fork has what others waited for. Neither is work. Decision: whoever has such a descriptor puts it into `Hub.companions`,
with what registers it anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import getcurrent

if TYPE_CHECKING:
    from greenserve_hub.loop.hub import Hub


def nothing() -> None:
    """Stand in the hub's queue for a call that there is no more, or to have a turn made. Switches: never."""


def is_at_work(hub: Hub) -> bool:
    """Return True if something waits in it, or is about to run, that would be lost with it. Switches: never."""
    current = getcurrent()
    return (
        current is hub.greenlet
        or any(not waiter.woken for waiter in hub.parked.values())
        or any(descriptor not in hub.companions for descriptor in hub.descriptors.values())
        or any(fn is not nothing for fn, _ in hub.ready)
        or any(deadline.pending and deadline.args[:1] != (current,) for _, _, deadline in hub.deadlines.heap)
    )


def move(old: Hub, new: Hub) -> None:
    """Take along what is_at_work() does not count. Switches: never."""
    for _, _, deadline in old.deadlines.heap:
        deadline.move(new.deadlines)
    for descriptor, follow in tuple(old.companions.items()):
        descriptor.close()
        follow(new)
