"""frameworks: a framework is found through what stands around its app."""

from __future__ import annotations

import functools
import signal
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import bottle
import flask
import pytest
from django.core.handlers.wsgi import WSGIHandler
from tests.support.programs.commands import command
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from greenserve.loading.frameworks import reads_by_length, unseen_by_length


class _Owner:
    def __init__(self, app: Any) -> None:
        self.app = app

    def serve(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


def _around(app: Any) -> Any:
    def inner(environ: Any, start_response: Any) -> Any:
        return app(environ, start_response)

    @functools.wraps(inner)
    def outer(environ: Any, start_response: Any) -> Any:
        return inner(environ, start_response)

    return outer


def _plain(environ: Any, start_response: Any) -> Any: ...


_WRAPPERS = [
    lambda app: app,
    validator,
    ProxyFix,
    _around,
    lambda app: _Owner(app).serve,
    lambda app: functools.partial(_around(app)),
    lambda app: DispatcherMiddleware(_plain, {"/a": app}),
    lambda app: ProxyFix(validator(_around(app))),
]


@pytest.mark.parametrize("wrap", _WRAPPERS)
def test_frameworks_are_found(wrap: Any) -> None:
    assert reads_by_length(wrap(bottle.Bottle()))
    assert reads_by_length(wrap(WSGIHandler.__new__(WSGIHandler)))
    assert not reads_by_length(wrap(_plain))
    assert not reads_by_length(wrap(flask.Flask(__name__)))


def test_a_module_that_is_called_web_is_no_web_py() -> None:
    def app(environ: Any, start_response: Any) -> Any: ...

    app.__module__ = "web.views"
    assert not reads_by_length(app)
    app.__module__ = "bottles"
    assert not reads_by_length(app)
    app.__module__ = "web.application"
    assert reads_by_length(app)


def test_one_that_is_loaded_and_hidden_is_named() -> None:
    class Hiding:
        """Keeps its app where nobody looks."""

        def __init__(self, app: Any) -> None:
            self.somewhere = app

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.somewhere(environ, start_response)

    assert unseen_by_length(Hiding(bottle.Bottle())) == "bottle"
    assert unseen_by_length(bottle.Bottle()) == ""


_HIDDEN = """
if __name__ == "loads":
    import bottle

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
"""


def test_the_command_says_so(tmp_path: Path) -> None:
    for name, told in (("loads", True), ("plain", False)):
        (tmp_path / f"{name}.py").write_text(_HIDDEN)
        with command("-m", "greenserve", f"{name}:app", "--bind", "127.0.0.1:0", folder=tmp_path) as process:
            process.until("stop it with")
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
        assert ("bottle is loaded but was not found in the app" in process.text) is told


def test_odd_objects_are_no_error() -> None:
    class Odd:
        __slots__ = ()
        __module__ = None  # type: ignore[assignment]

    ring = _Owner(None)
    ring.app = ring
    for one in (None, Odd(), ring, Odd, 1, functools.partial(Odd)):
        assert not reads_by_length(one)
