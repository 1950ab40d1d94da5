"""Locks, locals and simple queues that were made before the patch, replaced where they are kept.

A native lock that a green thread waits for stops all of its OS thread. So every one that nobody holds is replaced, in
the modules and objects that keep it, by one of ours; a threading.Condition, which keeps its lock's methods, is built
anew. One that is held belongs to a `with` that is under way and stays, and so does a queue beside which OS threads run,
any of which may wait for it: these are told by name.

Only type() is asked what an object is: isinstance() would ask a lazy proxy, which sets something up or raises.

Nothing of greenserve is touched: what its OS threads meet at must stay native.
"""

from __future__ import annotations

import gc
import sys
import threading
from _queue import SimpleQueue  # `queue` is patched by the time that this is imported
from dataclasses import dataclass, field
from types import MemberDescriptorType, ModuleType
from typing import Any

from greenserve_hub.locals import local
from greenserve_hub.natives import _thread
from greenserve_hub.patching.thread_locks import ThreadLock, ThreadRLock
from greenserve_hub.patching.thread_queues import SimpleQueue as GreenSimpleQueue
from greenserve_hub.patching.versions import INTERPRETERS_LOCKS, condition_parts
from greenserve_hub.thread_pools import threads_of_pools

_LOCK: Any = type(_thread.allocate_lock())
_RLOCK: Any = type(_thread.RLock())
_LOCAL: Any = _thread._local
_QUEUE: Any = SimpleQueue
_KINDS = frozenset({_LOCK, _RLOCK, _LOCAL, _QUEUE})
_NO_OWNERS = (type, tuple, list, set, frozenset, ModuleType, threading.Condition, ThreadLock, ThreadRLock)
_OURS = (
    "builtins",
    "greenserve_hub",
    "greenserve",
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
)


@dataclass
class ExistingLocks:
    """What was found: the places where something was replaced, and those that were left as they are."""

    replaced: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def green_existing() -> ExistingLocks:
    """Replace all that can be. Walks all objects of the process. Switches: never."""
    found = ExistingLocks()
    twins: dict[int, Any] = {}
    kept: list[object] = []  # what stands in `twins` by its id() must not go before
    for name, owner in _owners():
        for attribute, value in _attributes(owner):
            if type(value) not in _KINDS or attribute in INTERPRETERS_LOCKS:
                continue
            twin = _twin(value, twins)
            if twin is value:
                found.left.append(f"{name}.{attribute}")
            else:
                kept.append(value)
                _put(owner, attribute, twin)
                found.replaced.append(f"{name}.{attribute}")
    _conditions(twins)
    return found


def _owners() -> list[tuple[str, Any]]:
    """Modules (their dictionaries) and objects that keep something of ours to replace, and what to call them."""
    names = {id(vars(one)): name for name, one in tuple(sys.modules.items()) if isinstance(one, ModuleType)}
    owners: list[tuple[str, Any]] = []
    for owner in gc.get_objects():
        if issubclass(type(owner), _NO_OWNERS) or not any(
            type(one) in _KINDS for one in gc.get_referents(owner)
        ):
            continue
        name = names.get(id(owner)) or _name_of(owner)
        if name.partition(".")[0] not in _OURS:
            owners.append((name, owner))
    return owners


def _name_of(owner: Any) -> str:
    if type(owner) is dict:
        for one in gc.get_referrers(owner):
            if _dictionary(one) is owner:
                owner = one
                break
        else:
            return "a dictionary"
    return f"{type(owner).__module__}.{type(owner).__qualname__}"


def _attributes(owner: Any) -> list[tuple[Any, Any]]:
    if type(owner) is dict:
        return list(owner.items())
    found = list((_dictionary(owner) or {}).items())
    for cls in type(owner).__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, MemberDescriptorType):
                try:
                    found.append((name, member.__get__(owner)))
                except AttributeError:
                    continue  # a slot that is empty
    return found


def _dictionary(owner: Any) -> dict[Any, Any] | None:
    try:
        found: dict[Any, Any] = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return None
    return found


def _put(owner: Any, attribute: str, twin: Any) -> None:
    if type(owner) is dict:
        owner[attribute] = twin
    else:
        object.__setattr__(owner, attribute, twin)


def _twin(value: Any, twins: dict[int, Any]) -> Any:
    """Ours for a native one; the native one itself where it must stay."""
    kind = type(value)
    twin = twins.get(id(value))
    if twin is None:
        if kind is _LOCK:
            twin = value if value.locked() else ThreadLock()
        elif kind is _RLOCK:
            twin = value if _held(value) else ThreadRLock()
        elif kind is _LOCAL:
            twin = local()
            vars(twin).update(vars(value))
        elif _thread._count() > threads_of_pools():
            twin = value
        else:
            twin = GreenSimpleQueue()
            while not value.empty():
                twin.put(value.get_nowait())
        twins[id(value)] = twin
    return twin


def _held(lock: Any) -> bool:
    if lock._is_owned() or not lock.acquire(False):
        return True
    lock.release()
    return False


def _conditions(twins: dict[int, Any]) -> None:
    for condition in gc.get_objects():
        if issubclass(type(condition), threading.Condition):
            lock, waiters = condition_parts(condition)
            if type(lock) not in (_LOCK, _RLOCK) or waiters:
                continue
            twin = _twin(lock, twins)
            if twin is not lock:
                threading.Condition.__init__(condition, twin)
