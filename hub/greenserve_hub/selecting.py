"""Waiting for descriptors that others may wait for as well: what select, poll, os.read and files stand on.

Facts: the hub knows one waiter for each side of a descriptor, and select() and its kin take descriptors in any
number, from anybody. Consequence: who waits here does so on an epoll of its own, which is a descriptor like any other
(epoll(7), Q&A 3), and asks the kernel again afterwards: another may have been faster. Cost: some ten microseconds for a
wait. Where there is no epoll an OS thread of the pool waits.
"""

from __future__ import annotations

from fcntl import F_GETFL, fcntl

from greenserve_hub.descriptors import Descriptor
from greenserve_hub.loop import Hub
from greenserve_hub.natives import os, select
from greenserve_hub.readiness import wait_readable
from greenserve_hub.thread_pools import shared

HAS_EPOLL = hasattr(select, "epoll")


def wait_any(hub: Hub, masks: dict[int, int], timeout: float | None) -> bool:
    """Wait until one of the descriptors has one of its poll(2) events; False after `timeout` seconds.

    Switches: always. A descriptor of a kind that is always ready (a file) is not looked at.
    """
    if not HAS_EPOLL:
        poller = select.poll()
        for fd, mask in masks.items():
            poller.register(fd, mask)
        return bool(shared.execute(poller.poll, None if timeout is None else timeout * 1000))
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


def wait_for_event(hub: Hub, fd: int, mask: int) -> None:
    """Wait until a call on `fd` would not block. Switches: unless it is ready.

    `mask` is POLLIN or POLLOUT. In non-blocking mode, and where it is not open for that, the call itself says so.
    """
    poller = select.poll()
    poller.register(fd, mask)
    refused = os.O_WRONLY if mask == select.POLLIN else os.O_RDONLY
    while not poller.poll(0):
        flags = fcntl(fd, F_GETFL)
        if flags & os.O_NONBLOCK or flags & os.O_ACCMODE == refused:
            return
        wait_any(hub, {fd: mask}, None)
