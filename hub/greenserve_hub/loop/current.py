"""The hub of the current OS thread: found, made at first need, chosen, or replaced.

The one module that decides which hub get_hub() gives; it knows nothing of what a hub does.
"""

from __future__ import annotations

from greenserve_hub import finalization
from greenserve_hub.errors import HubError
from greenserve_hub.forks import keep
from greenserve_hub.loop.hub import Hub, here
from greenserve_hub.loop.moves import is_at_work, move
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
    if old is not None and is_at_work(old):
        raise HubError(
            "use_hub() comes too late: this thread's hub is at work already; call it before anything else"
        )
    hub = Hub(make_poller(name or "auto"))
    if old is not None:
        move(old, hub)
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


# At the interpreter's end it is left and not dropped: a loop of uvloop would complain that nobody has closed it.
finalization.when_it_begins(lambda: keep(set_hub(None)))
