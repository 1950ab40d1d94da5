"""The servers that are compared, and the command line that each is given.

A scenario says what it asks of a server (`Needs`), never which flags that means: the flags are here, in one
place, so that anybody can judge whether they are fair. What a scenario does not ask for keeps the server's
own default. Common to all: one worker process, 127.0.0.1, no access log, a backlog of 2,048 (granian: where
connections are held).
"""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util

HELLO = "tests.bench.apps.hello:app"
IDLE_SECONDS = 300  # how long a held connection may lie idle, where the server lets us say


class Unsuited(Exception):
    """The server can't do what the scenario asks; the text says why and is printed in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a scenario asks of a server.

    hold: connections that stay open and idle, beside the active ones (0: nothing is said to the server)
    at_once: requests that run at the same time (0: the server's default)
    certfile: TLS, with the certificate and key in this file ("": none)
    websockets: how many are open, with /echo as their path, beside the hello app (0: none, and `app` is what is served)
    fragments: how many a message may have (0: the server's default)
    """

    app: str = HELLO
    hold: int = 0
    at_once: int = 0
    certfile: str = ""
    websockets: int = 0
    fragments: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """A server. Its name begins with that of its distribution, which is its module's where `module` names no other.

    sleeps: how its app waits, "" if an app that waits stops the whole server
    needs: what pip can't bring
    beside: distributions that it runs on and does not ask for itself
    """

    name: str
    note: str
    arguments: Callable[[str, Needs], list[str]]
    sleeps: str = ""
    needs: str = ""
    module: str = ""
    beside: tuple[str, ...] = ()

    def command(self, port, needs):
        return [sys.executable, "-m", *self.arguments(str(port), needs)]

    def missing(self):
        """Why it can't be run here, or an empty string."""
        wanted = [self.module or self.name, *self.beside]
        return "" if all(map(util.find_spec, wanted)) else "not installed"

    def version(self):
        """Its own, and those of what it runs on."""
        return ", ".join(
            [version_of(self.name.partition(" ")[0]), *(f"{one} {version_of(one)}" for one in self.beside)]
        )


def version_of(distribution):
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    return "?"


def greenserve(port, needs):
    flags = ["--keep-alive", f"{IDLE_SECONDS}"] if needs.hold else []
    flags += ["--pool", f"{needs.at_once}"] if needs.at_once else []
    flags += ["--certfile", needs.certfile] if needs.certfile else []
    if needs.websockets:
        flags += ["--limit-websockets", f"{needs.websockets + 100}"]
        flags += ["--limit-connections", f"{needs.websockets + 1000}"]
    flags += ["--ws-max-frames", f"{needs.fragments}"] if needs.fragments else []
    app = "tests.bench.apps.ws_greenserve:app" if needs.websockets else needs.app
    return ["greenserve", app, "--bind", f"127.0.0.1:{port}", "--access-logfile", "off", *flags]


def greenserve_in_python(port, needs):
    return ["tests.bench.apps.run_greenserve_in_python", *greenserve(port, needs)[1:]]


def bjoern(port, needs):
    if needs.at_once:
        raise Unsuited("one request at a time")
    return ["tests.bench.apps.run_bjoern", needs.app, port]


def granian(port, needs):
    # Its blocking threads follow from its back-pressure (half of 1,024), so who raises one states the other.
    places = needs.hold + needs.at_once + 1000
    flags = ["--backpressure", f"{places}", "--backlog", "2048"] if places > 1000 else []
    flags += ["--blocking-threads", f"{needs.at_once or 512}"] if places > 1000 else []
    flags += ["--http1-header-read-timeout", "60000"] if needs.hold else []
    common = ["--interface", "wsgi", "--workers", "1", "--host", "127.0.0.1", "--port", port]
    return ["granian", needs.app, *common, "--no-ws", "--log-level", "error", *flags]


def gevent(port, needs):
    pool = f"{needs.at_once or 'default'}"
    return ["tests.bench.apps.run_gevent", needs.app, port, pool, needs.certfile]


def eventlet(port, needs):
    # A connection costs it a place in the pool, idle or not: 1,024 is its default.
    pool = f"{needs.at_once or needs.hold + needs.websockets + 1024}"
    app = "tests.bench.apps.ws_eventlet:app" if needs.websockets else needs.app
    return ["tests.bench.apps.run_eventlet", app, port, pool, needs.certfile]


def gunicorn(port, needs):
    threads = needs.at_once or 4
    places = 1000 + needs.hold + threads
    # It closes a new connection that waited for a thread longer than its keep-alive of 2 s.
    flags = ["--keep-alive", f"{IDLE_SECONDS}"] if needs.hold or needs.at_once else []
    flags += ["--worker-connections", f"{places}"] if places > 1004 else []
    common = ["--workers", "1", "--worker-class", "gthread", "--threads", f"{threads}", "--backlog", "2048"]
    common += ["--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "error"]
    return ["gunicorn", needs.app, *common, *flags]


def waitress(port, needs):
    flags = [f"--channel-timeout={IDLE_SECONDS}"] if needs.hold else []
    flags += [f"--threads={needs.at_once}"] if needs.at_once else []
    # With its default of 100 connections it could not be asked at 512, and select() ends at descriptor 1,023.
    limit = 1000 + needs.hold + needs.at_once
    common = [
        f"--listen=127.0.0.1:{port}",
        f"--connection-limit={limit}",
        "--asyncore-use-poll",
        "--backlog=2048",
    ]
    return ["waitress", *common, *flags, needs.app]


def uvicorn(port, needs):
    common = ["--host", "127.0.0.1", "--port", port, "--backlog", "2048", "--log-level", "error"]
    which = ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets", "--no-access-log"]
    # Its default is 16 MiB, and it calls a message of just that too long.
    return ["uvicorn", "tests.bench.apps.ws_uvicorn:app", *common, *which, "--ws-max-size", f"{32 << 20}"]


def environment(needs):
    """What a server is told without a flag."""
    return (
        {"WEBSOCKETS_MAX_FRAGMENTS": f"{needs.fragments}"} if needs.fragments else {}
    )  # websockets, also in uvicorn


def of_its_own(name):
    """A peer whose app runs it."""
    return lambda port, needs: [f"tests.bench.apps.ws_{name}", port]


PEERS = {
    peer.name: peer
    for peer in [
        Peer("greenserve", "its defaults, with the extra speedups", greenserve, "greenserve"),
        Peer("greenserve in Python", "without that extra", greenserve_in_python, module="greenserve"),
        Peer(
            "bjoern",
            "C on libev, one thread",
            bjoern,
            needs="gcc, Python's headers and libev's (apt-get install gcc python3-dev libev-dev)",
        ),
        Peer("granian", "Rust, WSGI, 1 worker, its default threads", granian, "threads"),
        Peer("gevent", "pywsgi, libev hub, TCP_NODELAY set (apps/run_gevent.py says why)", gevent, "gevent"),
        Peer("eventlet", "eventlet.wsgi, epoll hub", eventlet, "eventlet"),
        Peer("gunicorn", "gthread, 1 worker, 4 threads", gunicorn, "threads"),
        Peer("waitress", "4 threads, poll, connection limit raised", waitress, "threads"),
        Peer(
            "gevent-websocket",
            "on gevent's pywsgi",
            of_its_own("gevent"),
            module="geventwebsocket",
            beside=("gevent",),
        ),
        Peer("websockets", "its asyncio server on uvloop", of_its_own("websockets"), beside=("uvloop",)),
        Peer("uvicorn", "ASGI, websockets, httptools, uvloop", uvicorn, beside=("uvloop", "websockets")),
        Peer("aiohttp", "parsers in C, on uvloop", of_its_own("aiohttp"), beside=("uvloop",)),
        Peer("picows", "Cython, on uvloop, frames and no more", of_its_own("picows"), beside=("uvloop",)),
    ]
}

HTTP = ("greenserve", "bjoern", "granian", "gevent", "eventlet", "gunicorn", "waitress")
WEBSOCKET = ("greenserve", "eventlet", "gevent-websocket", "websockets", "uvicorn", "aiohttp", "picows")
