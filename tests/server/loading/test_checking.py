"""checking: working WSGI apps pass, ASGI apps and factories are told what to do."""

import functools
import types
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from unittest.mock import Mock

import flask
import pytest
import webob
import webob.dec

from greenserve.errors import AppImportError
from greenserve.loading.checking import check_wsgi


def _name(app: object) -> str:
    """The same in each run, which an address in a repr is not: pytest-xdist compares."""
    return str(getattr(app, "__name__", type(app).__name__))


def function(environ: Any, start_response: Any) -> Iterable[bytes]:
    return []


class Instance:
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []

    def method(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []


class PerRequest:
    """PEP 3333's class form: each request makes an instance, which is iterated."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        self.environ = environ

    def __iter__(self) -> Any:
        yield b""


def wrapped(view: Callable[[Any], str]) -> Any:
    @functools.wraps(view)
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        return [view(environ).encode()]

    return app


def _view(request: Any) -> str:
    return ""


def _with_extra(extra: Any, environ: Any, start_response: Any) -> Iterable[bytes]:
    return []


@pytest.mark.parametrize(
    "app",
    [
        function,
        Instance(),
        Instance().method,
        PerRequest,
        wrapped(_view),
        functools.partial(_with_extra, 1),
        lambda *args: [],
        flask.Flask("x"),
        webob.Response("x"),
        webob.dec.wsgify(_view),
        Mock(),
        dict,  # a builtin whose signature can't be told
    ],
    ids=_name,
)
def test_what_may_be_a_wsgi_app_passes(app: Any) -> None:
    assert check_wsgi(app) is app


async def asgi3(scope: Any, receive: Any, send: Any) -> None: ...


def plain_asgi3(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    raise NotImplementedError


def asgi2(scope: Any) -> Any: ...


class Asgi3Instance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Asgi2Class:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Inherits(Asgi3Instance):
    pass


@pytest.mark.parametrize(
    "app",
    [
        asgi3,
        plain_asgi3,
        asgi2,
        Asgi3Instance(),
        Asgi3Instance,
        Asgi2Class,
        Inherits(),
        Asgi3Instance().__call__,
        functools.partial(functools.partial(asgi3)),
    ],
    ids=_name,
)
def test_an_asgi_app_is_refused_with_what_to_do(app: Any) -> None:
    with pytest.raises(AppImportError) as caught:
        check_wsgi(app, "m:app")
    line = str(caught.value)
    assert line.startswith("m:app is an ASGI app and greenserve serves WSGI: ")
    assert "uvicorn" in line
    assert "a2wsgi.ASGIMiddleware" in line
    assert "\n" not in line


def factory(name: str = "x") -> Any: ...


@pytest.mark.parametrize(
    ("app", "line"),
    [
        (None, "m:x is None, which can't be called"),
        ("text", "m:x is a str, which can't be called"),
        (3, "m:x is an int, which can't be called; a WSGI app takes (environ, start_response)"),
        (types.ModuleType("mod"), "m:x is a module: name the app in it, as mod:app"),
        (
            factory,
            "m:x takes (name: str = 'x') -> Any, not (environ, start_response); if it makes the app, write",
        ),
        (_with_extra, "m:x takes (extra: Any, environ: Any, start_response: Any)"),
    ],
)
def test_what_is_no_app_is_refused(app: object, line: str) -> None:
    with pytest.raises(AppImportError) as caught:
        check_wsgi(app, "m:x")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
