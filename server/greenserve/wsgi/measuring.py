"""Reads a body in chunks before its app is called, and says how long it is.

RFC 9112 §7.1.3: a body that was decoded has a Content-Length, and no Transfer-Encoding any more. Apps that read by
CONTENT_LENGTH alone, as CGI had it, get the first so; the second is never in environ. net/ puts this around an app
where the setting chunked_bodies says so. It knows no socket: it reads wsgi.input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from greenserve.wsgi.input import NO_BODY
from greenserve.wsgi.link import WSGIApplication

_IN_MEMORY: Final = (
    512 * 1024
)  # bytes of a body; what is longer goes into a temporary file, as waitress has it
_PIECE: Final = 64 * 1024


def with_lengths(app: WSGIApplication) -> WSGIApplication:
    """Return an app that gives `app` each body with its CONTENT_LENGTH, chunked ones whole, in a file."""

    def measured(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"]
        if body is not NO_BODY and "CONTENT_LENGTH" not in environ:
            file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed when the answer is out
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
