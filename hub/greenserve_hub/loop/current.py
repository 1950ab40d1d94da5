"""The hub of the current OS thread: found, made when needed, chosen, or replaced.

A hub can be replaced while it holds only Timeouts of the calling green thread, the runtime's own descriptors, and what
a fork left behind.

Facts: a patched program has descriptors in its hub before it does anything (loop/signals.py), and the child of a fork
has the waits of the others. Neither is work. Decision: the owner of such a descriptor puts it into `Hub.companions`,
with a function that registers it again.
"""

from __future__ import annotations

from greenlet import getcurrent

from greenserve_hub import finalization
from greenserve_hub.errors import HubError
from greenserve_hub.forks import keep, leave_in_children
from greenserve_hub.loop.forked import Hubs
from greenserve_hub.loop.hub import Hub, here
from greenserve_hub.loop.wakeups import nothing
from greenserve_hub.pollers.choosing import make_poller


def get_hub() -> Hub:
    """Return the hub of the current OS thread; make one if there is none. Switches: never."""
    try:
        hub: Hub = here.hub
    except AttributeError:
        hub = vars(here).get("last") or Hub(make_poller("auto") if finalization.has_begun() else None)
        # At the interpreter's end find_hub() must not find it, so that patched functions do not either.
        setattr(here, "last" if finalization.has_begun() else "hub", hub)
    return hub


def find_hub() -> Hub | None:
    """Return the hub of the current OS thread, or None if it has none yet. Switches: never."""
    hub: Hub | None = getattr(here, "hub", None)
    return hub


def use_hub(name: str | None = "auto") -> Hub:
    """Choose the poller for the current OS thread, before anything waits. Switches: never.

    `name` is one of `available_pollers()`, or "auto" or None for the best one. HubError if the hub already has work;
    in the child of a fork the waits of other green threads do not count.
    """
    old = find_hub()
    if old is not None and _is_at_work(old):
        raise HubError(
            "use_hub() comes too late: the hub of this thread already has work; call it before anything else"
        )
    hub = Hub(make_poller(name or "auto"))
    if old is not None:
        _move(old, hub)
        old.close()
    here.hub = hub
    return hub


def set_hub(hub: Hub | None) -> Hub | None:
    """Set the hub of the current OS thread (None: a new one is made when needed), and return the previous one.

    For test kits and hubs with their own poller. Waits on the previous hub continue when it is set again. Switches:
    never.
    """
    before = find_hub()
    if hub is not None:
        here.hub = hub
    elif before is not None:
        del here.hub
    return before


def _is_at_work(hub: Hub) -> bool:
    """Return True if it has waits or calls that would be lost with it. Switches: never."""
    current = getcurrent()
    return (
        current is hub.greenlet
        or any(not waiter.woken for waiter in hub.parked.values())
        or any(descriptor not in hub.companions for descriptor in hub.descriptors.values())
        or any(fn is not nothing for fn, _ in hub.ready)
        or any(deadline.pending and deadline.args[:1] != (current,) for _, _, deadline in hub.deadlines.heap)
    )


def _move(old: Hub, new: Hub) -> None:
    """Move what _is_at_work() does not count. Switches: never."""
    for _, _, deadline in old.deadlines.heap:
        deadline.move(new.deadlines)
    for descriptor, follow in tuple(old.companions.items()):
        descriptor.close()
        follow(new)


# In the child of a fork the hub of the green thread that forked starts again.
_all = Hubs()
leave_in_children(_all)
# At the interpreter's end it is left and not dropped: uvloop would complain that its loop was not closed.
finalization.when_it_begins(lambda: keep(set_hub(None)))
