"""A function that is given by keyword to what hands all other keywords on to it.

Knows eventlet's names for such a parameter, which differ from call to call. Called by spawn and its kin.

Facts: `spawn(fn, *args, **kwargs)` calls `fn(*args, **kwargs)`, and `fn` may have a parameter of any name. Consequence:
no parameter of spawn itself may have one, so they are positional-only. Decision: a call that gives no function by
position gives it among its keywords, under eventlet's name or ours, as `spawn(func=fetch, url=...)`.
"""

from __future__ import annotations

from typing import Any, Final


class _ByName:
    def __repr__(self) -> str:
        return "<by name>"


BY_NAME: Final[Any] = _ByName()  # the default of a parameter that may be given by keyword


def take_named(kwargs: dict[str, Any], *names: str) -> Any:
    """Take what `kwargs` holds under one of `names`; the first is the one to recommend. Switches: never.

    TypeError when there is none.
    """
    for name in names:
        if name in kwargs:
            return kwargs.pop(name)
    raise TypeError(f"missing argument: give it by position, or as {names[0]}=")
