"""Servers and hubs for one test, and what must be left when they are over: nothing."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from greenlet import greenlet
from tests.support import flavours
from tests.support.times import PATIENCE, eventually

from greenserve import Config, Server, serve
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import get_hub, set_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, fake_clock


@contextmanager
def serving(app: Any, **settings: Any) -> Iterator[Server]:
    """A server in a thread of its own that ends at once what still runs at the end."""
    settings.setdefault("graceful_timeout", 0)
    settings = flavours.settings | settings
    with serve(app, **settings) as server:
        yield server


@contextmanager
def in_one_hub(app: Any, folder: Path, **settings: Any) -> Iterator[tuple[Server, FakeClock]]:
    """A server in this thread, on a clock that jumps; its clients are green too.

    Over a unix socket, where what was sent has arrived: loopback TCP may take a moment in which the clock would jump.
    """
    with fake_clock() as clock:
        settings = flavours.settings | settings
        server = Server(app, Config.from_settings(bind=f"unix:{folder}/socket", **settings))
        server.start()
        try:
            yield server, clock
        finally:
            server.stop(0)


@contextmanager
def own_hub() -> Iterator[Hub]:
    """A new hub for this thread, which must hold no waiting green thread and no descriptor at its end."""
    before = set_hub(None)
    hub = get_hub()
    try:
        yield hub
        sleep()  # those who were woken end in the next turn
        assert not hub.parked, f"left waiting: {hub.parked}"
        assert not hub.descriptors, f"left registered: {hub.descriptors}"
    finally:
        hub.close()
        set_hub(before)


class Gate:
    """Holds an app's green thread until the test, in another OS thread, opens it."""

    def __init__(self) -> None:
        self._entered = threading.Semaphore(0)
        self._opened = Event()
        self._hub: Hub | None = None

    def wait(self) -> None:
        """For the app. Switches."""
        self._hub = get_hub()
        self._entered.release()
        self._opened.wait()

    def reached(self, times: int = 1) -> None:
        """For the test: wait until the app is (so many of them are) here."""
        for _ in range(times):
            assert self._entered.acquire(timeout=PATIENCE), "the app never came to the gate"

    def open(self) -> None:
        assert self._hub is not None
        self._hub.call_from_thread(self._opened.send, True)


def open_files() -> dict[int, str]:
    """What this process holds open, as the kernel sees it, but for what an earlier test has left to the collector."""
    gc.collect()
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def greenlets() -> int:
    """How many green threads there are that have begun and not ended."""
    gc.collect()
    return sum(1 for one in gc.get_objects() if isinstance(one, greenlet) and one and not one.dead)


def is_quiet(server: Server) -> bool:
    """Whether a server has no connection, no request and nothing waiting."""
    stats = server.stats
    return not (stats.connections or stats.active or stats.queued)


def becomes_quiet(server: Server) -> None:
    eventually(lambda: is_quiet(server), "quiet")
