"""use_hub and get_hub: which hub this OS thread has, and eventlet's object for it.

Facts: eventlet's use_hub() drops the old hub with its waits. Services call it late, and again in forked children.
Decision: waits go on; only the poller changes. A class that drives an event loop of its own is refused: the runtime's
loop would not run.
"""

from __future__ import annotations

import inspect
import os
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import greenserve_hub
from greenserve_eventlet.hubs import asyncio, epolls, kqueue, poll, selects
from greenserve_eventlet.hubs.hub import BaseHub
from greenserve_hub.errors import HubError
from greenserve_hub.loop.current import find_hub
from greenserve_hub.pollers.choosing import choices
from greenserve_hub.unpatched import _thread

builtin_hub_modules: Final = (epolls, kqueue, poll, selects)
builtin_hub_names: Final = ("epolls", "kqueue", "poll", "selects")
_MODULES: Final = {module.Hub.poller: module for module in (*builtin_hub_modules, asyncio)}
_here: Final = _thread._local()  # .hub: the object of get_hub(), for the runtime's hub that it was made for


def _of_environ() -> str | None:
    """EVENTLET_HUB, which programs also set themselves, before anything waits. A class is for use_hub() alone."""
    name = os.environ.get("EVENTLET_HUB")
    return None if name is None or ":" in name else name


choices.append(_of_environ)


def get_default_hub() -> ModuleType:
    """Return the module of the best hub on this machine. Switches: never."""
    return next(module for module in builtin_hub_modules if module.is_available())


def use_hub(mod: Any = None) -> None:
    """Choose the hub of this OS thread: a name, "package.module:Class", a module with `Hub`, a class, or None.

    Waits that exist go on. HubError to or from asyncio once there are some, and for a class that has an event loop of
    its own (`run` or `wait`). Switches: never.
    """
    if isinstance(mod, str) and not mod.strip():
        raise RuntimeError("use_hub() needs the name of a hub, or None for the best one")
    cls = _class_of(mod if mod is not None else os.environ.get("EVENTLET_HUB") or get_default_hub())
    if not issubclass(cls, BaseHub):
        if any(hasattr(cls, name) for name in ("run", "wait")):
            raise HubError(
                f"{cls.__name__} drives an event loop of its own, which greenserve's hub cannot run: leave use_hub() "
                "out, or name one of epolls, kqueue, poll, selects, asyncio"
            )
    else:
        _use_poller(getattr(cls, "poller", None) or get_default_hub().Hub.poller)
    _here.hub = (greenserve_hub.get_hub(), cls())


def _class_of(mod: Any) -> type:
    name = "Hub"
    if isinstance(mod, str):
        path, _, given = mod.strip().partition(":")
        name = given or name
        mod = import_module(path if "." in path or given else f"{__package__}.{_name(path)}")
    if not inspect.isclass(mod):
        if not getattr(mod, "is_available", lambda: True)():
            raise HubError(f"the hub {mod.__name__} does not work on this machine")
        mod = getattr(mod, name)
    assert isinstance(mod, type)
    return mod


def _name(poller: str) -> str:
    # The runtime's names are eventlet's, with two exceptions.
    return {"epoll": "epolls", "select": "selects"}.get(poller, poller)


def _use_poller(name: str) -> None:
    hub = find_hub()
    if hub is not None and hub.poller.name == name:
        return
    try:
        greenserve_hub.use_hub(name)
    except HubError:
        greenserve_hub.get_hub().change_poller(name)


def get_hub() -> Any:
    """Return the hub of this OS thread with eventlet's methods; make one if there is none. Switches: never."""
    hub = greenserve_hub.get_hub()
    known, ours = getattr(_here, "hub", (None, None))
    if known is not hub:
        module = _MODULES.get(hub.poller.name.removesuffix("-plain"))
        ours = BaseHub() if module is None else module.Hub()
        _here.hub = (hub, ours)
    return ours


def is_asyncio() -> bool:
    """Return True if the hub of this OS thread runs inside asyncio. Switches: never."""
    return isinstance(get_hub(), asyncio.Hub)


if os.environ.get("EVENTLET_HUB") == "asyncio":
    get_hub()  # programs make tasks before anything waits

__all__ = ["builtin_hub_modules", "builtin_hub_names", "get_default_hub", "get_hub", "is_asyncio", "use_hub"]
