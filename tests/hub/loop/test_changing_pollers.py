"""Hub.change_poller: another poller for a hub that is at work."""

from __future__ import annotations

import socket

import pytest

from greenserve_hub.errors import HubError
from greenserve_hub.greenio.sockets import socketpair
from greenserve_hub.greenthreads.greenthreads import sleep, spawn
from greenserve_hub.loop.current import get_hub
from greenserve_hub.pollers.choosing import available_pollers
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.no_hub  # they go from one poller to another

KERNELS = [name for name in available_pollers() if not name.startswith("asyncio")]


@pytest.mark.parametrize("name", KERNELS)
def test_all_waits_go_on(name: str):
    hub = get_hub()
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


def test_calls_from_other_threads_still_come():
    hub = get_hub()
    hub.change_poller(KERNELS[-1])
    from greenserve_hub.osthreads import threads

    assert threads.execute(len, "abc") == 3


def test_asyncio_keeps_its_coroutines():
    hub = get_hub()
    before = hub.poller
    with pytest.raises(HubError, match="cannot move from"):
        hub.change_poller("asyncio")
    assert hub.poller is before
    with pytest.raises(ValueError, match="no hub named"):
        hub.change_poller("nonsense")
