"""Waiting for descriptors that others may wait for as well: what select, poll, os.read and files stand on.

Facts: the hub knows one waiter for each side of a descriptor, and select() and its kin take descriptors in any
number, from anybody. Consequence: who waits here does so on an epoll of its own, which is a descriptor like any other
(epoll(7), Q&A 3), and asks the kernel again afterwards: another may have been faster. Cost: some ten microseconds for a
wait. Where there is no epoll an OS thread of the pool waits.
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

    Switches: always. A descriptor of a kind that is always ready (a file) is not looked at.
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
    """Wait until it can be read; False after `timeout` seconds. Switches: always. IOClosed."""
    try:
        wait_readable(descriptor, timeout)
    except TimeoutError:
        return False
    return True
