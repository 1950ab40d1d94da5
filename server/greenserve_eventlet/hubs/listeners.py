"""FdListener: a callback for each time a descriptor is ready, until it is removed.

Facts: eventlet's hub.add() tells again in each turn as long as the descriptor is ready; the runtime tells once.
Decision: after each call the listener is armed again, which makes every poller tell again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Final

from greenlet import getcurrent

from greenserve_hub import ConcurrentUseError, IOClosed, get_hub
from greenserve_hub.loop import readiness
from greenserve_hub.loop.descriptors import Descriptor

READ: Final = "read"
WRITE: Final = "write"


class FdListener:
    """What hub.add() returns: `cb(fileno)` when ready, `mark_as_closed()` and `tb(IOClosed)` when closed."""

    def __init__(
        self,
        evtype: str,
        fileno: int,
        cb: Callable[[int], object],
        tb: Callable[..., object] | None,
        mark_as_closed: Callable[[], object] | None,
    ) -> None:
        """Not started yet."""
        self.evtype = evtype
        self.fileno = fileno
        self.cb = cb
        self.tb = tb
        self.mark_as_closed = mark_as_closed
        self.spent = False
        self.greenlet = getcurrent()
        self.where_called = ""
        self._descriptor: Descriptor | None = None
        self._is_owner = False

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"{type(self).__name__}({self.evtype!r}, {self.fileno!r}, {self.cb!r}, {self.tb!r}){self.where_called}"

    def start(self) -> None:
        """Watch the descriptor. Switches: never. ConcurrentUseError if another one waits in this direction."""
        hub = get_hub()
        descriptor = hub.descriptors.get(self.fileno)
        self._is_owner = descriptor is None
        self._descriptor = descriptor = descriptor or hub.open_descriptor(self.fileno)
        first = descriptor.reader if self.evtype is READ else descriptor.writer
        if first is not None and not readiness.several_allowed():
            raise ConcurrentUseError(
                f"Second simultaneous {self.evtype} on fileno {self.fileno} detected: {first} waits for it. Use one "
                "green thread per direction, or allow it: eventlet.debug.hub_prevent_multiple_readers(False)"
            )
        readiness.join(descriptor, self.evtype is READ, self._ready)

    def _ready(self) -> None:
        descriptor = self._descriptor
        assert descriptor is not None
        if self.spent:
            return
        if descriptor.closed:
            self.defang()
            if self.tb is not None and not self.greenlet.dead:
                self.tb(IOClosed(str(descriptor)))
            return
        try:
            self.cb(self.fileno)
        finally:
            if not self.spent and not descriptor.closed:
                readiness.join(descriptor, self.evtype is READ, self._ready)

    def defang(self) -> None:
        """Make it do nothing from now on. Switches: never."""
        self.spent = True
        if self.mark_as_closed is not None:
            self.mark_as_closed()

    def stop(self) -> None:
        """Stop watching. Repeatable. Switches: never."""
        descriptor, self._descriptor = self._descriptor, None
        self.spent = True
        if descriptor is None or descriptor.closed:
            return
        readiness.leave(descriptor, self.evtype is READ, self._ready)
        if self._is_owner and descriptor.reader is None and descriptor.writer is None:
            descriptor.close()


class DebugListener(FdListener):
    """An FdListener that remembers the stack of its maker."""

    def __init__(self, *args: Any) -> None:
        """Not started yet."""
        super().__init__(*args)
        self.where_called = "\n" + "".join(traceback.format_stack())


noop: Final = FdListener(READ, 0, lambda fileno: None, None, None)

__all__ = ["READ", "WRITE", "DebugListener", "FdListener", "noop"]
