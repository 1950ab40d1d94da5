"""Pollers by name: which ones work on this machine, and make_poller()."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from greenserve_hub.pollers.contract import Poller
from greenserve_hub.pollers.edge import EpollPoller, KqueuePoller
from greenserve_hub.pollers.level import PollPoller, SelectPoller
from greenserve_hub.unpatched import os, select


def _asyncio(uvloop: bool) -> Callable[[], Poller]:
    def make() -> Poller:
        # Imported only when needed: asyncio takes longer to import than the rest of the hub.
        from greenserve_hub.pollers.asyncio_poller import AsyncioPoller

        return AsyncioPoller(EpollPoller() if hasattr(select, "epoll") else KqueuePoller(), uvloop)

    return make


_POLLABLE = ("epoll", "kqueue")
# By name: attributes of the select module of which one must exist, and a function that makes the poller.
_POLLERS: dict[str, tuple[tuple[str, ...], Callable[[], Poller]]] = {
    "epoll": (("epoll",), EpollPoller),
    "kqueue": (("kqueue",), KqueuePoller),
    "poll": (("poll",), PollPoller),
    "select": (("select",), SelectPoller),
    "asyncio": (_POLLABLE, _asyncio(True)),
    "asyncio-plain": (_POLLABLE, _asyncio(False)),
}
_EVENTLETS = {"epolls": "epoll", "selects": "select"}  # eventlet's names
# Functions that may know the name of the poller for a new hub, by what the program has set by then; the first counts.
choices: list[Callable[[], str | None]] = [lambda: os.environ.get("GREENSERVE_HUB")]


def available_pollers() -> list[str]:
    """Return the names that work on this machine, the best first."""
    return [name for name, (needs, _) in _POLLERS.items() if any(hasattr(select, one) for one in needs)]


def make_poller(name: str = "auto") -> Poller:
    """Make a poller by name; "auto" is the best one. ValueError lists the names that would work."""
    names = available_pollers()
    if name == "auto":
        name = names[0]
    name = _EVENTLETS.get(name, name)
    if name not in names:
        raise ValueError(f"no hub named {name!r} on this machine: choose one of auto, {', '.join(names)}")
    return _POLLERS[name][1]()


def choose_poller() -> Poller:
    """Make the poller for a new hub, by GREENSERVE_HUB or another one of `choices`. ValueError as make_poller()."""
    return make_poller(next(_chosen(), "auto"))


def _chosen() -> Iterator[str]:
    for choice in choices:
        if name := choice():
            yield name
