"""The pollers by name: which work on this machine, and one of them made."""

from __future__ import annotations

from collections.abc import Callable

from greenserve_hub.pollers.contract import Poller
from greenserve_hub.pollers.edge import EpollPoller, KqueuePoller
from greenserve_hub.pollers.level import PollPoller, SelectPoller
from greenserve_hub.unpatched import select


def _asyncio(uvloop: bool) -> Callable[[], Poller]:
    def make() -> Poller:
        # Imported at need: asyncio takes longer to import than the rest of the hub.
        from greenserve_hub.pollers.asyncio_poller import AsyncioPoller

        return AsyncioPoller(EpollPoller() if hasattr(select, "epoll") else KqueuePoller(), uvloop)

    return make


_POLLABLE = ("epoll", "kqueue")
# By name: what the select module must have any of, and how to make one.
_POLLERS: dict[str, tuple[tuple[str, ...], Callable[[], Poller]]] = {
    "epoll": (("epoll",), EpollPoller),
    "kqueue": (("kqueue",), KqueuePoller),
    "poll": (("poll",), PollPoller),
    "select": (("select",), SelectPoller),
    "asyncio": (_POLLABLE, _asyncio(True)),
    "asyncio-plain": (_POLLABLE, _asyncio(False)),
}
_EVENTLETS = {"epolls": "epoll", "selects": "select"}  # what eventlet calls them


def available_pollers() -> list[str]:
    """The names that work on this machine, the best first."""
    return [name for name, (needs, _) in _POLLERS.items() if any(hasattr(select, one) for one in needs)]


def make_poller(name: str = "auto") -> Poller:
    """A new poller by name; "auto" takes the best there is. ValueError lists the names that would work."""
    names = available_pollers()
    if name == "auto":
        name = names[0]
    name = _EVENTLETS.get(name, name)
    if name not in names:
        raise ValueError(f"no hub named {name!r} on this machine: choose one of auto, {', '.join(names)}")
    return _POLLERS[name][1]()
