"""What becomes of the hubs in the child of a fork: that of the green thread that forked begins anew, others end.

What happens once in a process's life and not in every turn.
"""

from __future__ import annotations

from greenlet import getcurrent

from greenserve_hub.forks import come_alone, end_child, end_with_hub, main_here
from greenserve_hub.loop.hub import Hub, here, made
from greenserve_hub.loop.wakeups import nothing
from greenserve_hub.pollers.choosing import make_poller
from greenserve_hub.unpatched import _thread


class Hubs:
    """All hubs of the process, as forks.py knows them."""

    def leave_behind(self) -> None:
        """In the child of a fork: reopen() the current hub, and end those of other OS threads. Switches: never."""
        for hub in tuple(made):
            if getattr(here, "hub", None) is hub:
                reopen(hub)
            elif hub.thread_id != _thread.get_ident() and not hub.closed:
                end_without_thread(hub)


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
