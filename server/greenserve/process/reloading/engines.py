"""Engines: what tells the watcher that it is time to look at the files.

Facts about watchfiles, which hears of changes from the kernel: a package folder that is moved gives one event for the
folder and none for its files; a file that is watched alone is lost when it is replaced; of a new folder some events are
missing; from network mounts and some containers' there are none at all. Decision: each folder is watched by itself, an
event means no more than "look now", and without one there is a look every few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

__all__ = ["Engine", "Events", "Polling", "open_engine"]

_TURN: Final = 200  # milliseconds: until a new order for the watcher is seen
_QUIET: Final = 20  # milliseconds without an event, after which events are told
_LONGEST: Final = 100  # milliseconds that events are gathered
_LOOK_EVERY: Final = 3.0  # seconds
_POLL_EVERY: Final = 0.4
_LOAD: Final = 0.05  # part of a CPU that polling may take


class Engine(Protocol):
    """Something that waits for changes. Blocks the OS thread."""

    name: str

    def wait(self, folders: frozenset[str], cost: float) -> bool:
        """Return True if it is time to look, after a short time in any case; a look takes `cost` seconds.

        Raises Exception if the files can't be watched this way.
        """


class Polling:
    """Looks again and again."""

    name = "poll"

    def __init__(self, sleep: Callable[[float], object]) -> None:
        """`sleep(seconds)` blocks."""
        self._sleep = sleep

    def wait(self, folders: frozenset[str], cost: float) -> bool:
        """See Engine."""
        self._sleep(max(_POLL_EVERY, cost / _LOAD))
        return True


class Events:
    """Waits for the kernel's events, by watchfiles."""

    name = "watchfiles"

    def __init__(
        self, watch: Callable[..., Iterator[set[tuple[Any, str]]]], clock: Callable[[], float]
    ) -> None:
        """`watch` is watchfiles.watch."""
        self._watch = watch
        self._clock = clock
        self._folders: frozenset[str] = frozenset()
        self._events: Iterator[set[tuple[Any, str]]] = iter(())
        self._look_at = 0.0

    def wait(self, folders: frozenset[str], cost: float) -> bool:
        """See Engine."""
        is_new = folders != self._folders
        if is_new:
            self._folders = folders
            self._events = self._watch(
                *sorted(folders),
                recursive=False,
                watch_filter=_may_matter,
                debounce=_LONGEST,
                step=_QUIET,
                rust_timeout=_TURN,
                yield_on_timeout=True,
            )
        events = next(self._events)
        # What has changed until a new watch began gave no event.
        is_time = bool(events) or is_new or self._clock() >= self._look_at
        if is_time:
            self._look_at = self._clock() + max(_LOOK_EVERY, cost / _LOAD)
        return is_time


def _may_matter(change: object, path: str) -> bool:
    """Return False for what an app writes beside its code all the time: logs and databases."""
    return (
        not path.endswith((".log", ".pyc", ".sqlite3", "-journal", "-wal", "-shm"))
        and f"{os.sep}." not in path
    )


def open_engine(name: str, clock: Callable[[], float], sleep: Callable[[float], object]) -> Engine:
    """Return the engine `name`; `auto` is watchfiles if it is installed. Raises ImportError."""
    if name != "poll":
        try:
            from watchfiles import watch

            return Events(watch, clock)
        except ImportError:
            if name != "auto":
                raise
    return Polling(sleep)
