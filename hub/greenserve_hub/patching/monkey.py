"""monkey_patch: makes the blocking calls of the standard library green, in place.

Called by programs before all other imports, by the command before it imports the app, and by `python -m
greenserve.patched`; never by embedding. The replacements are in the green_* modules, places.py puts them in place, and
existing_locks.py replaces locks that exist already.

Invariant: in an OS thread without a hub everything behaves as unpatched. A patch is never undone.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from greenserve_hub.loop.current import get_hub
from greenserve_hub.patching.other_runtimes import choose_threads, refuse_others
from greenserve_hub.patching.stdlib.loops import keep_loops_apart
from greenserve_hub.patching.stdlib.places import Places
from greenserve_hub.unpatched import LOADED_BEFORE

if TYPE_CHECKING:
    from greenserve_hub.greenio.sockets import GreenSocket

# eventlet's keywords, and `signal` and `multiprocessing`. Those in _ASKED_FOR are off unless named.
GROUPS: Final = (
    "os",
    "select",
    "signal",
    "socket",
    "subprocess",
    "thread",
    "time",
    "multiprocessing",
    "psycopg",
    "MySQLdb",
    "builtins",
)
_ASKED_FOR: Final = ("MySQLdb", "builtins")
_GROUP_OF: Final = {  # module: the group that patches it
    "selectors": "select",
    "ssl": "socket",
    "_multiprocessing": "multiprocessing",
    "_thread": "thread",
    "threading": "thread",
    "queue": "thread",
}

places: Final = Places()
_done: set[str] = set()


class MonkeyPatchWarning(RuntimeWarning):
    """Modules were imported before monkey_patch() was called."""


@dataclass(frozen=True)
class PatchReport:
    """The changes that one call of monkey_patch() made; empty if all was patched before."""

    names: tuple[str, ...] = ()  # "time.sleep": replaced in a patched module
    copies: tuple[str, ...] = ()  # "requests.sessions.sleep": the same object, replaced in another module
    locks: tuple[str, ...] = ()  # "logging._lock": existed already, replaced
    left: tuple[str, ...] = ()  # locks that existed already, are held, and stay native


def monkey_patch(**on: bool) -> PatchReport:
    """Make blocking calls of the standard library green, for the whole process. Switches: never.

    Without arguments: os (with io and open()), select, signal, socket (with ssl), subprocess, thread (with queue and
    logging), time, multiprocessing and psycopg. `monkey_patch(socket=True)`: only this group.
    `monkey_patch(thread=False)`: all but this group. `all=True|False`: the value for groups that are not named.
    `MySQLdb` (in OS threads) and `builtins` (open(), which `os` includes) must be named. A second call patches what is
    left. TypeError for other names, HubError if eventlet or gevent has patched the process. Gives one
    MonkeyPatchWarning if modules were imported before greenserve.
    """
    return _patch(_chosen(on), warn_of_early=True)


def patch_early(**on: bool) -> PatchReport:
    """Like monkey_patch(), for a caller that runs before all imports of the user. Switches: never."""
    return _patch(_chosen(on), warn_of_early=False)


def _chosen(on: dict[str, bool]) -> list[str]:
    unknown = sorted(set(on) - {*GROUPS, "all"})
    if unknown:
        raise TypeError(f"monkey_patch() has no group {unknown[0]!r}: choose among all, {', '.join(GROUPS)}")
    default = on.get("all", True not in on.values())
    return [name for name in GROUPS if on.get(name, default and name not in _ASKED_FOR)]


def _patch(groups: list[str], warn_of_early: bool) -> PatchReport:
    new = [group for group in groups if group not in _done]
    if not new:
        return PatchReport()
    refuse_others()
    get_hub()  # from now on this OS thread has a hub, and its calls are green
    _done.update(new)
    names: list[str] = []
    for group in new:
        names += _APPLY[group]()
    copies = places.follow(except_in=places.natives)
    locks: list[str] = []
    left: list[str] = []
    keep_loops_apart()
    choose_threads()
    makers = _makers(new)
    if makers:
        from greenserve_hub.patching.locks.existing_locks import green_existing

        existing = green_existing(makers)
        locks, left = existing.replaced, existing.left
    report = PatchReport(tuple(names), tuple(copies), tuple(locks), tuple(left))
    _warn(report, warn_of_early)
    return report


def use_socket_class(cls: type[GreenSocket]) -> None:
    """Patch socket.socket with a class of a caller's own, and give it to green copies too. Switches: never.

    Has to be called before monkey_patch(), import_patched() and original().
    """
    from greenserve_hub.patching.green import green_socket

    green_socket.REPLACED["socket"]["socket"] = cls


def is_monkey_patched(module: str | ModuleType) -> bool:
    """Return True if a group or a module (or its name) is patched. Switches: never."""
    name = module if isinstance(module, str) else module.__name__
    return _GROUP_OF.get(name, name) in _done


def lost_modules() -> list[str]:
    """Return patched modules that were dropped from sys.modules, so that later imports find unpatched ones.

    Switches: never.
    """
    return places.lost()


def _apply(green: Any) -> list[str]:
    names = []
    for name, replaced in getattr(green, "REPLACED", {}).items():
        names += places.replace(import_module(name), replaced)
    for cls, attribute, value in getattr(green, "ON_CLASSES", ()):
        names.append(places.replace_on_class(cls, attribute, value))
    return names


def replacements() -> dict[str, dict[str, Any]]:
    """Return all green names by module, patched or not. Switches: never."""
    from greenserve_hub.patching.green import (
        green_fcntl,
        green_io,
        green_multiprocessing,
        green_os,
        green_select,
        green_signal,
        green_socket,
        green_subprocess,
        green_thread,
        green_time,
    )
    from greenserve_hub.patching.stdlib import versions

    found = versions.thread_names(green_thread)
    for green in (
        green_fcntl,
        green_io,
        green_multiprocessing,
        green_os,
        green_select,
        green_signal,
        green_socket,
        green_subprocess,
        green_time,
    ):
        found |= green.REPLACED
    return found


# Import statements, not import_module(): tools that freeze programs (PyInstaller, Nuitka) read the statements.


def _select() -> list[str]:
    from greenserve_hub.patching.green import green_select

    return _apply(green_select)


def _sockets() -> list[str]:
    from greenserve_hub.patching.green import green_socket

    return _apply(green_socket)


def _subprocesses() -> list[str]:
    from greenserve_hub.patching.green import green_subprocess

    return _apply(green_subprocess)


def _time() -> list[str]:
    from greenserve_hub.patching.green import green_time

    return _apply(green_time)


def _threads() -> list[str]:
    from greenserve_hub.patching import debuggers
    from greenserve_hub.patching.green import green_thread, green_tracing
    from greenserve_hub.patching.stdlib import versions

    names = []
    for name, replaced in versions.thread_names(green_thread).items():
        names += places.replace(import_module(name), replaced)
    names += _apply(green_tracing)
    green_tracing.follow_profilers()
    versions.settle_threading(green_thread)
    debuggers.follow_debugger()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=green_thread.after_fork)
    return names


def _makers(groups: list[str]) -> dict[type, Callable[[Any], Any]]:
    """Return, by type, what replaces existing locks of these groups."""
    found: dict[type, Callable[[Any], Any]] = {}
    if "thread" in groups:
        from greenserve_hub.patching.locks.existing_locks import OF_THREADS

        found.update(OF_THREADS)
    if "multiprocessing" in groups:
        from greenserve_hub.patching.green.green_multiprocessing import EXISTING

        found.update(EXISTING)
    return found


def _signals() -> list[str]:
    from greenserve_hub.patching.green import green_signal

    green_signal.take_over()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=green_signal.after_fork)
    return _apply(green_signal)


def _multiprocessing() -> list[str]:
    from greenserve_hub.patching.green import green_multiprocessing

    green_multiprocessing.follow_imports(places.twin_of)
    return _apply(green_multiprocessing)


def _psycopg() -> list[str]:
    from greenserve_hub.patching.green import databases

    databases.patch_psycopg()
    return []


def _mysqldb() -> list[str]:
    from greenserve_hub.patching.green import databases

    databases.patch_mysqldb()
    return []


def _descriptors() -> list[str]:
    from greenserve_hub.patching.green import green_fcntl, green_io, green_os

    return _apply(green_os) + _apply(green_io) + _apply(green_fcntl)


def _builtins() -> list[str]:
    from greenserve_hub.patching.green import green_io

    return _apply(green_io)


_APPLY: Final[dict[str, Callable[[], list[str]]]] = {
    "multiprocessing": _multiprocessing,
    "os": _descriptors,
    "select": _select,
    "signal": _signals,
    "socket": _sockets,
    "subprocess": _subprocesses,
    "thread": _threads,
    "time": _time,
    "psycopg": _psycopg,
    "MySQLdb": _mysqldb,
    "builtins": _builtins,
}
# Modules of the standard library that hold enough native objects to be named in the warning. In all others (functools,
# reprlib, …) everything was replaced.
_WORTH_TELLING: Final = frozenset(
    {
        "asyncio",
        "concurrent",
        "http",
        "logging",
        "multiprocessing",
        "queue",
        "select",
        "selectors",
        "socket",
        "ssl",
    }
    | {"subprocess", "threading", "urllib"}
)
_QUIET: Final = sys.stdlib_module_names | {
    "__main__",
    "__mp_main__",
    "greenserve",
    "greenserve_eventlet",
    "greenserve_hub",
}
_FREEZERS: Final = ("pyimod", "pyi_rth_")  # PyInstaller's own modules
_NAMED: Final = 12  # modules in a warning, at most


def _warn(report: PatchReport, warn_of_early: bool) -> None:
    from greenserve_hub.patching.stdlib.versions import is_starting_a_process

    if "pydevd" in LOADED_BEFORE:
        return  # a debugger has started the program, with its own imports and threads: no call could come first
    told = []
    # A process that multiprocessing starts imports multiprocessing before the program, which cannot change that.
    early = _early(report) if warn_of_early and not is_starting_a_process() else []
    if early:
        more = f" and {len(early) - _NAMED} more" if len(early) > _NAMED else ""
        told.append(
            f"monkey_patch() was called after the import of {', '.join(early[:_NAMED])}{more}: "
            f"{len(report.copies)} names and {len(report.locks)} locks in these modules were replaced"
        )
    if report.left:
        told.append(f"these locks are in use and stay native: {', '.join(report.left)}")
    if told:
        advice = "Call it before every other import, or start with `python -m greenserve.patched script.py`."
        warnings.warn(f"{'; '.join(told)}. {advice}", MonkeyPatchWarning, stacklevel=_outside())


def _early(report: PatchReport) -> list[str]:
    """Return packages that were imported before greenserve and use patched modules; the user's first."""
    touched = {place.partition(".")[0] for place in report.names + report.copies + report.locks}
    patched = {id(sys.modules[name]) for name in _WORTH_TELLING.intersection(places.natives)}
    for name in LOADED_BEFORE:
        module = sys.modules.get(name)
        if module is not None and any(id(value) in patched for value in tuple(vars(module).values())):
            touched.add(name.partition(".")[0])
    found = touched & {name.partition(".")[0] for name in LOADED_BEFORE}
    users = {name for name in found - _QUIET if not name.startswith(_FREEZERS)}
    # A frozen program starts with its freezer's imports: no line of the user could run before them.
    standard = set() if getattr(sys, "frozen", False) else found & _WORTH_TELLING
    return sorted(users) + sorted(standard)


def _outside() -> int:
    level = 1
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("greenserve_hub.patching"):
        frame = frame.f_back  # type: ignore[assignment]
        level += 1
    return level
