"""Green sockets for tests, on every poller in turn."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from greenserve_hub.greenio.connecting import create_connection
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import spawn
from greenserve_hub.loop.current import set_hub, use_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.pollers.choosing import available_pollers

Pair = tuple[GreenSocket, GreenSocket]
LARGE = bytes(range(256)) * 20_000  # more than any socket buffer in the tests holds


@pytest.fixture(params=available_pollers(), autouse=True)
def hub(request: pytest.FixtureRequest, errors: list[BaseException]) -> Iterator[Hub]:
    """A hub on each poller in turn, on which nothing may be left."""
    before = set_hub(None)
    hub = use_hub(request.param)
    hub.on_error = lambda kind, error, trace: errors.append(error)
    try:
        yield hub
        assert not hub.parked
        assert not hub.descriptors
    finally:
        hub.close()
        set_hub(before)


def tcp_socket() -> GreenSocket:
    """Not bound, not connected."""
    return GreenSocket(socket.AF_INET, socket.SOCK_STREAM)


@contextmanager
def listening(backlog: int = 9) -> Iterator[GreenSocket]:
    """A listener at a free port."""
    with tcp_socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


@contextmanager
def tcp_pair() -> Iterator[Pair]:
    """Client and server side of one connection, with buffers that LARGE does not fit into."""
    with listening() as listener:
        accepting = spawn(listener.accept)
        with create_connection(listener.getsockname()) as client, accepting.wait()[0] as server:
            for end in (client, server):
                # Smaller than LARGE, and larger than loopback's segments of 64 KiB: less waits for the kernel's timers.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            yield client, server
