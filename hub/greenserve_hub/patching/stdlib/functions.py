"""What stands in place of a function in C: called as one, kept as one, pickled as one.

Made by places.py and originals.py, of the functions in the green_* modules. Knows none of them.

Facts: a function in C is no descriptor. As the attribute of a class (selectors' `_selector_cls = select.poll`, a test's
`clock = time.sleep`) it is called without the instance, where one in Python gets it as its first argument. Consequence:
ours, which are in Python, are wrapped. Cost: some 80 ns a call. What was in Python before stays a plain function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any


class Builtin:
    """A function that binds to no instance. Each has a class of its own, since calls look at the class only."""

    __slots__ = ("__dict__", "__weakref__")

    __name__: str
    __module__: str
    __wrapped__: Callable[..., Any]  # where inspect.signature() looks

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        raise NotImplementedError  # the class of each has its function here

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"<green function {self.__module__}.{self.__name__}>"

    def __reduce__(self) -> str:
        """By its name, as functions are pickled: elsewhere it is what that name stands for there."""
        return self.__name__


_made: dict[tuple[str, str, Callable[..., Any]], Builtin] = {}


def in_place_of(native: object, green: Any, module: ModuleType, name: str) -> Any:
    """Give what to put into `module` as `name` for `green`: itself unless `native` is a function in C. Switches: never.

    The same one each time.
    """
    if not isinstance(green, FunctionType):
        return green
    if isinstance(native, Builtin):
        return native  # it is there
    if not isinstance(native, BuiltinFunctionType):
        # As pickle and users find it.
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
