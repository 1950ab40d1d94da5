"""The hubs in the child of a fork: the hub of the green thread that forked starts again, all others end."""

from __future__ import annotations

from greenlet import getcurrent

from greenserve_hub.forks import come_alone, end_child, end_with_hub, main_here
from greenserve_hub.loop.hub import Hub, here, made
from greenserve_hub.loop.wakeups import nothing
from greenserve_hub.pollers.choosing import make_poller
from greenserve_hub.unpatched import _thread


class Hubs:
    """All hubs of the process, for forks.py."""

    def leave_behind(self) -> None:
        """In the child of a fork: reopen() the current hub, and end those of other OS threads. Switches: never."""
        for hub in tuple(made):
            if getattr(here, "hub", None) is hub:
                reopen(hub)
            elif hub.thread_id != _thread.get_ident() and not hub.closed:
                end_without_thread(hub)


def reopen(hub: Hub) -> None:
    """Start again in the child of a fork, with only the green thread that forked. Switches: never.

    As with threads and fork(2), the others stay behind, and their waits and those of the hub's callbacks are forgotten.
    Poller and wakeup are new, because the kernel would share the old ones with the parent. When the green thread that
    forked ends, and is not the main one, the child ends: see forks.py.
    """
    hub.poller.close()
    hub.poller = make_poller(hub.poller.name)
    hub.wakeup.reopen()
    hub.adopt()
    forget_descriptors(hub)
    current = getcurrent()
    in_callback = current is hub.greenlet
    for _ in range(len(hub.ready)):
        hub.ready.popleft()
        # The current turn has counted these calls, so each is replaced.
        hub.ready.append((end_child if in_callback else nothing, ()))
    for _, _, deadline in hub.deadlines.heap:
        if deadline.args[:1] != (current,):  # otherwise it is a Timeout of the green thread that continues
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
    """In the child of a fork, end a hub whose OS thread does not exist there. Switches: never."""
    hub.closed = True
    # Closing one of its sockets here must not reach the poller, which the kernel shares with the parent.
    forget_descriptors(hub)
    hub.poller.close()
    hub.wakeup.leave_behind()


def forget_descriptors(hub: Hub) -> None:
    """Forget all descriptors, without waking their waiters. Switches: never."""
    for descriptor in hub.descriptors.values():
        descriptor.closed = True
        descriptor.reader = descriptor.writer = None
    hub.descriptors.clear()
    hub.companions.clear()
