"""ErrorPage: the app in place of one that can't be loaded, for development only: it shows the error and its source.

All text of the app's is escaped, nothing comes from elsewhere, and the CSP allows no more than the page's own script
and style. The script keeps an event stream open at the page's address, which ends with this worker: the page loads
itself anew when what answers there is another one.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import secrets
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from wsgiref.types import StartResponse

from greenserve.config.places import is_installed
from greenserve.errors import AppImportError
from greenserve.process.reloading.page_parts import PAGE, SCRIPT, STYLE
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.unpatched import io

__all__ = ["ErrorPage", "Place", "place_of"]

_AROUND: Final = 5  # lines
_LONGEST_LINE: Final = 400  # characters
_LONGEST_FILE: Final = 4 << 20  # bytes
_LOOK: Final = 0.05  # seconds
_COMMENT_EVERY: Final = 300  # looks: so that a stream whose client is gone ends


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the source an error is."""

    file: str
    line: int
    column: int  # from 1; 0 if it is not known


def place_of(error: BaseException) -> Place | None:
    """Return the place to look at first: that of a SyntaxError, else the innermost frame of the user's own code."""
    if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
        return Place(os.path.abspath(error.filename), error.lineno or 1, error.offset or 0)
    places = [
        Place(os.path.abspath(frame.filename), frame.lineno or 1, 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.isfile(frame.filename)
    ]
    folder = os.path.join(os.getcwd(), "")
    own = [place for place in places if place.file.startswith(folder) and not is_installed(place.file)]
    chosen = own or places
    return chosen[-1] if chosen else None


def _source(place: Place) -> list[tuple[int, str]]:
    """The lines around it, with their numbers."""
    try:
        with io.open(place.file, "rb") as file:
            lines = file.read(_LONGEST_FILE).decode("utf-8", "replace").rstrip().split("\n")
    except OSError:
        return []
    first = max(1, place.line - _AROUND)
    chosen = lines[first - 1 : place.line + _AROUND]
    return [(first + index, line.rstrip("\r")[:_LONGEST_LINE]) for index, line in enumerate(chosen)]


class ErrorPage:
    """A WSGI app."""

    def __init__(self, error: AppImportError) -> None:
        """Made while the files are as they were when it failed."""
        cause = error.__cause__
        self._place = place_of(cause) if cause is not None else None
        said = cause.msg if isinstance(cause, SyntaxError) else cause
        self._title = f"{type(cause).__name__}: {said}" if cause is not None else str(error)
        self._text = f"{error}\n\n{error.details}" if error.details else f"{error}\n"
        self._version = secrets.token_hex(8)
        self._source = _source(self._place) if self._place is not None else []
        self.files = sorted(_files_of(cause))
        self._has_ended = False

    def end(self) -> None:
        """End the event streams of pages."""
        self._has_ended = True

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer any request: with the page for a browser, else with text."""
        accepts = environ.get("HTTP_ACCEPT", "")
        if accepts.strip() == "text/event-stream":
            start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
            return self._wait()
        if "text/html" not in accepts:
            return self._send(start_response, "text/plain", [], self._text)
        return self._send(
            start_response,
            "text/html",
            [("Content-Security-Policy", _POLICY)],
            self._page(environ["REQUEST_METHOD"]),
        )

    def _send(
        self, start_response: StartResponse, kind: str, more: list[tuple[str, str]], text: str
    ) -> list[bytes]:
        body = text.encode("utf-8", "replace")
        headers = [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ]
        start_response("500 Internal Server Error", headers + more)
        return [body]

    def _wait(self) -> Iterator[bytes]:
        yield f"retry: 300\nevent: version\ndata: {self._version}\n\n".encode()
        looks = 0
        while not self._has_ended:
            sleep(_LOOK)
            looks += 1
            if looks % _COMMENT_EVERY == 0:
                yield b":\n\n"

    def _page(self, method: str) -> str:
        place, shown = self._place, ""
        if place is not None:
            rows = "".join(self._row(number, line, place) for number, line in self._source)
            name = os.path.relpath(place.file)
            shown = (
                f'<p class="place"><b>{html.escape(name)}</b>, line {place.line}</p>'
                f'<div class="source" tabindex="0" role="region" aria-label="Source">{rows}</div>'
            )
        is_get = method in ("GET", "HEAD")
        values: dict[str, str] = {
            "title": html.escape(self._title),
            "shown": shown,
            "details": html.escape(self._text),
            "version": self._version,
            "hint": "This page loads itself again then."
            if is_get
            else f"Then send the {html.escape(method)} again.",
            "script": f"<script>{SCRIPT}</script>" if is_get else "",
            "style": STYLE,
        }
        return PAGE.format_map(values)

    def _row(self, number: int, line: str, place: Place) -> str:
        text = html.escape(line) or " "
        if number != place.line:
            return f"<div><i>{number}</i><code>{text}</code></div>"
        caret = ""
        if 0 < place.column <= len(line) + 1:
            lead = "".join(char if char == "\t" else " " for char in line[: place.column - 1])
            caret = f"<div class=at><i></i><code>{lead}^</code></div>"
        return f"<div class=at><i>{number}</i><code>{text}</code></div>{caret}"


def _files_of(error: BaseException | None) -> Iterator[str]:
    """The files that had a part in it, which a later save may mend. Those of `before` causes, too."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, SyntaxError) and error.filename:
            yield os.path.abspath(error.filename)
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).is_file():
                yield os.path.abspath(frame.filename)
        error = error.__cause__ or error.__context__


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
