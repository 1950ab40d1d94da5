"""A stand-in for a hub that must wait itself: another greenlet runs the loop meanwhile.

Facts: finalizers run where the last reference goes or where the garbage collector runs, and a debugger's commands where
they arrive. That may be in the hub's greenlet, in the middle of a callback or of the loop. There they may have to wait,
for example for a lock that a green thread holds. The hub cannot switch to itself, and its unfinished work lies below
them on its stack. Decision: a new greenlet runs the loop until the wait is over, and ends when the hub's own greenlet
continues. It takes over the unfinished work of others: the ready calls, the events of the last poll, and the wakes of
green threads. So only the interrupted code waits. Cost: none until a hub must wait; then a look at all waiters and at
each descriptor.

Invariant: one greenlet is `hub.greenlet`; earlier ones wait inside the code that has interrupted them.

Called by loop/parking.py. A callback of the hub may wait for a lock of the patched standard library, because any code
may take one (logging's). Any other wait in a callback is an error: see may_wait().
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

# Functions that no callback calls: finalizers, and code that a debugger runs in the process.
_UNCALLED: Final = frozenset({"__del__", "<module>", "trace_dispatch"})
# Instructions that call nothing. If a frame is at one of them, the code above it has interrupted it.
_CALL_NOTHING: Final = frozenset(
    {"DELETE_FAST", "JUMP_BACKWARD", "LOAD_CONST", "LOAD_FAST", "NOP", "POP_TOP", "RESUME", "STORE_FAST"}
)


class Wait(Parked, Protocol):
    """A wait of the hub's own greenlet."""

    hub: Hub

    @property
    def waits(self) -> bool:
        """True while it is parked and not resumed."""

    def wake(self) -> bool:
        """Let it continue in the next turn."""


def may_wait() -> bool:
    """Return True if the running code has interrupted the hub. (A callback that waits is a mistake.) Switches: never.

    Not recognized: the callback of a weak reference, and a finalizer of another name, that runs just after a call.
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
    """Run the loop in another greenlet until `waiter`, of the hub's own greenlet, is resumed. Switches: always."""
    hub = waiter.hub
    regular = hub.greenlet
    was_polling = hub.steps is POLLING
    killed = None
    _be_hub(hub, HubLoop(partial(hub._run, _hand_over(hub, waiter)), hub.main))
    leave = getattr(hub.poller, "left", nullcontext)
    with leave():
        while waiter.waits:
            try:
                hub.switch()  # repeatedly, because green threads that were spawned by this one end here
            except GreenletExit as error:
                if hub.closed:
                    raise
                killed = error
                waiter.wake()  # the stand-in may be in the middle of a step, so it is not ended here
            except BaseException:
                hub.report_error()
    other = hub.greenlet
    _be_hub(hub, regular)
    hub.steps = iter(())
    # The calls belong to another turn. If the interrupted code is about to take one, it takes this.
    hub.left = 0
    hub.ready.appendleft((nothing, ()))
    if was_polling:
        hub.call_from_thread(nothing)  # it may be about to poll, with a timeout that is now too long
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
    """Take over the work of the interrupted code, and return the events of the last poll that are left."""
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
    hub._take_calls()
    return steps
