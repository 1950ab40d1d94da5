"""The child of a fork: one green thread has come along, and the process ends when it does.

Facts: fork(2) copies the thread that calls it and no other, and in the child that one is the program. A green thread
that forks has others around it which belong to the parent: the hub, a pool's worker, a server that waits for its
answer. Were they to go on in the child, they would do the parent's work a second time. Decision: the child ends where
the green thread that forked comes to its end, with what CPython says of a program that ends so: an exception is printed
and is status 1, SystemExit has its own. Cost: no atexit function and no finally clause of the parent's runs in the
child, as with os._exit(), which is how it ends.

Knows greenlets and nothing of the hub, which calls `come_alone` in the child. Whoever catches the errors of code that
is not its own asks `is_last()`, and ends the child in the place of going on. Whatever holds descriptors that are the
parent's alone asks for `leave_in_children`. A C library that forks by itself tells nobody.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import NoReturn, Protocol
from weakref import WeakSet

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.unpatched import os, signal

# In a child: the green thread that forked, unless it is the thread's main one.
last: greenlet | None = None
_left_behind: list[object] = []


class Inherited(Protocol):
    """What a child has of its parent."""

    def leave_behind(self) -> None:
        """Give back what is the parent's, and nothing else: wake nobody, tell nobody. Repeatable."""


_inherited: WeakSet[Inherited] = WeakSet()


def leave_in_children(one: Inherited) -> None:
    """Have every child of a fork call its `leave_behind`, for as long as it lives. Switches: never."""
    _inherited.add(one)


def _after_fork() -> None:
    for one in tuple(_inherited):
        one.leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def is_last() -> bool:
    """Whether this is a child, and the current green thread the one that forked. Switches: never."""
    return last is not None and getcurrent() is last


def main_here() -> greenlet:
    """The green thread that this OS thread's program runs on: in a child the one that forked. Switches: never."""
    green = getcurrent()
    while green is not last and green.parent is not None:
        green = green.parent
    return green


def come_alone(left: list[greenlet]) -> None:
    """In a child: have it end with the current green thread, which is no hub's own. Switches: never.

    `left` never run again and never end, so that none of their finally clauses undoes in the child what is still needed
    in the parent.
    """
    global last
    _left_behind.extend(left)  # a greenlet that nothing refers to is unwound
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
    """Have it never be finalized. Switches: never."""
    _left_behind.append(one)


def end_with_hub() -> None:
    """In a child whose fork was a hub's callback: it ends with that. Switches: never."""
    global last
    last = getcurrent()


def _wait_for_end(forked: greenlet) -> NoReturn:
    try:
        forked.switch()  # back, and here again when it has ended
    except BaseException as error:
        end_child(error)
    end_child()


def end_child(
    error: BaseException | None = None, tell: Callable[[BaseException], object] | None = None
) -> NoReturn:
    """End this process as CPython ends a program that `error` has left, or that came to its end.

    `tell(error)` prints what is no SystemExit; sys.excepthook does so unless given.
    """
    status = 1
    try:
        status = _status_of(error, tell)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # None, or closed, or whatever it is by now
                stream.flush()
    finally:
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status if status >= 0 else 128 - status)  # process 1 outlives its own signals


def _status_of(error: BaseException | None, tell: Callable[[BaseException], object] | None) -> int:
    """What the parent gets of it; negative: of the signal that ends it."""
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
    # Ctrl-C: whoever waits for this child is to see that it was the signal.
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
