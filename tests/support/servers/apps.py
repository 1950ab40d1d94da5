"""Small apps that many tests serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from greenserve_hub.sync.events import Event

Environ = dict[str, Any]
Start = Callable[..., Any]


def path(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers with the path."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers with the request's body, whole."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]


def mirror(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers with the request's body, piece by piece."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    while piece := environ["wsgi.input"].read(1000):
        yield piece


class Routes:
    """One app of many: each path is a method's name, any other is answered with itself."""

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        name = environ["PATH_INFO"].strip("/") or "index"
        found: Iterable[bytes] = getattr(self, name, self.index)(environ, start_response)
        return found

    def index(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return path(environ, start_response)


class Gated:
    """Holds requests for /holds until its gate is sent something; answers the others with their path, and notes it."""

    def __init__(self) -> None:
        self.gate = Event()
        self.served: list[str] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/holds":
            self.gate.wait()
        else:
            self.served.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]
