"""The child of a fork: it has one green thread, and the process ends with it.

Facts: fork(2) copies only the thread that calls it, and in the child that thread is the program. The other green
threads belong to the parent: the hub, a pool's worker, a server that waits for a response. If they continued in the
child, they would do the parent's work a second time. Decision: the child ends when the green thread that forked ends,
with the exit status that CPython gives a program: an exception is printed and gives 1, SystemExit has its own. Cost: no
atexit function and no finally clause of the parent runs in the child, which ends by os._exit().

Knows greenlets but no hub; the hub calls `come_alone` in the child. Code that catches the errors of foreign code asks
`is_last()`, and then ends the child instead of continuing. Objects with descriptors of the parent use
`leave_in_children`. A C library that forks by itself is not noticed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import NoReturn, Protocol
from weakref import WeakSet

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.unpatched import os, signal

# In a child: the green thread that forked, unless it is the main one of its OS thread.
last: greenlet | None = None
_left_behind: list[object] = []


class Inherited(Protocol):
    """An object that a child has from its parent."""

    def leave_behind(self) -> None:
        """Release what belongs to the parent, and nothing else: wake nobody, report nothing. Repeatable."""


_inherited: WeakSet[Inherited] = WeakSet()


def leave_in_children(one: Inherited) -> None:
    """Call `one.leave_behind()` in each child of a fork, while `one` exists. Switches: never."""
    _inherited.add(one)


def _after_fork() -> None:
    for one in tuple(_inherited):
        one.leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def is_last() -> bool:
    """Return True in a child, in the green thread that forked. Switches: never."""
    return last is not None and getcurrent() is last


def main_here() -> greenlet:
    """Return the main green thread of this OS thread; in a child the one that forked. Switches: never."""
    green = getcurrent()
    while green is not last and green.parent is not None:
        green = green.parent
    return green


def come_alone(left: list[greenlet]) -> None:
    """In a child: make it end with the current green thread, which must not be a hub's own. Switches: never.

    The green threads in `left` never run again and never end, so that no finally clause of theirs undoes in the child
    what the parent still needs.
    """
    global last
    _left_behind.extend(left)  # greenlet unwinds a greenlet without references
    current = getcurrent()
    if current.parent is None:
        last = None
        return
    last = current
    root = current.parent
    _left_behind.append(root)
    while root.parent is not None:
        root = root.parent
    guard = greenlet(_wait_for_end, root)
    guard.switch(current)
    current.parent = guard


def keep(one: object) -> None:
    """Keep `one` from being finalized. Switches: never."""
    _left_behind.append(one)


def end_with_hub() -> None:
    """In a child that a callback of the hub has forked: make it end with that callback. Switches: never."""
    global last
    last = getcurrent()


def _wait_for_end(forked: greenlet) -> NoReturn:
    try:
        forked.switch()  # returns here when that green thread has ended
    except BaseException as error:
        end_child(error)
    end_child()


def end_child(
    error: BaseException | None = None, tell: Callable[[BaseException], object] | None = None
) -> NoReturn:
    """End this process as CPython ends a program: after `error`, or normally.

    `tell(error)` prints an error that is not a SystemExit; by default sys.excepthook does.
    """
    status = 1
    try:
        status = _status_of(error, tell)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # it may be None, or closed, or replaced
                stream.flush()
    finally:
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status if status >= 0 else 128 - status)  # process 1 survives its own signals


def _status_of(error: BaseException | None, tell: Callable[[BaseException], object] | None) -> int:
    """Return the exit status; negative for a signal that ends the process."""
    if error is None or isinstance(error, GreenletExit):
        return 0
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{error.code}\n")
        return 1
    with contextlib.suppress(Exception):
        if tell is None:
            sys.excepthook(type(error), error, error.__traceback__)
        else:
            tell(error)
    # Ctrl-C: a process that waits for this child must see the signal.
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
