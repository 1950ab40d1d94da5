"""eventlet.debug: what the hub waits for, and switches that help to find faults."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from greenserve_eventlet.hubs import get_hub, timer
from greenserve_eventlet.hubs.choosing import is_asyncio
from greenserve_eventlet.spawning import greenpool, tpool
from greenserve_eventlet.watching.spewing import Spew
from greenserve_hub.loop.readiness import allow_several


def spew(trace_names: list[str] | None = None, show_values: bool = False) -> None:
    """Print each line before it runs; only of the modules `trace_names`, if given. Switches: never."""
    sys.settrace(Spew(trace_names, show_values))


def unspew() -> None:
    """Undo spew(). Switches: never."""
    sys.settrace(None)


def format_hub_listeners() -> str:
    """List the listeners of hub.add(). Switches: never."""
    hub = get_hub()
    lines = ["READERS:", *map(repr, hub.get_readers()), "WRITERS:", *map(repr, hub.get_writers())]
    return os.linesep.join(lines)


def format_hub_timers() -> str:
    """List the timers of the hub. Switches: never."""
    return os.linesep.join(["TIMERS:", *map(repr, get_hub().timers)])


def format_asyncio_info() -> str:
    """Describe the asyncio loop and its tasks. Switches: never."""
    loop = get_hub().loop if is_asyncio() else asyncio.get_event_loop()
    return os.linesep.join(["TASKS:", repr(asyncio.all_tasks(loop)), f"EVENTLOOP: {loop}"])


def format_threads_info() -> str:
    """List the threads that threading knows. Switches: never."""
    return os.linesep.join(["THREADS:", repr({thread.ident: thread for thread in threading.enumerate()})])


def hub_listener_stacks(state: bool = False) -> None:
    """Remember where each listener was added, for format_hub_listeners(). Switches: never."""
    get_hub().set_debug_listeners(state)


def hub_timer_stacks(state: bool = False) -> None:
    """Remember where each timer was made, for format_hub_timers(). Switches: never."""
    timer._g_debug = state


def hub_prevent_multiple_readers(state: bool = True) -> None:
    """Refuse a second green thread that waits for one descriptor in one direction; False allows it. Switches: never.

    RuntimeError for False on the asyncio hub, as in eventlet.
    """
    if not state and is_asyncio():
        raise RuntimeError(
            "the asyncio hub allows one reader for each descriptor: choose another hub, or use a lock"
        )
    allow_several(not state)


def hub_exceptions(state: bool = True) -> None:
    """Print errors that no green thread waits for, or not. Switches: never."""
    get_hub().set_timer_exceptions(state)
    greenpool.DEBUG = state


def tpool_exceptions(state: bool = False) -> None:
    """Print the errors of calls in OS threads, besides raising them in the caller. Switches: never."""
    tpool.QUIET = not state


def hub_blocking_detection(state: bool = False, resolution: float = 1) -> None:
    """Raise RuntimeError in code that has held the hub for `resolution` seconds. For the main thread. Switches: never.

    It uses SIGALRM. greenserve.debug.Watchdog tells of such code without ending it.
    """
    assert resolution > 0
    hub = get_hub()
    hub.debug_blocking, hub.debug_blocking_resolution = state, resolution
    (hub.block_detect_pre if state else hub.block_detect_post)()


__all__ = [
    "Spew",
    "format_asyncio_info",
    "format_hub_listeners",
    "format_hub_timers",
    "format_threads_info",
    "hub_blocking_detection",
    "hub_exceptions",
    "hub_listener_stacks",
    "hub_prevent_multiple_readers",
    "hub_timer_stacks",
    "spew",
    "tpool_exceptions",
    "unspew",
]
