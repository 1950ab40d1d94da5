"""The app that is soaked: its answers prove which request they are for, and a ledger tells how often each was run.

A request's path is /KIND/CLIENT/NUMBER. The proof, in the field X-Soak, has client, number, method and a checksum of
the body that the app read, with its trailers. /begin, /ledger and look() are for who runs the soak; /abuse/... is for
abusive clients.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from greenlet import greenlet

from greenserve_hub.greenthreads.workers import PoolWorker

Environ = dict[str, Any]
Start = Callable[..., Any]

# Content that differs wherever one looks into it: a slice proves where it was taken.
CONTENT = b"".join(b"%07d\n" % number for number in range(1 << 16))
FILE_SIZE = 48 * 1024
LARGE = 4 << 20

_file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # as long as the process
_file.write(CONTENT[:FILE_SIZE])
_file.flush()

_ledger: dict[str, bytearray] = {}
_abuses: Counter[str] = Counter()


def proof(client: object, number: object, method: str, body: bytes = b"") -> str:
    return f"{client}.{number}.{method}.{zlib.crc32(body)}"


def pieces_of(number: int) -> list[bytes]:
    """A streamed answer's pieces."""
    return [b"%d:%d;" % (number, index) * (number % 50 + 1) for index in range(number % 5 + 1)]


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    # `OPTIONS *` has no path: the field says it.
    place = environ["PATH_INFO"] if environ["REQUEST_URI"] != "*" else environ["HTTP_X_PLACE"]
    _, kind, client, number = place.split("/")
    if kind in _FOR_THE_RUN:
        return _FOR_THE_RUN[kind](environ, start_response, client, number)
    _ledger[client][int(number)] += 1
    if "HTTP_X_TRAILER" in environ:
        raise AssertionError("a trailer was merged into the headers")
    return _KINDS[kind](environ, start_response, client, int(number))


def _fields(environ: Environ, client: str, number: int, body: bytes = b"") -> list[tuple[str, str]]:
    return [
        ("Content-Type", "application/octet-stream"),
        ("X-Soak", proof(client, number, environ["REQUEST_METHOD"], body)),
    ]


# What well-behaved clients ask ------------------------------------------------------------------------------


def _get(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    start_response("200 OK", _fields(environ, client, number))
    return [f"{number}?{environ['QUERY_STRING']}".encode("latin-1")]


def _echo(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    trailers = "".join(f"{name}: {value}" for name, value in environ["greenserve.trailers"])
    start_response("200 OK", _fields(environ, client, number, body + trailers.encode("latin-1")))
    return [body]


def _lines(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    lines = list(environ["wsgi.input"])
    body = b"".join(lines)
    write = start_response("200 OK", _fields(environ, client, number, body))
    for line in reversed(lines):
        write(line)
    return []


def _left(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    start_response("200 OK", _fields(environ, client, number))
    return [b"left %d" % number]


def _slow(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    time.sleep(0.01)
    return _get(environ, start_response, client, number)


def _hints(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", f"</{number}.css>; rel=preload")])
    return _get(environ, start_response, client, number)


def _stream(environ: Environ, start_response: Start, client: str, number: int) -> Iterator[bytes]:
    start_response("200 OK", _fields(environ, client, number))
    yield from pieces_of(number)


def _torn(environ: Environ, start_response: Start, client: str, number: int) -> Iterator[bytes]:
    start_response("200 OK", _fields(environ, client, number))
    yield pieces_of(number)[0]
    raise RuntimeError("as asked, in the middle of the answer")


def _file_from(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    file = open(_file.name, "rb")  # noqa: SIM115  # the wrapper closes it
    file.seek(number % FILE_SIZE)
    start_response("200 OK", _fields(environ, client, number))
    return environ["wsgi.file_wrapper"](file)


def _empty(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    start_response("204 No Content" if number % 2 else "304 Not Modified", _fields(environ, client, number))
    return []


def _error(environ: Environ, start_response: Start, client: str, number: int) -> Iterable[bytes]:
    raise RuntimeError("as asked")


_KINDS: dict[str, Callable[[Environ, Start, str, int], Iterable[bytes]]] = {
    "get": _get,
    "echo": _echo,
    "lines": _lines,
    "left": _left,
    "slow": _slow,
    "hints": _hints,
    "stream": _stream,
    "torn": _torn,
    "file": _file_from,
    "empty": _empty,
    "error": _error,
}


# What abusive clients ask, and who runs the soak ------------------------------------------------------------


def _abuse(environ: Environ, start_response: Start, what: str, _: str) -> Iterable[bytes]:
    _abuses[what] += 1
    if what == "read":
        environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * LARGE if what == "large" else b"abuse"]


def _begin(environ: Environ, start_response: Start, client: str, count: str) -> Iterable[bytes]:
    # Written to, so that the ledger takes its memory before the soak and not in its course.
    _ledger[client] = bytearray(b"\0") * int(count)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"begun"]


def _tell(environ: Environ, start_response: Start, client: str, _: str) -> Iterable[bytes]:
    """How many requests of a client were run once, the first of those that were not, and what abusers reached."""
    runs = _ledger[client]
    wrong = (
        [(number, times) for number, times in enumerate(runs) if times != 1][:10]
        if max(runs) > 1 or 0 in runs
        else []
    )
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"once": runs.count(1), "wrong": wrong, "abuses": _abuses}).encode()]


_FOR_THE_RUN = {"abuse": _abuse, "begin": _begin, "ledger": _tell}


def look(server: Any) -> None:
    """Print what the server holds, for who asks at its backdoor."""
    gc.collect()
    # Not those without a parent: each OS thread has one from when it first asks for a lock.
    alive = [one for one in gc.get_objects() if isinstance(one, greenlet) and one and one.parent is not None]
    # A worker at rest is kept for the next job of its pool, the server's or the backdoor's: no more than 256 each, and
    # what a leak leaves is never among them.
    resting = sum(1 for one in alive if isinstance(one, PoolWorker) and one.job is None)
    found = {"green": len(alive) - resting, "resting": resting, **server.stats.as_dict()}
    print(f"LOOK {json.dumps(found)}", flush=True)
