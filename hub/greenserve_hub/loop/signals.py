"""Signals end the hub's wait, so that their handlers run at once.

Facts: Python runs a handler between two bytecodes of the main thread. A signal that comes after the last bytecode and
before epoll_wait(2) sleeps, or that the kernel gives to another OS thread, interrupts no wait: its handler would run
when something else happens, which on a quiet server may be never. Consequence: C writes a byte for each signal
(signal.set_wakeup_fd) and the hub watches for it. Cost: two descriptors, and the one wake-up descriptor that a
process has, so only those take it who own the process.
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
    """While inside, every signal ends the hub's wait. In the main thread, else ValueError. Switches: never.

    What was the wake-up descriptor before is so again afterwards.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        # A full buffer is going to wake it all the same.
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        watch = _Watch(reader)
        watch.register(hub)
        try:
            yield
        finally:
            watch.end()
            signal.set_wakeup_fd(before)


class _Watch:
    """What ends the wait of a hub, and of the one that takes its place."""

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
        if (
            self._descriptor.closed
        ):  # by other code: the next signal would be written into what has the number
            signal.set_wakeup_fd(-1)
            return
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass  # the handlers run by themselves
        self._descriptor.on_readable(self._woken)

    def end(self) -> None:
        descriptor = self._descriptor
        descriptor.stop_waiting_to_read()
        descriptor.close()
        self._hub.companions.pop(descriptor, None)
