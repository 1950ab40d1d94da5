"""How a hub begins anew: in the child of a fork, or when other code has closed its descriptors.

Called by the hub alone, of which this is a part: what happens once in a process's life and not in every turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import getcurrent

from greenserve_hub.forks import come_alone, end_child, end_with_hub, keep, main_here
from greenserve_hub.loop.moves import nothing
from greenserve_hub.pollers.choosing import make_poller

if TYPE_CHECKING:
    from greenserve_hub.loop.hub import Hub


def reopen(hub: Hub) -> None:
    """Begin anew in the child of a fork, with the green thread that forked and no other. Switches: never.

    As fork(2) has it for threads: the others stay behind, and what they and the hub's callbacks waited for is
    forgotten. Poller and door are new, for the kernel would share them with the parent. When the one that forked ends,
    and it is not the main one, the child ends: see forks.py.
    """
    hub.poller.close()
    hub.poller = make_poller(hub.poller.name)
    hub.door.reopen()
    hub.adopt()
    forget_descriptors(hub)
    current = getcurrent()
    in_callback = current is hub.greenlet
    for _ in range(len(hub.ready)):
        hub.ready.popleft()
        # A turn that is under way has counted them.
        hub.ready.append((end_child if in_callback else nothing, ()))
    for _, _, deadline in hub.deadlines.heap:
        if deadline.args[:1] != (current,):  # else it is a Timeout of the one that goes on
            deadline.disarm()
    for waiter in hub.parked.values():
        waiter.leave_behind()
    if in_callback:
        end_with_hub()
        hub.ready.append((end_child, ()))
    else:
        come_alone([*hub.parked, hub.main])
        hub.greenlet.parent = hub.main = main_here()


def end_without_thread(hub: Hub) -> None:
    """End, in the child of a fork, a hub whose OS thread has not come along. Switches: never."""
    hub.closed = True
    # What still closes a socket of its here must not reach the poller, which the kernel shares with the parent.
    forget_descriptors(hub)
    hub.poller.close()
    hub.door.leave_behind()


def forget_descriptors(hub: Hub) -> None:
    """Let go of them without waking anybody. Switches: never."""
    for descriptor in hub.descriptors.values():
        descriptor.closed = True
        descriptor.reader = descriptor.writer = None
    hub.descriptors.clear()
    hub.companions.clear()


def renew(hub: Hub) -> bool:
    """Wait with a new poller and door where other code has closed the old ones, as daemons close all descriptors.

    Whether it had to be. Whoever waited for a descriptor finds it closed. Switches: never.
    """
    is_lost = getattr(hub.poller, "is_lost", None)
    if not hub.door.is_lost() and (is_lost is None or not is_lost()):
        return False
    keep(hub.poller)  # or it would close a number that may be somebody else's
    hub.poller = make_poller(hub.poller.name)
    hub.door.renew()
    hub.adopt()
    for descriptor in hub.descriptors.values():
        descriptor.lose()
    hub.descriptors.clear()
    hub.companions.clear()
    return True
