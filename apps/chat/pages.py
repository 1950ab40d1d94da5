"""The files of a page, sent through `wsgi.file_wrapper`, which greenserve turns into sendfile(2)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.util import FileWrapper

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class Page:
    """An app of a few files. `policy` says what the page may load, and makes that a fact in the browser."""

    def __init__(self, folder: Path, files: dict[str, tuple[str, str]], policy: str) -> None:
        """Takes each path's file and its content type."""
        self.folder = folder
        self.files = files
        self.policy = policy

    def has(self, environ: WSGIEnvironment) -> bool:
        """Whether a request asks for one of the files."""
        return environ["PATH_INFO"] in self.files and environ["REQUEST_METHOD"] in ("GET", "HEAD")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Sends it."""
        name, content_type = self.files[environ["PATH_INFO"]]
        path = self.folder / name
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(path.stat().st_size),
            "Cache-Control": "no-cache",
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
        }
        start_response("200 OK", list(headers.items()))
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        sent: Iterable[bytes] = environ.get("wsgi.file_wrapper", FileWrapper)(path.open("rb"))
        return sent
