"""eventlet.tpool: calls in OS threads, by greenserve's thread pool."""

from __future__ import annotations

import copy
import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from greenserve_hub import Timeout, sleep, threads

EXC_CLASSES: Final = (Exception, Timeout)
SYS_EXCS: Final = (GeneratorExit, KeyboardInterrupt, SystemExit)
QUIET = True  # False: errors of calls are printed too; set by debug.tpool_exceptions()


def execute(meth: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `meth` in an OS thread, and return its result or raise its error. Switches: always."""
    setup()
    if QUIET:
        return threads.execute(meth, *args, **kwargs)
    try:
        return threads.execute(meth, *args, **kwargs)
    except EXC_CLASSES:
        traceback.print_exc()
        traceback.print_stack()
        raise


def proxy_call(autowrap: tuple[type, ...], f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `f` in an OS thread, or directly with nonblocking=True; wrap a result of a type in `autowrap`."""
    result = f(*args, **kwargs) if kwargs.pop("nonblocking", False) else execute(f, *args, **kwargs)
    return Proxy(result, autowrap) if isinstance(result, autowrap) else result


class Proxy(threads.Proxy):
    """greenserve's Proxy, which also wraps plain attributes and has the repr of the object, as in eventlet."""

    def __getattr__(self, name: str) -> Any:
        """Return an attribute; a method runs in an OS thread when called."""
        value = getattr(self._obj, name)
        if callable(value):
            return partial(self._call_or_not, name, value)
        if name in self._autowrap_names or isinstance(value, self._autowrap):
            return Proxy(value, self._autowrap)
        return value

    def _call_or_not(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if kwargs.pop("nonblocking", False):  # eventlet's keyword: the call waits for nothing
            result = fn(*args, **kwargs)
            return Proxy(result, self._autowrap) if isinstance(result, self._autowrap) else result
        return self._call(name, fn, *args, **kwargs)

    def __repr__(self) -> str:
        """Return that of the object."""
        return repr(self._obj)

    # In eventlet these run in the caller: they are called often, and rarely wait.

    def __len__(self) -> int:
        """Return that of the object."""
        return len(self._obj)

    def __bool__(self) -> bool:
        """Return that of the object."""
        return bool(self._obj)

    def __iter__(self) -> Iterator[Any]:
        """Return this Proxy if the object is its own iterator, else one of its iterator."""
        items = iter(self._obj)
        return self if items is self._obj else Proxy(items)

    def __copy__(self) -> Any:
        """Runs in an OS thread."""
        return proxy_call(self._autowrap, copy.copy, self._obj)

    def __deepcopy__(self, memo: Any = None) -> Any:
        """Runs in an OS thread."""
        return proxy_call(self._autowrap, copy.deepcopy, self._obj, memo)


def setup() -> None:
    """Set the number of OS threads, before the first call. Repeatable. Switches: never."""
    global _is_set_up
    if _is_set_up:
        return
    assert _nthreads >= 0, "Can't specify negative number of threads"
    _is_set_up = True
    if _nthreads == 0:
        warnings.warn(
            "Zero threads in tpool: all calls block in their callers. EVENTLET_THREADPOOL_SIZE sets the number",
            RuntimeWarning,
            stacklevel=3,
        )
    threads.set_size(_nthreads)


def killall() -> None:
    """Let others run: greenserve's OS threads end by themselves. Switches: always."""
    global _is_set_up
    _is_set_up = False  # as in eventlet, the next call obeys set_num_threads()
    sleep(0)


def set_num_threads(nthreads: int) -> None:
    """Set how many OS threads there are at most, before the first call or after killall(). Switches: never."""
    global _nthreads
    _nthreads = nthreads


_is_set_up = False
_nthreads = int(os.environ.get("EVENTLET_THREADPOOL_SIZE", threads.get_size()))

__all__ = [
    "EXC_CLASSES",
    "QUIET",
    "SYS_EXCS",
    "Proxy",
    "execute",
    "killall",
    "proxy_call",
    "set_num_threads",
    "setup",
]
