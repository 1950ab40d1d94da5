"""Makes signals end the hub's wait, so that their handlers run at once.

Facts: Python runs a handler between two bytecodes of the main thread. A signal does not interrupt the wait if it comes
after the last bytecode and before epoll_wait(2) sleeps, or if the kernel delivers it to another OS thread. Its handler
would run at the next event, which on a quiet server may never come. Consequence: C writes a byte for each signal
(signal.set_wakeup_fd), and the hub watches for it. Cost: two descriptors, and the only wakeup descriptor of the
process, so only the owner of the process uses it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import signal, socket


@contextmanager
def wake_on_signals(hub: Hub) -> Iterator[None]:
    """In this block, every signal ends the hub's wait. ValueError outside the main thread. Switches: never.

    The previous wakeup descriptor is restored at the end.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        # A full buffer wakes the hub too.
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        watch = _Watch(reader)
        watch.register(hub)
        try:
            yield
        finally:
            watch.end()
            signal.set_wakeup_fd(before)


class _Watch:
    """Ends the wait of a hub, and of a hub that replaces it."""

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader
        self._hub: Hub
        self._descriptor: Descriptor

    def register(self, hub: Hub) -> None:
        self._hub = hub
        self._descriptor = descriptor = hub.open_descriptor(self._reader.fileno())
        hub.companions[descriptor] = self.register
        descriptor.on_readable(self._woken)

    def _woken(self) -> None:
        if self._descriptor.closed:
            # By other code: the byte for the next signal would go to the new owner of the number.
            signal.set_wakeup_fd(-1)
            return
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass  # Python runs the handlers
        self._descriptor.on_readable(self._woken)

    def end(self) -> None:
        descriptor = self._descriptor
        descriptor.stop_waiting_to_read()
        descriptor.close()
        self._hub.companions.pop(descriptor, None)
