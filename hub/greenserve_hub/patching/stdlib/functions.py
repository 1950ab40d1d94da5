"""Replacements for functions in C, which behave like them as attributes and when pickled.

Made by places.py and originals.py from the functions in the green_* modules. Knows none of them.

Facts: a function in C is not a descriptor. As a class attribute (`_selector_cls = select.poll` in selectors, `clock =
time.sleep` in a test) it is called without the instance, but a Python function gets the instance as first argument.
Consequence: our functions, which are in Python, are wrapped. Cost: about 80 ns per call. The replacement of a Python
function stays a plain function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any


class Builtin:
    """A function that does not bind to an instance. Each has its own class, because calls look only at the class."""

    __slots__ = ("__dict__", "__weakref__")

    __name__: str
    __module__: str
    __wrapped__: Callable[..., Any]  # where inspect.signature() looks

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        raise NotImplementedError  # each subclass has its function here

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<green function {self.__module__}.{self.__name__}>"

    def __reduce__(self) -> str:
        """Pickle it by name, like a function: another process finds its own function of that name."""
        return self.__name__


_made: dict[tuple[str, str, Callable[..., Any]], Builtin] = {}


def in_place_of(native: object, green: Any, module: ModuleType, name: str) -> Any:
    """Return the object to store as `module.name` for `green`: wrapped if `native` is a function in C.

    The same object each time. Switches: never.
    """
    if not isinstance(green, FunctionType):
        return green
    if isinstance(native, Builtin):
        return native  # it is in place already
    if not isinstance(native, BuiltinFunctionType):
        # The names by which pickle and users find it.
        green.__module__, green.__name__, green.__qualname__ = module.__name__, name, name
        return green
    key = module.__name__, name, green
    made = _made.get(key)
    if made is None:
        cls = type("green_function", (Builtin,), {"__slots__": (), "__call__": staticmethod(green)})
        made = _made[key] = cls()
        update_wrapper(made, green)
        made.__dict__.update(__module__=module.__name__, __name__=name, __qualname__=name)
    return made
