"""local: attributes that each green thread, and each OS thread, has for itself.

threading.local for green threads, and what it is in a patched program. The values live with the green thread, in its
greenlet, and go with it; nothing is inherited at spawn (context variables are). Knows no hub.

Facts: only an object's real dictionary takes part in everything that Python does with attributes (slots, properties,
class attributes below instance ones). Consequence: the dictionary of whoever asks is put in place before each access.
Cost: about half a microsecond for it. The lock is for OS threads; a property that waits while it holds it stops none
but those that share this very object.
"""

from __future__ import annotations

from typing import Any, Self
from weakref import WeakKeyDictionary

from greenlet import getcurrent, greenlet

from greenserve_hub.natives import _thread

_get = object.__getattribute__
_set = object.__setattr__


class _Token:
    """Stands for a green thread: kept by it alone, so that values go when it does."""

    __slots__ = ("__weakref__",)


class _Impl:
    """What one local object is made of, besides its values; not among its attributes, where names are the user's."""

    __slots__ = ("arguments", "lock", "values")

    def __init__(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.arguments = arguments
        self.lock = _thread.RLock()
        # Kept by the local object: a value that leads back to it is garbage together with it.
        self.values: WeakKeyDictionary[_Token, dict[str, Any]] = WeakKeyDictionary()


class local:  # the standard's name
    """As threading.local: subclasses may have __init__, which runs in each thread with the first one's arguments."""

    __slots__ = ("__dict__", "__weakref__", "_local__impl")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        """TypeError for arguments that no __init__ takes."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = super().__new__(cls)
        impl = _Impl((args, kwargs))
        _set(self, "_local__impl", impl)
        impl.values[_token_of(getcurrent())] = _get(self, "__dict__")
        return self

    def __getattribute__(self, name: str) -> Any:
        """As this thread has it."""
        impl = _get(self, "_local__impl")
        with impl.lock:
            _install(self, impl)
            return _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """For this thread."""
        impl = _changed(self, name)
        with impl.lock:
            _install(self, impl)
            _set(self, name, value)

    def __delattr__(self, name: str) -> None:
        """For this thread."""
        impl = _changed(self, name)
        with impl.lock:
            _install(self, impl)
            object.__delattr__(self, name)


def _token_of(green: greenlet) -> _Token:
    own: dict[str, Any] = green.__dict__
    try:
        token: _Token = own["_local_token"]
    except KeyError:
        token = own["_local_token"] = _Token()
    return token


def forget_locals(green: greenlet) -> None:
    """Let go of its values now, for one that is over and may be referred to by one of them. Switches: never."""
    green.__dict__.pop("_local_token", None)


def _install(self: local, impl: _Impl) -> None:
    try:
        token = _token_of(getcurrent())
    except RuntimeError:
        return  # the interpreter is at its end: what is installed is the main thread's
    mine = impl.values.get(token)
    if mine is None:
        # First use in this thread.
        mine = impl.values[token] = {}
        _set(self, "__dict__", mine)
        cls = type(self)
        if cls.__init__ is not object.__init__:
            args, kwargs = impl.arguments
            cls.__init__(self, *args, **kwargs)
    _set(self, "__dict__", mine)


def _changed(self: local, name: str) -> _Impl:
    if name == "__dict__":
        raise AttributeError(f"'{type(self).__name__}' object attribute '__dict__' is read-only")
    impl: _Impl = _get(self, "_local__impl")
    return impl
