"""local: attributes with a value of their own in each green thread and each OS thread.

threading.local for green threads, also in a patched program. The values live with the green thread, in its greenlet.
They are not inherited at spawn (context variables are). Knows no hub.

Facts: threading.local, in C, replaces the object's dictionary by that of the current thread during one access. A
finalizer in the middle of an access may wait, and other green threads run meanwhile. Consequence: nothing is replaced
here. Python's rules for attributes (slots, properties, methods, class attributes) are applied to the dictionary of the
current green thread. No lock is needed.
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
    """Stands for a green thread. Only the green thread refers to it, so its values are freed with it."""

    __slots__ = ("__weakref__",)


class _Impl:
    """The data of one local object, apart from its attributes, whose names belong to the user."""

    __slots__ = ("arguments", "at_end", "values")

    def __init__(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.arguments = arguments
        # Held by the local object: a value that refers to it becomes garbage together with it.
        self.values: WeakKeyDictionary[_Token, dict[str, Any]] = WeakKeyDictionary()
        # For the interpreter's end: the values of the main thread, if it has made the object.
        self.at_end: dict[str, Any] = {}


class local:  # the standard's name
    """Like threading.local. A subclass's __init__ runs in each thread, with the arguments of the first call."""

    __slots__ = ("__weakref__", "_local__impl")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        """Raise TypeError for arguments without an __init__."""
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
        """Return the value of this thread."""
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
        """Set it for this thread."""
        mine, attribute = _changed(self, name)
        kind = type(attribute)
        if _takes_all(kind):
            kind.__set__(attribute, self, value)
        else:
            mine[name] = value

    def __delattr__(self, name: str) -> None:
        """Delete it for this thread."""
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
    """Free the values of an ended green thread now, because a value may refer to it. Switches: never."""
    green.__dict__.pop("_local_token", None)


def _mine(self: local) -> dict[str, Any]:
    impl: _Impl = _get(self, "_local__impl")
    try:
        token = _token_of(getcurrent())
        mine = impl.values.get(token)
    except (RuntimeError, AttributeError, TypeError):
        return impl.at_end  # greenlet has no current green thread any more, or the module weakref was cleared
    if mine is not None:
        return mine
    if has_begun():
        return impl.at_end  # the garbage collector has cleared the weak references of this local
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
    # A property or a slot: it is set through the descriptor, not in the dictionary.
    return hasattr(kind, "__set__") or hasattr(kind, "__delete__")


def _changed(self: local, name: str) -> tuple[dict[str, Any], Any]:
    cls = type(self)
    if name == "__dict__":
        raise AttributeError(f"'{cls.__name__}' object attribute '__dict__' is read-only")
    return _mine(self), _in_class(cls, name)
