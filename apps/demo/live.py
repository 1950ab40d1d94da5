"""The panels that show what goes on: server-sent events once a second, and a request as the app sees it."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from webob import Response

from greenserve import getcurrent, sleep

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SHOWN = [
    *("REQUEST_METHOD", "PATH_INFO", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "REMOTE_ADDR", "REMOTE_PORT"),
    *("HTTP_HOST", "wsgi.url_scheme", "wsgi.multithread", "wsgi.multiprocess"),
]


class InFlight:
    """Counts the requests that run now and those that are done."""

    now = 0
    done = 0

    def count(self, app: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Calls `app`, whose answer runs until the server closes it, which it does on every path."""
        self.now += 1
        try:
            return Counted(app(environ, start), self.leave)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """One request less."""
        self.now -= 1
        self.done += 1


class Counted:
    """An answer's pieces as they are, and a call when they are closed."""

    def __init__(self, pieces: Iterable[bytes], on_close: Callable[[], None]) -> None:
        """Takes the answer, and what to call after it."""
        self.pieces = pieces
        self.on_close = on_close

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        return iter(self.pieces)

    def close(self) -> None:
        """Called by the server once, whether the answer was sent whole or not (PEP 3333)."""
        try:
            if close := getattr(self.pieces, "close", None):
                close()
        finally:
            self.on_close()


in_flight = InFlight()


def events(request: Any) -> Any:
    """Server-sent events: a line of numbers each second, for as long as the browser listens."""
    gone = request.environ.get("greenserve.client_disconnected", lambda: False)

    def ticks() -> Iterator[bytes]:
        yield b"retry: 1000\n\n"
        while not gone():
            yield f"event: tick\ndata: {json.dumps(numbers())}\n\n".encode()
            sleep(1)

    # X-Accel-Buffering asks an nginx in between to pass each event on as it comes.
    response = Response(app_iter=ticks(), content_type="text/event-stream", charset="utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def numbers() -> dict[str, str | int]:
    """What each event tells."""
    # ru_maxrss is in KiB, but in bytes on macOS (getrusage(2)).
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "time": time.strftime("%H:%M:%S"),
        "in_flight": in_flight.now,
        "done": in_flight.done,
        "os_threads": os_threads(),
        "peak_mib": round(peak / 2**20),
    }


def os_threads() -> int:
    """How many OS threads this process has. threading counts dummies of green threads, too."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:  # not Linux
        return sum(not isinstance(thread, threading._DummyThread) for thread in threading.enumerate())


def describe(request: Any) -> Any:
    """The request as the app sees it, row by row."""
    environ = request.environ
    rows = [(name, str(environ[name])) for name in SHOWN if name in environ]
    rows += [(name, "available") for name in sorted(environ) if name.startswith("greenserve.")]
    rows.append(("green thread", hex(id(getcurrent()))))
    rows.append(("OS thread", str(threading.get_native_id())))
    rows.append(("Python", f"{platform.python_implementation()} {platform.python_version()}"))
    return Response(json_body=rows)
