"""A stand-in for a hub that has to wait itself: another greenlet runs the loop meanwhile.

Facts: finalizers run where the last reference goes and where the collector happens to run, a debugger's commands where
they arrive. That may be in the hub's greenlet, in the midst of a callback or of the loop. They may have to wait, for a
lock that a green thread holds, say; a thread would. The hub can't give way to itself, and what it was about to do lies
below them on its stack. Decision: a new greenlet runs the loop until the wait is over, and ends when the one that it
stands in for goes on. It gets what was begun and is not that one's alone: the calls that are ready, the events of the
last poll, the wakes of green threads. So what was interrupted waits, and nothing else. Cost: none, until a hub has to
wait; then a look at all who wait, and at each descriptor.

Invariant: one greenlet is `hub.greenlet`; others that were it wait inside what has interrupted them.

Called by loop/parking.py. A callback of the hub may wait for a lock of the patched standard library, which any code may
take (logging's). That it waits for anything else stays an error: see may_wait().
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dis import opname
from functools import partial
from typing import Final, Protocol

from greenlet import GreenletExit, greenlet

from greenserve_hub.loop.greenlets import HubLoop, Parked, Relieved
from greenserve_hub.loop.hub import POLLING, Hub
from greenserve_hub.loop.wakeups import nothing

# The names of functions that nobody calls from a callback: finalizers, and what a debugger has the process run.
_UNCALLED: Final = frozenset({"__del__", "<module>", "trace_dispatch"})
# Instructions that call nothing. A function that runs "in" one has interrupted it.
_CALL_NOTHING: Final = frozenset(
    {"DELETE_FAST", "JUMP_BACKWARD", "LOAD_CONST", "LOAD_FAST", "NOP", "POP_TOP", "RESUME", "STORE_FAST"}
)


class Wait(Parked, Protocol):
    """A wait of the hub's own greenlet."""

    hub: Hub

    @property
    def waits(self) -> bool:
        """Whether it is parked, and not resumed yet."""

    def wake(self) -> bool:
        """Have it resumed in the next turn."""


def may_wait() -> bool:
    """Whether what runs in the hub has interrupted it. A callback that waits is a mistake. Switches: never.

    Not told apart: a weak reference's callback, and a finalizer of another name, that runs just after a call.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None:
        if frame.f_code.co_name in _UNCALLED:
            return True
        frame = frame.f_back
        if opname[frame.f_code.co_code[frame.f_lasti]] in _CALL_NOTHING:
            return True
    return False


def stand_in(waiter: Wait) -> None:
    """Have another greenlet run the loop until `waiter`, of the hub's own greenlet, is resumed. Switches: always."""
    hub = waiter.hub
    regular = hub.greenlet
    was_polling = hub.steps is POLLING
    killed = None
    _be_hub(hub, HubLoop(partial(hub._run, _hand_over(hub, waiter)), hub.main))
    leave = getattr(hub.poller, "left", nullcontext)
    with leave():
        while waiter.waits:
            try:
                hub.switch()  # and again: green threads that were spawned by this one end here
            except GreenletExit as error:
                if hub.closed:
                    raise
                killed = error
                waiter.wake()  # the other one is in the midst of something, and lets go where it is not
            except BaseException:
                hub.report_error()
    other = hub.greenlet
    _be_hub(hub, regular)
    hub.steps = iter(())
    # The calls are another turn's. If the one that was interrupted is just about to take one, it takes this.
    hub.left = 0
    hub.ready.appendleft((nothing, ()))
    if was_polling:
        hub.call_from_thread(nothing)  # it may be just about to, for a time that was right before
    else:
        hub.tell_again()
    other.parent = regular
    other.throw(Relieved)
    if killed is not None:
        raise killed


def _be_hub(hub: Hub, loop: greenlet) -> None:
    hub.greenlet = loop
    hub.switch = loop.switch


def _hand_over(hub: Hub, waiter: Wait) -> Iterable[tuple[int, int]]:
    """Make sure that nothing hangs on what is interrupted; the events of the last poll that are left."""
    steps, hub.steps = hub.steps, iter(())
    hub.waiting = False
    if steps is POLLING:
        hub.tell_again()
    wakes = [(hub.calling, ())]
    if hub.deadlines.firing is not None:
        wakes.append((hub.deadlines.firing.callback, hub.deadlines.firing.args))
    for wake, args in wakes:
        if wake is not None and getattr(wake, "__func__", None) is type(waiter).wake:
            wake(*args)
    for other in tuple(hub.parked.values()):
        other.remind()
    hub._answer_door()
    return steps
