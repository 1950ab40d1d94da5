"""The hub of the current OS thread: found, made at first need, chosen, or replaced.

A hub may be left for another while nothing is in it but Timeouts of the green thread that asks, the runtime's own
descriptors and what a fork left behind.

Facts: a patched program has descriptors in its hub before it has done anything (loop/signals.py), and the child of a
fork has what others waited for. Neither is work. Decision: whoever has such a descriptor puts it into `Hub.companions`,
with what registers it anew.
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
    """The hub of the current OS thread, made at first need. Switches: never."""
    try:
        hub: Hub = here.hub
    except AttributeError:
        hub = vars(here).get("last") or Hub(make_poller("auto") if finalization.has_begun() else None)
        # One of the interpreter's end is not for find_hub(), and so not for patched functions.
        setattr(here, "last" if finalization.has_begun() else "hub", hub)
    return hub


def find_hub() -> Hub | None:
    """The current OS thread's hub if it has one already. Switches: never."""
    hub: Hub | None = getattr(here, "hub", None)
    return hub


def use_hub(name: str | None = "auto") -> Hub:
    """Choose the poller for the current thread before anything waits on it. Switches: never.

    `name` is one of `available_pollers()`, or "auto" or None: the best there is. HubError when the thread's hub
    already has work. In the child of a fork what others waited for is none.
    """
    old = find_hub()
    if old is not None and _is_at_work(old):
        raise HubError(
            "use_hub() comes too late: this thread's hub is at work already; call it before anything else"
        )
    hub = Hub(make_poller(name or "auto"))
    if old is not None:
        _move(old, hub)
        old.close()
    here.hub = hub
    return hub


def set_hub(hub: Hub | None) -> Hub | None:
    """Make `hub` the current thread's, or have one made at the next need; the one before. Switches: never.

    For testing kits and hubs with a poller of their own. What waits on the one before goes on when that is set again.
    """
    before = find_hub()
    if hub is not None:
        here.hub = hub
    elif before is not None:
        del here.hub
    return before


def _is_at_work(hub: Hub) -> bool:
    """Return True if something waits in it, or is about to run, that would be lost with it. Switches: never."""
    current = getcurrent()
    return (
        current is hub.greenlet
        or any(not waiter.woken for waiter in hub.parked.values())
        or any(descriptor not in hub.companions for descriptor in hub.descriptors.values())
        or any(fn is not nothing for fn, _ in hub.ready)
        or any(deadline.pending and deadline.args[:1] != (current,) for _, _, deadline in hub.deadlines.heap)
    )


def _move(old: Hub, new: Hub) -> None:
    """Take along what _is_at_work() does not count. Switches: never."""
    for _, _, deadline in old.deadlines.heap:
        deadline.move(new.deadlines)
    for descriptor, follow in tuple(old.companions.items()):
        descriptor.close()
        follow(new)


# In the child of a fork the hub of the green thread that forked begins anew.
_all = Hubs()
leave_in_children(_all)
# At the interpreter's end it is left and not dropped: a loop of uvloop would complain that nobody has closed it.
finalization.when_it_begins(lambda: keep(set_hub(None)))
