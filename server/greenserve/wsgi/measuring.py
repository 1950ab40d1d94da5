"""Reads a chunked body before the app is called, and sets its CONTENT_LENGTH.

RFC 9112 §7.1.3: a decoded body has a Content-Length and no Transfer-Encoding. Apps that read by CONTENT_LENGTH alone,
as with CGI, need the first; the second is never in environ. net/ wraps an app in this if the setting chunked_bodies
says so. It knows no socket: it reads wsgi.input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from greenserve.wsgi.input import NO_BODY
from greenserve.wsgi.link import WSGIApplication

_IN_MEMORY: Final = 512 * 1024  # bytes of a body; a longer one goes into a temporary file, as in waitress
_PIECE: Final = 64 * 1024  # bytes


def with_lengths(app: WSGIApplication) -> WSGIApplication:
    """Return an app that calls `app` with a CONTENT_LENGTH for each body; a chunked one is then whole, in a file."""

    def measured(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"]
        if body is not NO_BODY and "CONTENT_LENGTH" not in environ:
            file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # a post-hook closes it
            environ["greenserve.posthooks"].append((_close, (file,), {}))
            while piece := body.read(_PIECE):
                file.write(piece)
            environ["CONTENT_LENGTH"] = str(file.tell())
            file.seek(0)
            environ["wsgi.input"] = file
        return app(environ, start_response)

    return measured


def _close(environ: dict[str, Any], file: SpooledTemporaryFile[bytes]) -> None:
    file.close()
