"""Calls such as `spawn(func=fetch, url=...)`, which pass the function itself by keyword.

Called by spawn and similar functions. eventlet's name for this parameter differs from call to call.

Facts: `spawn(fn, *args, **kwargs)` calls `fn(*args, **kwargs)`, and `fn` may have a parameter of any name. Consequence:
the parameters of spawn itself are positional-only, so that they reserve no name. Decision: if no function is given by
position, it is taken from the keywords, under eventlet's name or ours.
"""

from __future__ import annotations

from typing import Any, Final


class _ByName:
    def __repr__(self) -> str:
        return "<by name>"


BY_NAME: Final[Any] = _ByName()  # the default of a parameter that may be passed by keyword


def take_named(kwargs: dict[str, Any], *names: str) -> Any:
    """Remove one of `names` from `kwargs` and return its value. Switches: never.

    TypeError if none is there; its text recommends the first name.
    """
    for name in names:
        if name in kwargs:
            return kwargs.pop(name)
    raise TypeError(f"missing argument: pass it by position, or as {names[0]}=")
