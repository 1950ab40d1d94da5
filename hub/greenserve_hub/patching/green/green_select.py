"""select and selectors for a patched program: select, poll and epoll that let other green threads run.

The kernel is asked first without waiting, then greenio/selecting.py waits, then the kernel is asked again. Objects that
were made before patching stay native.
"""

from __future__ import annotations

import math
import selectors
from collections.abc import Callable, Iterable
from typing import Any

from greenserve_hub.errors import IOClosed
from greenserve_hub.greenio.selecting import HAS_EPOLL, wait_any, wait_on
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.hub import Hub
from greenserve_hub.patching.stdlib.versions import SELECTORS
from greenserve_hub.unpatched import select as native
from greenserve_hub.unpatched import time


def _number(timeout: float | None) -> float | None:
    """Return a timeout as a float. From Python 3.15 on any real number is allowed. TypeError; ValueError for NaN."""
    if timeout is None:
        return None
    number = math.fsum((timeout,))
    if number != number:
        raise ValueError("Invalid value NaN (not a number)")
    return number


def _repeated(ask: Callable[[], Any], wait: Callable[[float | None], bool], timeout: float | None) -> Any:
    """Return the result of `ask` as soon as it is not empty, or after `timeout` seconds."""
    # Switches once even if it need not wait: some programs are one loop around a socket that is always ready.
    sleep(0)
    found = ask()
    if found or timeout == 0:
        return found
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        in_time = wait(left)
        found = ask()
        if found or not in_time:
            return found


def select(
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """Like select.select. Switches: always."""
    hub = find_hub()
    try:
        timeout = _number(timeout)
    except TypeError:
        raise TypeError("timeout must be a float or None") from None
    if hub is None or (timeout is not None and timeout < 0):
        return native.select(rlist, wlist, xlist, timeout)
    # The caller's own lists are used: a fileno() that is called while a list is read may change it.
    asked: Any = [one if isinstance(one, (list, tuple)) else list(one) for one in (rlist, wlist, xlist)]
    masks: dict[int, int] = {}
    empty: tuple[list[Any], list[Any], list[Any]] | None = None

    def ask() -> tuple[list[Any], list[Any], list[Any]] | None:
        nonlocal empty
        found = native.select(asked[0], asked[1], asked[2], 0)
        if any(found):
            return found
        empty = found
        return None

    def wait(left: float | None) -> bool:
        if not masks:
            # Only now, after the kernel has accepted all of them.
            for objects, mask in zip(asked, (native.POLLIN, native.POLLOUT, native.POLLPRI), strict=True):
                for one in objects:
                    fd = fileno_of(one)
                    masks[fd] = masks.get(fd, 0) | mask
        return wait_any(hub, masks, left)

    return _repeated(ask, wait, timeout) or empty or ([], [], [])


def fileno_of(one: Any) -> int:
    """Return the descriptor of an argument of select or poll: a number, or an object with fileno()."""
    return one if isinstance(one, int) else int(one.fileno())


class Poll:
    """Like the objects of select.poll()."""

    def __new__(cls) -> Poll:
        """Raise TypeError: only poll() makes them."""
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")

    _native: native.poll
    _masks: dict[int, int]
    _polling = False

    def register(self, fd: Any, eventmask: int = native.POLLIN | native.POLLPRI | native.POLLOUT, /) -> None:
        """Like poll.register. Switches: never."""
        self._native.register(fd, eventmask)
        self._masks[fileno_of(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Like poll.modify. Switches: never."""
        self._native.modify(fd, eventmask)
        self._masks[fileno_of(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        """Like poll.unregister. Switches: never."""
        self._native.unregister(fd)
        del self._masks[fileno_of(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Like poll.poll; milliseconds. Switches: always."""
        hub = find_hub()
        if hub is None:
            return self._native.poll(timeout)
        number = _number(timeout)
        if number is not None:
            if abs(number) > 2**31 - 1:
                return self._native.poll(timeout)  # raises the standard error
            number = None if number < 0 else number / 1000

        def wait(left: float | None) -> bool:
            return wait_any(hub, self._masks, left)

        if self._polling:
            raise RuntimeError("concurrent poll() invocation")
        self._polling = True
        try:
            found: list[tuple[int, int]] = _repeated(lambda: self._native.poll(0), wait, number)
        finally:
            self._polling = False
        return found


def poll() -> Poll:
    """Like select.poll. Switches: never."""
    self = object.__new__(Poll)
    self._native = native.poll()
    self._masks = {}
    return self


class Epoll:
    """Like select.epoll."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        """Watches nothing yet."""
        self._take(native.epoll(sizehint, flags))

    @classmethod
    def fromfd(cls, fd: int, /) -> Epoll:
        """Like epoll.fromfd."""
        self = cls.__new__(cls)
        self._take(native.epoll.fromfd(fd))
        return self

    def _take(self, epoll: native.epoll) -> None:
        self._native = epoll
        self._descriptor: Descriptor | None = None
        self.fileno = epoll.fileno
        self.register = epoll.register
        self.modify = epoll.modify
        self.unregister = epoll.unregister

    @property
    def closed(self) -> bool:
        """True after close()."""
        return self._native.closed

    def close(self) -> None:
        """Like epoll.close. Switches: never."""
        if self._descriptor is not None:
            self._descriptor.close()
        self._native.close()

    def __del__(self) -> None:
        """Close it, so that the hub forgets the number before the kernel gives it out again."""
        if hasattr(self, "_native"):
            self.close()

    def __enter__(self) -> Epoll:
        """Return itself; ValueError if it is closed."""
        self.fileno()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """Like epoll.poll; seconds. Switches: always."""
        hub = find_hub()
        if hub is None:
            return self._native.poll(timeout, maxevents)
        timeout = _number(timeout)
        if timeout is not None and timeout < 0:
            timeout = None

        def wait(left: float | None) -> bool:
            return self._wait(hub, left)

        found: list[tuple[int, int]] = _repeated(lambda: self._native.poll(0, maxevents), wait, timeout)
        return found

    def _wait(self, hub: Hub, left: float | None) -> bool:
        descriptor = self._descriptor
        if descriptor is not None and descriptor.hub is hub and descriptor.reader is not None:
            return wait_any(hub, {self.fileno(): native.POLLIN}, left)  # two green threads wait for one epoll
        if descriptor is None or descriptor.hub is not hub or descriptor.closed:
            descriptor = self._descriptor = hub.open_descriptor(self.fileno())
        try:
            return wait_on(descriptor, left)
        except IOClosed:
            return False  # asking the kernel again then raises the standard error


REPLACED: dict[str, dict[str, Any]] = {"select": {"select": select}}
ON_CLASSES: list[tuple[type, str, Any]] = [(*SELECTORS["select"], staticmethod(select))]
if hasattr(native, "poll"):
    REPLACED["select"]["poll"] = poll
    ON_CLASSES.append((*SELECTORS["poll"], staticmethod(poll)))
if HAS_EPOLL:
    REPLACED["select"]["epoll"] = Epoll
    ON_CLASSES.append((*SELECTORS["epoll"], Epoll))
elif hasattr(selectors, "KqueueSelector"):
    # Not every system can watch a kqueue with another kind of poller, so selectors use poll instead.
    REPLACED["selectors"] = {"DefaultSelector": selectors.PollSelector}
