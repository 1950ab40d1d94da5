"""The demo's front door: which path is answered by which function, and the page itself.

The page is three files. The chat stands under /chat/ as an app of its own. The rest is counted by `InFlight`, so that
the page can show how many requests run at this moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import shift_path_info

from apps import chat
from apps.chat.pages import Page
from webob import Request
from webob.exc import HTTPMethodNotAllowed, HTTPNotFound

from . import live, uploads, work

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/script.js": ("script.js", "text/javascript; charset=utf-8"),
}
# The page loads nothing from elsewhere, and its Content-Security-Policy makes that a fact.
POLICY = "default-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
PAGE = Page(Path(__file__).parent, FILES, POLICY)

ROUTES: dict[str, tuple[tuple[str, ...], Callable[[Any], Any]]] = {
    "/events": (("GET",), live.events),
    "/request": (("GET",), live.describe),
    "/upload": (("POST", "PUT"), uploads.upload),
    "/dialogue": (("GET",), uploads.dialogue),
    "/crowd": (("GET",), work.crowd),
    "/nap": (("GET",), work.nap),
    "/later": (("POST",), work.later),
    "/later/done": (("GET",), work.later_done),
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The WSGI app."""
    if PAGE.has(environ):
        return PAGE(environ, start_response)
    if environ["PATH_INFO"].split("/")[1:2] == ["chat"]:
        shift_path_info(environ)
        return chat.app(environ, start_response)
    return live.in_flight.count(answer, environ, start_response)


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Whatever isn't one of the page's files."""
    request = Request(environ)
    methods, handler = ROUTES.get(request.path_info, ((), None))
    if handler is None:
        response: Any = HTTPNotFound()
    elif request.method not in methods:
        response = HTTPMethodNotAllowed(headers={"Allow": ", ".join(methods)})
    else:
        response = handler(request)
    response.headers.setdefault("Cache-Control", "no-store")
    answered: Iterable[bytes] = response(environ, start_response)
    return answered
