"""Hub.change_poller: another poller for a hub that is at work."""

from __future__ import annotations

import socket

import pytest
from tests.support.hubs.green import hub
from tests.support.times import PATIENCE

from greenserve_hub.errors import HubError
from greenserve_hub.greenio.sockets import socketpair
from greenserve_hub.greenthreads.greenthreads import sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter
from greenserve_hub.osthreads import threads
from greenserve_hub.pollers.choosing import available_pollers
from greenserve_hub.testing import wait_all_blocked

__all__ = ["hub"]  # the fixture, which chooses the first poller

KERNELS = [name for name in available_pollers() if not name.startswith("asyncio")]


from_each = pytest.mark.parametrize("hub", KERNELS, indirect=True)
to_each = pytest.mark.parametrize("name", KERNELS)


def _told(hub: Hub, descriptor: Descriptor) -> None:
    """Wait as the server's streams do."""
    waiter = Waiter(hub, "read", descriptor)
    descriptor.when_readable(lambda: waiter.wake(None))
    waiter.park()


@from_each
@to_each
def test_all_waits_go_on(hub: Hub, name: str) -> None:
    one, other = socketpair()
    with one, other:
        reading, sleeping = spawn(one.recv, 10), spawn(sleep, 0.001)
        wait_all_blocked()
        hub.change_poller(name)
        assert hub.poller.name == name
        other.send(b"hi")
        assert reading.wait() == b"hi"
        sleeping.wait()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        writing = spawn(one.sendall, b"." * (1 << 20))
        while not writing.dead:
            other.recv(1 << 16)
            sleep(0)


@from_each
@to_each
def test_callbacks_of_descriptors_from_before_are_called(hub: Hub, name: str) -> None:
    one, other = socketpair()
    with one, other:
        reading = spawn(one.recv, 10)
        wait_all_blocked()
        other.send(b"a")
        assert reading.wait() == b"a"
        descriptor = hub.descriptors[one.fileno()]
        hub.change_poller(name)
        for _ in range(3):
            descriptor.drained(descriptor.readable)
            waiting = spawn(_told, hub, descriptor)
            wait_all_blocked()
            other.send(b"b")
            with Timeout(PATIENCE):
                waiting.wait()
            assert one.recv(10) == b"b"


@from_each
def test_calls_from_other_threads_still_come(hub: Hub) -> None:
    hub.change_poller(KERNELS[-1])
    assert threads.execute(len, "abc") == 3


def test_asyncio_keeps_its_coroutines(hub: Hub) -> None:
    before = hub.poller
    for name in available_pollers():
        if (name in KERNELS) != (before.name in KERNELS):
            with pytest.raises(HubError, match="cannot move from"):
                hub.change_poller(name)
    assert hub.poller is before
    with pytest.raises(ValueError, match="no hub named"):
        hub.change_poller("nonsense")
