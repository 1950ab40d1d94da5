"""The chat's front door: the page's files, and the WebSocket at `ws` beside them.

It may stand anywhere in another app: all that the page asks for is relative to where it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webob import Request
from webob.exc import HTTPMethodNotAllowed, HTTPNotFound, HTTPPermanentRedirect

from greenserve import WebSocketWSGI

from .pages import Page
from .protocol import MOST_BYTES
from .rooms import House
from .visitors import Visitor

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from greenserve import WebSocket

# Trusted types: a text that would become HTML or a script is an error in the browser, not an injection.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/script.js": ("script.js", "text/javascript; charset=utf-8"),
    "/connection.js": ("connection.js", "text/javascript; charset=utf-8"),
}


class Chat:
    """The WSGI app; each has its own rooms."""

    def __init__(self) -> None:
        """No room yet."""
        self.house = House()
        self.page = Page(Path(__file__).parent, FILES, POLICY)
        # Whoever doesn't read is closed, not waited for: the page comes back and catches up.
        self.socket = WebSocketWSGI(self.enter, max_size=MOST_BYTES, when_slow="close")

    def enter(self, ws: WebSocket) -> None:
        """A page has connected. It is heard by callbacks, so this green thread ends here."""
        Visitor(self.house, ws)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        path = environ["PATH_INFO"]
        if self.page.has(environ):
            return self.page(environ, start_response)
        if path == "/ws":
            response: Any = self.socket
        elif not path:  # mounted at /chat, asked for without its slash: relative links would miss
            response = HTTPPermanentRedirect(location=Request(environ).script_name + "/")
        elif path in FILES:
            response = HTTPMethodNotAllowed(headers={"Allow": "GET, HEAD"})
        else:
            response = HTTPNotFound()
        answered: Iterable[bytes] = response(environ, start_response)
        return answered


app = Chat()
