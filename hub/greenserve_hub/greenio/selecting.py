"""Waits for any of several descriptors, which others may wait for too. Used by select, poll, os.read and files.

Facts: the hub allows one waiter per descriptor and direction, but select() and similar accept any descriptors.
Consequence: each wait here uses its own epoll, which is a descriptor like any other (epoll(7), Q&A 3). Afterwards the
caller asks the kernel again, because another green thread may have been faster. Cost: about ten microseconds per wait.
Without epoll an OS thread waits.
"""

from __future__ import annotations

from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.readiness import wait_readable
from greenserve_hub.osthreads.thread_pools import waiting
from greenserve_hub.unpatched import select

HAS_EPOLL = hasattr(select, "epoll")


def wait_any(hub: Hub, masks: dict[int, int], timeout: float | None) -> bool:
    """Wait until one of the descriptors has one of its poll(2) events; False after `timeout` seconds.

    Descriptors that are always ready (regular files) are ignored. Switches: always.
    """
    if not HAS_EPOLL:
        poller = select.poll()
        for fd, mask in masks.items():
            poller.register(fd, mask)
        return bool(waiting.execute(poller.poll, None if timeout is None else timeout * 1000))
    with select.epoll() as nested:
        for fd, mask in masks.items():
            try:
                nested.register(fd, mask)
            except PermissionError:
                continue
        descriptor = hub.open_descriptor(nested.fileno())
        try:
            return wait_on(descriptor, timeout)
        finally:
            descriptor.close()


def wait_on(descriptor: Descriptor, timeout: float | None) -> bool:
    """Wait until it is readable; False after `timeout` seconds. IOClosed. Switches: always."""
    try:
        wait_readable(descriptor, timeout)
    except TimeoutError:
        return False
    return True
