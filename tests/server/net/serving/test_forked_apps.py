"""Apps that fork: whatever the child does, a client is answered once and by the parent, and the child keeps no port.

Real processes, and clients that keep their connections: a second answer would be taken for the next one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.clients.ws_client import WSClient
from tests.support.programs.commands import Command, command
from tests.support.servers.certificates import client_context, issue
from tests.support.times import eventually

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# The path says where the app forks, the query what the child does. /status gives how the last child has ended.
_APP = """
import json, os, signal, sys
from greenserve import GreenPool, Room, WebSocketWSGI, sleep, spawn, threads

children = []
room = Room()


def fork(action):
    pid = os.fork()
    if pid:
        children.append(pid)
        return True
    if action == "raise":
        raise ValueError("in the child")
    if action == "exit":
        sys.exit(7)
    if action == "exec":
        os.execv("/nowhere/to/be/found", ["nowhere"])
    if action == "sleep":
        sleep(0.01)
    if action == "stay":
        for number in range(3):  # as daemons do
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        sleep(1000)
    if action == "signals":
        os.kill(os.getpid(), signal.SIGTERM)
        sleep(1000)


def status():
    while not children:
        sleep(0.001)
    return os.waitstatus_to_exitcode(threads.execute(os.waitpid, children.pop(), 0)[1])


class Closes(list):
    def __init__(self, pieces, action):
        super().__init__(pieces)
        self.action = action

    def close(self):
        fork(self.action)


def pieces(path, action):
    yield b"first of "
    fork(action)
    yield path.encode()


def app(environ, start_response):
    path, action = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path.startswith("/ws"):
        return sockets(environ, start_response)
    body = path.encode()
    if path == "/status":
        body = str(status()).encode()
    elif path == "/pid":
        body = str(children[-1]).encode()
    elif path == "/app":
        fork(action)
    elif path == "/write":
        fork(action)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])(body)
        return []
    elif path == "/hints":
        fork(action)
        environ["wsgi.early_hints"]([("Link", "</x>")])
    elif path == "/input":
        parent = os.getpid()
        fork(action)
        if os.getpid() == parent:
            sleep(0.05)  # the child reads first, if it can
        body = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/hook":
        environ["greenserve.posthooks"].append((lambda environ: fork(action), (), {}))
    elif path == "/spawned":
        spawn(fork, action)
    elif path == "/pool":
        GreenPool().spawn_n(fork, action)
    elif path == "/os_thread":
        spawn(threads.execute, fork, action)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/pieces":
        return pieces(path, action)
    if path == "/close":
        return Closes([b"/close", b""], action)
    return [body]


@WebSocketWSGI
def sockets(ws):
    room.join(ws)
    kind = ws.path.removeprefix("/ws/")
    if kind == "loop":
        for message in ws:
            if not fork(message):
                ws.send("from the child")
            room.send(f"{message} {status()}")
    elif kind == "callback":
        def on_message(message):
            if fork(message):
                ws.send(f"{message} {status()}")

        ws.on_message = on_message
    elif kind == "close":
        action = ws.receive()
        ws.on_close = lambda: fork(action)
"""
_STATUS = {
    "raise": "1",
    "exit": "7",
    "exec": "1",
    "return": "0",
    "sleep": "0",
    "signals": str(-signal.SIGTERM),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "forking.py").write_text(_APP)
    return tmp_path


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[tuple[Command, tuple[str, int]]]:
    call = ("-W", "ignore::DeprecationWarning", "-m", "greenserve", "forking:app", "--bind", "127.0.0.1:0")
    with command(*call, "--drain-delay", "off", *arguments, folder=folder) as process:
        address = process.listens()
        process.until("stop it with")
        yield process, address


def stopped(process: Command) -> list[str]:
    """Stop it; the requests in its access log."""
    process.signal(signal.SIGTERM)
    assert process.ended() == 0, process.text
    assert process.process.stdout is not None
    return [line.split('"')[1] for line in process.process.stdout.read().splitlines()]


@pytest.fixture(params=["", "--no-monkey-patch"], ids=["patched", "unpatched"])
def patching(request: pytest.FixtureRequest) -> list[str]:
    return [request.param] if request.param else []


@pytest.mark.parametrize(
    "where", ["/app", "/pieces", "/close", "/hook", "/spawned", "/pool", "/os_thread", "/write", "/hints"]
)
def test_each_request_is_answered_once(where: str, folder: Path, patching: list[str]) -> None:
    with running(folder, *patching) as (process, address), RawClient(address) as client:
        for action, status in _STATUS.items():
            # As a browser asks for a page, whose connection goes on behind a 103.
            answer = client.get(f"{where}?{action}", "Sec-Fetch-Mode: navigate")
            assert answer.status in (200, 103)
            if answer.status == 103:
                answer = client.answer()
            assert answer.body.endswith(where.encode())
            # A child that goes on to give the client something has gone wrong.
            gives = where in ("/pieces", "/write", "/hints") and status == "0"
            assert client.get("/status").body.decode() == ("1" if gives else status)
            assert client.is_silent()
        paths = stopped(process)
    assert [path.split()[1].partition("?")[0] for path in paths] == [where, "/status"] * len(_STATUS)
    if where == "/app":
        assert "GET /app?raise: a child process that the app forked ends with this error" in process.text
        assert process.text.count("ValueError: in the child\n") == 1


def test_a_body_is_the_parents_to_read(folder: Path, patching: list[str]) -> None:
    body = b"x" * 400_000
    with running(folder, *patching) as (process, address), RawClient(address) as client:
        client.send(request("/input?return", "POST", body)[:-100_000])
        client.send(body[-100_000:])
        assert client.answer().body == b"400000"
        assert client.get("/status").body == b"1"  # what it had not read by then it could not have
        stopped(process)


@pytest.mark.parametrize("where", ["/app", "/pieces"])
def test_over_tls(where: str, folder: Path) -> None:
    issue(folder / "server.pem", "localhost")
    with (
        running(folder, "--certfile", "server.pem") as (process, address),
        RawClient(address, tls=client_context()) as client,
    ):
        for action in ("raise", "exit", "return"):
            assert client.get(f"{where}?{action}").body.endswith(where.encode())
            assert client.get("/status").status == 200
        stopped(process)


class TestWebSockets:
    @pytest.mark.parametrize("kind", ["loop", "callback"])
    def test_a_handler(self, kind: str, folder: Path, patching: list[str]) -> None:
        with running(folder, *patching) as (process, address), WSClient(address, f"/ws/{kind}") as client:
            for action in ("raise", "exit", "exec", "sleep"):
                client.tell(action)
                assert (
                    client.message()
                    == f"{action} {'1' if (kind, action) == ('loop', 'sleep') else _STATUS[action]}"
                )
            assert client.is_silent()
            client.leave()
            assert stopped(process) == [f"GET /ws/{kind} HTTP/1.1"]

    def test_on_close(self, folder: Path) -> None:
        with running(folder) as (process, address):
            for action in ("raise", "exit", "return"):
                with WSClient(address, "/ws/close") as client:
                    client.tell(action)
                    client.agree()
                assert ask(address, request("/status")).body.decode() == _STATUS[action]
            assert len(stopped(process)) == 6

    def test_another_ones_stays_open(self, folder: Path) -> None:
        with (
            running(folder) as (process, address),
            WSClient(address, "/ws/callback") as bystander,
            RawClient(address) as client,
        ):
            assert client.get("/app?raise").body == b"/app"
            assert client.get("/status").body == b"1"
            bystander.tell("exit")
            assert bystander.message() == "exit 7"
            bystander.leave()
            stopped(process)


class TestWhatIsLeft:
    """A child that stays keeps nothing of the server's."""

    def test_the_port_is_free_when_the_parent_has_gone(self, folder: Path, patching: list[str]) -> None:
        with running(folder, *patching) as (process, address):
            with RawClient(address) as client, RawClient(address) as bystander:
                assert client.get("/app?stay").body == b"/app"
                child = int(bystander.get("/pid").body)
                try:
                    stopped(process)
                    assert client.rest() == bystander.rest() == b""
                    with socket.socket() as sock:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        sock.bind(address)
                        sock.listen()
                finally:
                    os.kill(child, signal.SIGTERM)  # ends it, as any process that waits
            eventually(lambda: not _runs(child))

    def test_a_socket_that_it_was_given_too(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            address, fd = sock.getsockname(), sock.fileno()
            call = (
                "-W",
                "ignore::DeprecationWarning",
                "-m",
                "greenserve",
                "forking:app",
                "--bind",
                f"fd://{fd}",
            )
            with command(*call, folder=folder, pass_fds=(fd,)) as process:
                process.until("stop it with")
                assert ask(address, request("/app?stay")).body == b"/app"
                child = int(ask(address, request("/pid")).body)
                stopped(process)
        try:
            with pytest.raises(ConnectionRefusedError):
                RawClient(address)
        finally:
            os.kill(child, signal.SIGTERM)

    def test_a_unix_sockets_file_is_the_parents(self, folder: Path) -> None:
        with command(
            *(
                "-W",
                "ignore::DeprecationWarning",
                "-m",
                "greenserve",
                "forking:app",
                "--bind",
                f"unix:{folder}/socket",
            ),
            folder=folder,
        ) as process:
            process.until("stop it with")
            with RawClient(f"{folder}/socket") as client:
                assert client.get("/app?exit").body == b"/app"
                assert client.get("/status").body == b"7"
            assert ask(f"{folder}/socket", request("/again")).body == b"/again"
            stopped(process)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


_CHILDREN = """
import json, multiprocessing, os, pty, subprocess, sys, time
import greenserve
from greenserve import threads


def square(number):
    return number * number


def detached(write):
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(0.05)
    os.write(write, b"detached %d" % (os.getppid() != parent))
    os._exit(0)


def daemonise():
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        detached(write)
    os.close(write)
    threads.execute(os.waitpid, pid, 0)
    return threads.execute(os.read, read, 100).decode()


def daemonise_as_pep_3143_has_it():
    # Whatever there is to close is closed, what the hub waits with included.
    pid = os.fork()
    if not pid:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(3, 1000)
        time.sleep(0.01)
        said = subprocess.run(["echo", "a daemon's"], capture_output=True, text=True).stdout
        with open("daemon.new", "w") as file:
            file.write(said)
        os.rename("daemon.new", "daemon")
        os._exit(0)
    threads.execute(os.waitpid, pid, 0)
    while not os.path.exists("daemon"):
        time.sleep(0.01)
    with open("daemon") as file:
        return file.read()


def exec_program():
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(write, 1)
        os.execv(sys.executable, [sys.executable, "-c", "print('exec', flush=True)"])
    os.close(write)
    threads.execute(os.waitpid, pid, 0)
    return threads.execute(os.read, read, 100).decode().strip()


def process():
    context = multiprocessing.get_context("fork")
    read, write = context.Pipe(False)
    child = context.Process(target=write.send, args=("from a process",))
    child.start()
    child.join()
    return [read.recv(), child.exitcode]


def terminated():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    child.start()
    child.terminate()
    child.join()
    return child.exitcode


def pseudo_terminal():
    pid, fd = pty.fork()
    if not pid:
        os.write(1, f"on a terminal {os.isatty(0)}\\n".encode())
        sys.exit(3)
    said = threads.execute(os.read, fd, 100).decode().strip()
    status = os.waitstatus_to_exitcode(threads.execute(os.waitpid, pid, 0)[1])
    os.close(fd)
    return [said, status]


def own_server():
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        def other(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"the child's"]

        server = greenserve.Server(other, bind="127.0.0.1:0")
        server.start()
        os.write(write, b"%d" % server.port)
        while server.stats.requests < 2 or server.stats.active:
            time.sleep(0.01)
        server.stop()
        sys.exit(9)
    os.close(write)
    port = int(threads.execute(os.read, read, 100))
    import http.client
    bodies = []
    for _ in range(2):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/")
        bodies.append(client.getresponse().read().decode())
        client.close()
    return [*bodies, os.waitstatus_to_exitcode(threads.execute(os.waitpid, pid, 0)[1])]


def preexec():
    return subprocess.run(["echo", "preexec"], preexec_fn=os.setsid, capture_output=True, text=True).stdout.strip()


parent = os.getpid()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(globals()[environ["PATH_INFO"].strip("/")]()).encode()]
"""


class TestWhatAChildMayDo:
    @pytest.mark.parametrize(
        ("name", "gives"),
        [
            ("daemonise", "detached 1"),
            ("daemonise_as_pep_3143_has_it", "a daemon's\n"),
            ("exec_program", "exec"),
            ("process", ["from a process", 0]),
            ("terminated", -signal.SIGTERM),
            ("pseudo_terminal", ["on a terminal True", 3]),
            ("own_server", ["the child's", "the child's", 9]),
            ("preexec", "preexec"),
        ],
    )
    def test_it_works(self, name: str, gives: Any, folder: Path) -> None:
        if name == "daemonise_as_pep_3143_has_it" and os.environ.get("GREENSERVE_HUB") == "asyncio":
            pytest.skip("it closes all descriptors, and a loop of uvloop can't have others")
        (folder / "forking.py").write_text(_CHILDREN)
        with running(folder) as (process, address), RawClient(address) as client:
            for _ in range(2):
                assert json.loads(client.get(f"/{name}").body) == gives
            assert client.is_silent()
            assert len(stopped(process)) == 2
            assert "Traceback" not in process.text


_EMBEDDED = """
import os, sys, urllib.request
import greenserve

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if not pid:
            raise ValueError("in the child")
        os.waitpid(pid, 0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answered"]

def ask(path):
    return urllib.request.urlopen(server.url + path, timeout=10).read().decode()

with greenserve.serve(app) as server:
    print(ask("/"), ask("/fork"), flush=True)
    pid = os.fork()
    if not pid:
        # As in a test suite that has a live server: to the child it has stopped, and leaving the block is no wait.
        print(server.wait(0), server.stats.connections, flush=True)
        server.stop()
        with greenserve.serve(app) as server:
            print("own", ask("/"), flush=True)
    else:
        print(os.waitpid(pid, 0)[1], ask("/"), flush=True)
"""


def test_a_server_in_a_thread_of_a_program_that_forks(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_EMBEDDED)
    with command("-W", "ignore::DeprecationWarning", "program.py", folder=tmp_path) as process:
        assert process.ended() == 0, process.text
        assert process.process.stdout is not None
        assert process.process.stdout.read().splitlines() == [
            "answered answered",
            "True 0",
            "own answered",
            "0 answered",
        ]
    assert process.text.count("ValueError: in the child") == 1
