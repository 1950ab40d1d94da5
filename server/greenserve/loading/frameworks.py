"""Finds the frameworks of an app that read bodies by CONTENT_LENGTH alone.

Looks at the app and through the middleware around it, without calling anything. Called by net/serving/server.py and
process/single.py.

Invariant: a framework that can't be found is no error.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator, Mapping

__all__ = ["reads_by_length", "unseen_by_length"]

# They read as many bytes as CONTENT_LENGTH says, and none without it. Each with the module that serves apps.
_BY_LENGTH = {
    "bottle": "bottle",
    "cherrypy": "cherrypy",
    "django": "django.core.handlers.wsgi",
    "web.application": "web.application",
}
_MOST = 100  # objects that are searched
# The attributes in which middleware keeps the app inside it.
_NAMES = ("app", "_app", "application", "_application", "wsgi_app", "wrapped", "handler", "mounts", "apps")


def reads_by_length(app: object) -> bool:
    """Return True if the app, or a part of it, is of a framework that finds a body's end by CONTENT_LENGTH alone."""
    seen: list[object] = []
    ahead = [app]
    while ahead and len(seen) < _MOST:
        one = ahead.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        # An instance has the module of its class, a function its own.
        kind = one if isinstance(one, types.FunctionType | type) else type(one)
        if f"{getattr(kind, '__module__', '')}.".startswith(tuple(f"{name}." for name in _BY_LENGTH)):
            return True
        ahead += _inside(one)
    return False


def unseen_by_length(app: object) -> str:
    """Return the name of such a framework that is loaded but not found in the app; "" for none."""
    loaded = [name for name, module in _BY_LENGTH.items() if module in sys.modules]
    return loaded[0] if loaded and not reads_by_length(app) else ""


def _inside(one: object) -> Iterator[object]:
    if isinstance(one, functools.partial):
        yield from (one.func, *one.args, *one.keywords.values())
    elif isinstance(one, types.MethodType):
        yield from (one.__self__, one.__func__)
    elif isinstance(one, types.FunctionType):
        for cell in one.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            if callable(content) or isinstance(content, Mapping):
                yield content
    elif isinstance(one, Mapping):
        yield from one.values()
    else:
        attributes = getattr(one, "__dict__", {})
        yield from (attributes[name] for name in _NAMES if name in attributes)
