"""What can go wrong in the hub, in one place.

    Exception
    └─ HubError (RuntimeError)       the hub was used wrongly, or cannot go on
       ├─ ConcurrentUseError         a second green thread waits on a descriptor's side that is taken
       └─ Deadlock                   nothing is left that could ever wake the program
    OSError
    └─ IOClosed                      the descriptor was closed under the green thread that waited on it
    BaseException
    ├─ greenlet.GreenletExit         a green thread was killed
    └─ Timeout                       in greenthreads/timeouts.py, beside the clockwork it needs

Timeout and GreenletExit are no Exceptions, so `except Exception` in the code they interrupt does not swallow
them.
"""

from __future__ import annotations

import errno


class HubError(RuntimeError):
    """The hub was used in a way that cannot work."""


class ConcurrentUseError(HubError):
    """Two green threads wait for the same side of one descriptor; the text names both."""


class Deadlock(HubError):
    """Every green thread waits and no timer, descriptor or OS thread is left to wake one."""


class IOClosed(OSError):
    """The descriptor was closed while this green thread waited on it (EBADF)."""

    def __init__(self, what: str) -> None:
        """`what` names the descriptor and the side that was waited for."""
        super().__init__(errno.EBADF, f"{what} was closed while it was waited on")
