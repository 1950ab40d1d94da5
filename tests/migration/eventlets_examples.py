"""`python -m tests.migration.eventlets_examples`: eventlet's 16 examples, unmodified, on eventlet and on greenserve.

Those that serve are asked, and give the same answers on both. The others end on both with the same exit code and the
same kind of error: what they need is gone (a hub of ZeroMQ, str where Python 3 has bytes), or the internet. For those
that crawl http, this script is the internet. The ports are the examples' own.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

from tests.migration.kit.eventlets_source import RELEASE, unpack
from tests.migration.kit.installing import Installed, installed

WAYS = {"eventlet": (), "greenserve": ("-m", "greenserve_eventlet")}
FEED = '<rss version="2.0"><channel><title>A title</title></channel></rss>'
_PATIENCE = 30  # seconds


def main() -> int:
    """Run all on both, and return the exit code."""
    with installed(f"eventlet=={RELEASE}", "pyzmq", "feedparser", "setuptools") as here:
        unpack(here, "examples", here.folder)
        (here.folder / "feed.xml").write_text(FEED)
        with _internet() as proxy, _beyond():
            return int(not all([_same(here, proxy, path) for path in sorted(_examples(here))]))


def _examples(here: Installed) -> Iterator[Path]:
    return (here.folder / "examples").glob("*.py")


def _same(here: Installed, proxy: str, path: Path) -> bool:
    found = {}
    for way, hook in WAYS.items():
        command = [str(here.python), "-W", "ignore", *hook, str(path), *ARGUMENTS.get(path.stem, ())]
        served = SERVING.get(path.stem)
        found[way] = _ends(here, proxy, command) if served is None else _serves(here, command, *served)
    real, ours = found.values()
    print(f"{path.name}: {ours}" if real == ours else f"{path.name} differs: {found}", flush=True)
    return real == ours


def _ends(here: Installed, proxy: str, command: list[str]) -> tuple[int, list[str], str]:
    environ = here.environ(http_proxy=proxy, https_proxy=proxy)
    done = subprocess.run(
        command, cwd=here.folder, env=environ, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    last = done.stderr.strip().rpartition("\n")[2]
    # It is by chance which fetches of webcrawler.py are done before one fails.
    lines = sorted(
        line for line in done.stdout.splitlines() if not line.startswith(("done with", "got body"))
    )
    # Of an error only the kind: its text has names of modules.
    return done.returncode, lines, last.partition(":")[0].rpartition(".")[2]


def _serves(here: Installed, command: list[str], port: int, ask: Callable[[Installed], Any]) -> Any:
    with suppress(ConnectionRefusedError):
        _connect(port).close()
        sys.exit(f"port {port} is in use")
    program = subprocess.Popen(
        command, cwd=here.folder, env=here.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            with (
                suppress(ConnectionRefusedError),
                _connect(port),
            ):  # open: forwarder.py does not survive an end
                return ask(here)
            if program.poll() is not None or time.monotonic() > until:
                return "it does not start"
            time.sleep(0.1)
    finally:
        program.kill()
        program.wait()


# What is asked -----------------------------------------------------------------------------------------


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("localhost", port), timeout=_PATIENCE)


def _fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, data, _PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _pages(_: Installed) -> Any:
    return _fetch("http://localhost:8090/"), _fetch("http://localhost:8090/other")


def _titles(here: Installed) -> Any:
    feeds = f"{here.folder}/feed.xml\n".encode() * 2
    with _connect(9010) as sock:
        sock.sendall(b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(feeds) + feeds)
        sock.shutdown(socket.SHUT_WR)  # eventlet's readlines() waits for this
        answer = sock.makefile("rb").read()
    return _fetch("http://localhost:9010/"), answer.partition(b"\r\n\r\n")[2]


def _echo(_: Installed) -> Any:
    with _connect(6000) as sock, sock.makefile("rwb", 0) as file:
        answers = []
        for line in (
            b"one\n",
            b"two\n",
        ):  # not at once: after a write, a text file forgets what it has read ahead
            file.write(line)
            answers.append(file.readline())
        return answers


def _chat(_: Installed) -> Any:
    with _connect(3001) as one, _connect(3001) as other:
        time.sleep(0.5)  # both have to be participants
        one.sendall(b"hello\n")
        return other.makefile("rb").readline()


def _forwarded(_: Installed) -> Any:
    with _connect(7000) as sock:
        sock.sendall(b"there and back")
        return sock.recv(100)


def _websocket(port: int, path: str) -> socket.socket:
    sock = _connect(port)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return sock


def _message(sock: socket.socket) -> bytes:
    opcode, size = struct.unpack("BB", sock.recv(2, socket.MSG_WAITALL))
    assert opcode == 0x81
    return sock.recv(size, socket.MSG_WAITALL)


def _data(_: Installed) -> Any:
    with _websocket(7000, "/data") as sock:
        # "0 NUMBER RANDOM"
        return [_message(sock).split()[:2] for _ in range(3)], _fetch("http://localhost:7000/")


def _chat_of_websockets(_: Installed) -> Any:
    with _websocket(7000, "/chat") as one, _websocket(7000, "/chat") as other:
        one.sendall(b"\x81\x85\0\0\0\0hello")
        return _message(one), _message(other), _fetch("http://localhost:7000/")


SERVING: dict[str, tuple[int, Callable[[Installed], Any]]] = {
    "chat_server": (3001, _chat),
    "echoserver": (6000, _echo),
    "feedscraper": (9010, _titles),
    "forwarder": (7000, _forwarded),
    "websocket": (7000, _data),
    "websocket_chat": (7000, _chat_of_websockets),
    "wsgi": (8090, _pages),
}
ARGUMENTS = {
    "chat_bridge": ("tcp://127.0.0.1:12345", "tcp://127.0.0.1:12346"),
    "distributed_websocket_chat": (
        "-p",
        "tcp://127.0.0.1:12345",
        "-s",
        "tcp://127.0.0.1:12346",
        "7000",
    ),
}


# The internet ------------------------------------------------------------------------------------------


class _Page(BaseHTTPRequestHandler):
    """A proxy that answers for http://eventlet.net itself, and reaches nothing else."""

    def do_GET(self) -> None:
        page = b"http://eventlet.net/a http://eventlet.net/b http://elsewhere.test/c "
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def _internet() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{serving.server_address[1]}"
        finally:
            serving.shutdown()


class _Echo(BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data)


@contextmanager
def _beyond() -> Iterator[None]:
    """What forwarder.py forwards to: localhost's port 22. If sshd has it, that answers."""
    try:
        serving = ThreadingTCPServer(("127.0.0.1", 22), _Echo)
    except OSError:
        yield
        return
    with serving:
        serving.daemon_threads = True
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            serving.shutdown()


if __name__ == "__main__":
    sys.exit(main())
