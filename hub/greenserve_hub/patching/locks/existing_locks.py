"""Replaces locks, locals and queues that were made before the patch.

A green thread that waits for a native lock blocks its whole OS thread. So each native lock that is not held is replaced
by one of ours, in the modules and objects that hold it or a method of it. A threading.Condition, which holds the
methods of its lock, is initialized again. A held lock belongs to a `with` block in progress and stays. A queue also
stays if other OS threads run, because any of them may wait for it. What stays is reported by name.

Facts: an OS thread that waits in a condition has released its lock, and will acquire the same lock again. Several
conditions may share a lock, as in queue.Queue. Consequence: a condition with waiters stays, and with it its lock and
all conditions that share the lock. Green threads that wait there block nobody: Condition.wait() makes a lock for each
wait, a green one by now, and holds the shared one only for a moment.

Objects are tested by type() only: isinstance() would ask a lazy proxy, which does work or raises.

Nothing of greenserve is replaced: the locks of its OS threads must stay native.
"""

from __future__ import annotations

import gc
import sys
import threading
from _queue import SimpleQueue  # `queue` is patched when this module is imported
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import (
    BuiltinMethodType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

from greenserve_hub.greenthreads.locals import local
from greenserve_hub.osthreads.thread_pools import threads_of_pools
from greenserve_hub.patching.locks.thread_locks import ThreadLock, ThreadRLock
from greenserve_hub.patching.locks.thread_queues import SimpleQueue as GreenSimpleQueue
from greenserve_hub.patching.stdlib.versions import INTERPRETERS_LOCKS, condition_parts
from greenserve_hub.unpatched import _thread

_LOCK: Any = type(_thread.allocate_lock())
_RLOCK: Any = type(_thread.RLock())
_LOCAL: Any = _thread._local
_QUEUE: Any = SimpleQueue
_NO_OWNERS = (
    *(type, tuple, list, set, frozenset, ModuleType, BuiltinMethodType),
    # Half of all objects are one of these:
    *(
        CellType,
        FunctionType,
        GetSetDescriptorType,
        MemberDescriptorType,
        MethodDescriptorType,
        WrapperDescriptorType,
    ),
    *(threading.Condition, ThreadLock, ThreadRLock),
)
_OURS = (
    "builtins",
    "greenserve_hub",
    "greenserve",
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
)


# By type: a function from a native object to ours, or to the native object itself if it must stay.
Makers = Mapping[type, Callable[[Any], Any]]


@dataclass
class ExistingLocks:
    """The places where an object was replaced, and those where it was left."""

    replaced: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def green_existing(makers: Makers) -> ExistingLocks:
    """Replace all objects of these types where possible. Visits all objects of the process. Switches: never."""
    found = ExistingLocks()
    owners = _owners(makers)  # before the dictionaries below exist
    conditions = _conditions(makers)
    twins: dict[int, Any] = {}
    kept: list[object] = []  # keeps objects alive whose id() is in `twins`
    for condition in conditions:
        lock, waiters = condition_parts(condition)
        if waiters:
            twins[id(lock)] = lock
    for name, owner in owners:
        for attribute, value in _attributes(owner):
            native = _native_of(value)
            if type(native) not in makers or attribute in INTERPRETERS_LOCKS:
                continue
            twin = _twin(native, twins, makers)
            place = f"{name}.{attribute}"
            if twin is native:
                if value is native:
                    found.left.append(place)
                continue
            kept.append(native)
            if not _put(owner, attribute, twin if value is native else getattr(twin, value.__name__)):
                found.left.append(place)
            elif value is native:
                found.replaced.append(place)
    for condition in conditions:
        lock, _ = condition_parts(condition)
        twin = _twin(lock, twins, makers)
        if twin is not lock:
            threading.Condition.__init__(condition, twin)
    return found


def _conditions(makers: Makers) -> list[threading.Condition]:
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, threading.Condition)}
    return [one for one in objects if type(one) in kinds and type(condition_parts(one)[0]) in makers]


def _native_of(value: Any) -> Any:
    """Return the object itself; for a method its object."""
    return value.__self__ if type(value) is BuiltinMethodType else value


def _owners(makers: Makers) -> list[tuple[str, Any]]:
    """Return the modules (their dictionaries) and objects that hold an object to replace, with their names."""
    names = {id(vars(one)): name for name, one in tuple(sys.modules.items()) if isinstance(one, ModuleType)}
    owners: list[tuple[str, Any]] = []
    # Every start of a patched program waits for this: what is asked of all objects is asked in C, or once for a type.
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if not issubclass(kind, _NO_OWNERS)}
    sought = {*makers, BuiltinMethodType}
    for owner in objects:
        if type(owner) not in kinds or sought.isdisjoint(map(type, gc.get_referents(owner))):
            continue
        if not any(type(_native_of(one)) in makers for one in gc.get_referents(owner)):
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
                    continue  # an empty slot
    return found


def _dictionary(owner: Any) -> dict[Any, Any] | None:
    try:
        found: dict[Any, Any] = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return None
    return found


def _put(owner: Any, attribute: str, twin: Any) -> bool:
    """Return True if the owner holds the twin now, and False if the attribute is read-only: functools.partial.func."""
    if type(owner) is dict:
        owner[attribute] = twin
        return True
    try:
        object.__setattr__(owner, attribute, twin)
    except AttributeError:
        return False
    return True


def _twin(native: Any, twins: dict[int, Any], makers: Makers) -> Any:
    twin = twins.get(id(native))
    if twin is None:
        twin = twins[id(native)] = makers[type(native)](native)
    return twin


def _twin_of_lock(native: Any) -> Any:
    return native if native.locked() else ThreadLock()


def _twin_of_rlock(native: Any) -> Any:
    if native._is_owned() or not native.acquire(False):
        return native
    native.release()
    return ThreadRLock()


def _twin_of_local(native: Any) -> Any:
    twin = local()
    vars(twin).update(vars(native))
    return twin


def _twin_of_queue(native: Any) -> Any:
    if _thread._count() > threads_of_pools():
        return native
    twin = GreenSimpleQueue()
    while not native.empty():
        twin.put(native.get_nowait())
    return twin


OF_THREADS: Final[Makers] = {
    _LOCK: _twin_of_lock,
    _RLOCK: _twin_of_rlock,
    _LOCAL: _twin_of_local,
    _QUEUE: _twin_of_queue,
}
