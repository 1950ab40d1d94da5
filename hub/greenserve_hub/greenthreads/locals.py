"""local: attributes that each green thread, and each OS thread, has for itself.

threading.local for green threads, and what it is in a patched program. The values live with the green thread, in its
greenlet, and go with it; nothing is inherited at spawn (context variables are). Knows no hub.

Facts: threading.local puts the dictionary of whoever asks in the object's place for the time of one access, in C. A
finalizer that comes in the midst of an access may wait, and others go on meanwhile. Consequence: nothing is put in
place here; what Python does with attributes (slots, properties, methods, class attributes below instance ones) is done
with the dictionary of whoever asks. No lock is needed.
"""

from __future__ import annotations

from typing import Any, Final, Self
from weakref import WeakKeyDictionary

from greenlet import getcurrent, greenlet

from greenserve_hub.finalization import has_begun

_get = object.__getattribute__
_set = object.__setattr__
_MISSING: Final = object()


class _Token:
    """Stands for a green thread: kept by it alone, so that values go when it does."""

    __slots__ = ("__weakref__",)


class _Impl:
    """What one local object is made of, besides its values; not among its attributes, where names are the user's."""

    __slots__ = ("arguments", "at_end", "values")

    def __init__(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.arguments = arguments
        # Kept by the local object: a value that leads back to it is garbage together with it.
        self.values: WeakKeyDictionary[_Token, dict[str, Any]] = WeakKeyDictionary()
        self.at_end: dict[
            str, Any
        ] = {}  # when the interpreter ends: the main thread's, if that has made the object


class local:  # the standard's name
    """As threading.local: subclasses may have __init__, which runs in each thread with the first one's arguments."""

    __slots__ = ("__weakref__", "_local__impl")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        """TypeError for arguments that no __init__ takes."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = super().__new__(cls)
        impl = _Impl((args, kwargs))
        _set(self, "_local__impl", impl)
        current = getcurrent()
        mine = impl.values[_token_of(current)] = {}
        if current.parent is None:
            impl.at_end = mine
        return self

    def __getattribute__(self, name: str) -> Any:
        """As this thread has it."""
        mine = _mine(self)
        if name == "__dict__":
            return mine
        cls = type(self)
        attribute = _in_class(cls, name)
        kind = type(attribute)
        bound = hasattr(kind, "__get__")
        if not (bound and _takes_all(kind)):
            if name in mine:
                return mine[name]
            if attribute is _MISSING:
                raise AttributeError(
                    f"'{cls.__name__}' object has no attribute '{name}'", name=name, obj=self
                )
        return kind.__get__(attribute, self, cls) if bound else attribute

    def __setattr__(self, name: str, value: Any) -> None:
        """For this thread."""
        mine, attribute = _changed(self, name)
        kind = type(attribute)
        if _takes_all(kind):
            kind.__set__(attribute, self, value)
        else:
            mine[name] = value

    def __delattr__(self, name: str) -> None:
        """For this thread."""
        mine, attribute = _changed(self, name)
        kind = type(attribute)
        if _takes_all(kind):
            kind.__delete__(attribute, self)
            return
        try:
            del mine[name]
        except KeyError:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self
            ) from None


def _token_of(green: greenlet) -> _Token:
    own: dict[str, Any] = green.__dict__
    try:
        token: _Token = own["_local_token"]
    except KeyError:
        token = own.setdefault("_local_token", _Token())
    return token


def forget_locals(green: greenlet) -> None:
    """Let go of its values now, for one that is over and may be referred to by one of them. Switches: never."""
    green.__dict__.pop("_local_token", None)


def _mine(self: local) -> dict[str, Any]:
    impl: _Impl = _get(self, "_local__impl")
    try:
        token = _token_of(getcurrent())
        mine = impl.values.get(token)
    except (RuntimeError, AttributeError, TypeError):
        return impl.at_end  # greenlet knows no current one any more, or the module weakref was taken apart
    if mine is not None:
        return mine
    if has_begun():
        return impl.at_end  # the collector has cleared the weak references of a local that is garbage
    # First use in this thread.
    fresh: dict[str, Any] = {}
    mine = impl.values.setdefault(token, fresh)
    cls = type(self)
    if mine is fresh and cls.__init__ is not object.__init__:
        args, kwargs = impl.arguments
        try:
            cls.__init__(self, *args, **kwargs)
        except BaseException:
            impl.values.pop(token, None)  # the next use tries again
            raise
    return mine


def _in_class(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        attributes = base.__dict__
        if name in attributes:
            return attributes[name]
    return _MISSING


def _takes_all(kind: Any) -> bool:
    # A property, a slot: what is set goes through it, and not into the dictionary.
    return hasattr(kind, "__set__") or hasattr(kind, "__delete__")


def _changed(self: local, name: str) -> tuple[dict[str, Any], Any]:
    cls = type(self)
    if name == "__dict__":
        raise AttributeError(f"'{cls.__name__}' object attribute '__dict__' is read-only")
    return _mine(self), _in_class(cls, name)
