"""All errors of the hub.

    Exception
    └─ HubError (RuntimeError)       the hub was used wrongly, or cannot continue
       ├─ ConcurrentUseError         two green threads wait to read, or to write, one descriptor
       └─ Deadlock                   nothing is left that could wake the program
    OSError
    └─ IOClosed                      the descriptor was closed while a green thread waited on it
    BaseException
    ├─ greenlet.GreenletExit         a green thread was killed
    └─ Timeout                       in greenthreads/timeouts.py, beside the timers it needs

Timeout and GreenletExit do not derive from Exception, so `except Exception` in interrupted code does not catch them.
"""

from __future__ import annotations

import errno


class HubError(RuntimeError):
    """The hub was used in a way that cannot work."""


class ConcurrentUseError(HubError):
    """Two green threads wait to read, or to write, one descriptor. The text names both."""


class Deadlock(HubError):
    """Every green thread waits, and no timer, descriptor or OS thread can wake one."""


class IOClosed(OSError):
    """The descriptor was closed while this green thread waited on it (EBADF)."""

    def __init__(self, what: str) -> None:
        """`what` names the descriptor and the direction (read or write)."""
        super().__init__(errno.EBADF, f"{what} was closed while it was waited on")
