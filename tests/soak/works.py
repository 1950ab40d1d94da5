"""What a long-lived process does over and over, so many times."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.clients.raw import RawClient
from tests.support.servers.running import serving
from tests.support.times import eventually

from greenserve_hub.greenthreads.greenthreads import sleep, spawn, spawn_after, spawn_n
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout

_AT_ONCE = 1000


def spawn_and_finish(count: int) -> None:
    """Green threads of every kind, a thousand at once."""
    pool = GreenPool(_AT_ONCE)
    ways: list[Callable[..., object]] = [
        spawn,
        spawn_n,
        pool.spawn,
        pool.spawn_n,
        lambda fn: spawn_after(0, fn),
    ]
    for _ in range(count // _AT_ONCE):
        for number in range(_AT_ONCE):
            ways[number % len(ways)](sleep)
        pool.waitall()
        sleep(0)
        sleep(0)
    sleep(0.001)


def arm_and_cancel(count: int) -> None:
    """Timeouts, a thousand at once, of all lengths."""
    for _ in range(count // _AT_ONCE):
        timeouts = [Timeout(60 + number % 7) for number in range(_AT_ONCE)]
        sleep(0)
        for timeout in timeouts:
            timeout.cancel()


def connect_and_close(count: int) -> None:
    """Connections to one server; every third is reset, and every third is closed by the server."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(app) as server:
        for number in range(count):
            with RawClient(server.address) as client:
                assert client.get("/", *(["Connection: close"] if number % 3 == 1 else [])).body == b"ok"
                if number % 3 == 2:
                    client.reset()
        eventually(lambda: not server.stats.connections)
