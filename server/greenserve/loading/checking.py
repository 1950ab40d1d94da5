"""Checks that an object is a WSGI app, without calling it; the error says what to do.

ASGI apps are recognised by coroutines and argument names, factories by having no arguments. Called by loader.py and for
apps given as objects.

Invariant: no working WSGI app is refused. Signatures that can't be read, or that a decorator declares for another
function, pass.
"""

from __future__ import annotations

import functools
import inspect
from typing import cast
from wsgiref.types import WSGIApplication

from greenserve.errors import AppImportError

__all__ = ["check_wsgi", "kind_of"]


def check_wsgi(app: object, name: str = "the app") -> WSGIApplication:
    """Return `app` if it can be a WSGI app; raise AppImportError with a helpful line if not."""
    if inspect.ismodule(app):
        raise AppImportError(f"{name} is a module: name the app in it, as {app.__name__}:app")
    if not callable(app):
        raise AppImportError(
            f"{name} is {kind_of(app)}, which can't be called; a WSGI app takes (environ, start_response)"
        )
    if _is_asgi(app):
        raise AppImportError(
            f"{name} is an ASGI app and greenserve serves WSGI: run it under an ASGI server such as uvicorn, "
            "or wrap it: a2wsgi.ASGIMiddleware(app)"
        )
    signature = _signature(app)
    if signature is not None:
        try:
            signature.bind({}, None)
        except TypeError:
            raise AppImportError(
                f"{name} takes {signature}, not (environ, start_response){_factory(signature)}"
            ) from None
    return cast("WSGIApplication", app)


def kind_of(app: object) -> str:
    """Return the type of an object with its article, for an error: `None`, `a str`, `an int`."""
    kind = type(app).__name__
    return "None" if app is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _is_asgi(app: object) -> bool:
    while isinstance(app, functools.partial):
        app = app.func
    called: object = app
    if not inspect.isroutine(app):
        # The code that a call of an instance runs. For a class, the code that a call of its instances runs: ASGI 2,
        # App(scope) and then (receive, send), or an ASGI 3 class that was not instantiated.
        called = inspect.getattr_static(app if inspect.isclass(app) else type(app), "__call__", None)
    return inspect.iscoroutinefunction(called) or _required(app) in (["scope"], ["scope", "receive", "send"])


def _signature(app: object) -> inspect.Signature | None:
    try:
        # Not the function that functools.wraps points to: a decorated app takes the arguments of its wrapper.
        return inspect.signature(app, follow_wrapped=False)  # type: ignore[arg-type]  # it is callable
    except Exception:  # a builtin, an odd object, an annotation that can't be evaluated
        return None


def _required(app: object) -> list[str]:
    signature = _signature(app)
    if signature is None:
        return []
    return [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _factory(signature: inspect.Signature) -> str:
    try:
        signature.bind()
    except TypeError:
        return ""
    return "; if it makes the app, write it as a call: module:factory()"
