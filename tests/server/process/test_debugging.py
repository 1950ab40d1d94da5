"""debugging: what the command's flags for looking inside give, in a process of its own."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import Command, command
from tests.support.servers.running import own_hub
from tests.support.times import eventually

from greenserve import Config, Server, connect
from greenserve.process.debugging import debugging

_APP = """
import time
from greenserve import sleep

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        environ["wsgi.errors"].write("wait begun\\n")
        sleep(1000)
    elif path == "/hold":
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
    elif path == "/spin":
        environ["wsgi.errors"].write("spin begun\\n")
        while True:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [path.encode()]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.py").write_text(_APP)
    return tmp_path


@contextmanager
def _running(folder: Path, *arguments: str) -> Iterator[tuple[Command, tuple[str, int]]]:
    call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--graceful-timeout", "0", *arguments)
    with command(*call, folder=folder) as process:
        address = process.listens()
        process.until("stop it with")
        yield process, address


def _stopped(process: Command) -> str:
    process.signal(signal.SIGTERM)
    assert process.ended() == 0
    return process.text


class TestBlockThreshold:
    def test_who_holds_the_hub_is_told_of_once_with_the_stack(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            assert ask(address, request("/hold")).body == b"/hold"
            process.until(r"warning: a green thread holds the hub, and nothing else has run for \d+ ms:")
            process.until("in app")
            process.until("(time.monotonic|pass)")
            assert _stopped(process).count("in app\n") == 1

    def test_off(self, folder: Path) -> None:
        with _running(folder, "--block-threshold", "off") as (process, address):
            assert ask(address, request("/hold")).body == b"/hold"
            assert "holds the hub" not in _stopped(process)


class TestDumpSignal:
    def test_quit_tells_what_every_green_thread_is_doing(self, folder: Path) -> None:
        with _running(folder) as (process, address), RawClient(address) as client:
            client.send(request("/wait"))
            process.until("wait begun")
            assert ask(address, request("/x")).body == b"/x"  # hence it waits by now
            process.signal(signal.SIGQUIT)
            process.until("info: SIGQUIT: what every green thread is doing:")
            process.until("the main green thread: waiting .* the end of <Server http://")
            process.until(r"RequestQueue._work, PoolWorker \w+: waiting .*: sleep 1000")
            process.until("in app")

    def test_while_a_request_spins(self, folder: Path) -> None:
        with _running(folder, "--dump-signal", "USR1") as (process, address), RawClient(address) as client:
            client.send(request("/spin"))
            process.until("spin begun")
            process.signal(signal.SIGUSR1)
            process.until(r"RequestQueue._work, PoolWorker \w+: running")
            process.until("in app")

    def test_under_load_no_request_suffers(self, folder: Path) -> None:
        with _running(folder, "--access-logfile", "off") as (process, address):
            stop = threading.Event()
            bodies: list[bytes] = []

            def load() -> None:
                with RawClient(address) as client:
                    while not stop.is_set():
                        bodies.append(client.get("/x").body)

            loaders = [threading.Thread(target=load) for _ in range(4)]
            for loader in loaders:
                loader.start()
            for _ in range(5):
                process.signal(signal.SIGQUIT)
                process.until("SIGQUIT: what every")
                process.until("Listener.accept_forever")
            stop.set()
            for loader in loaders:
                loader.join()
            assert set(bodies) == {b"/x"}
            _stopped(process)

    def test_to_a_log_that_is_for_errors_only(self, folder: Path) -> None:
        path = folder / "log"
        arguments = ("--error-logfile", str(path), "--bind", f"unix:{folder}/socket", "--log-level", "error")
        with command("-m", "greenserve", "web:app", *arguments, folder=folder) as process:
            eventually(lambda: _answers(f"{folder}/socket"))
            process.signal(signal.SIGQUIT)
            eventually(lambda: "accept_forever" in path.read_text())
            assert "error: SIGQUIT: what every green thread is doing:\n    OS thread " in path.read_text()

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
    @pytest.mark.parametrize("name", ["quit", "off"])
    def test_off_leaves_the_signal_alone(self, folder: Path, name: str) -> None:
        with _running(folder, "--dump-signal", name) as (process, _):
            status = Path(f"/proc/{process.process.pid}/status").read_text()
            caught = int(re.search(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)[1], 16)  # type: ignore[index]
            assert bool(caught & 1 << signal.SIGQUIT - 1) is (name == "quit")


def _answers(address: str) -> bool:
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        return ask(address, request("/x")).status == 200
    return False


def _talk(address: str | tuple[str, int], text: str) -> str:
    """Return the output of a session that types `text`, with prompts and banner."""
    with RawClient(address) as client:
        return client.send(text.encode()).finish_sending().rest().decode()


class TestBackdoor:
    def test_at_a_unix_socket_for_its_owner(self, folder: Path) -> None:
        path = folder / "door"
        with _running(folder, "--backdoor", f"unix:{path}") as (process, address):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            told = _talk(str(path), "pool()\nserver\nserver.stats.requests\nprint('mine')\n")
            assert "threads(), stacks(), hub(), pool() show its state" in told
            assert re.search(r">>> <GreenPool at \w+ size=1000 running=0 waiting=0>\n", told)
            assert f">>> <Server http://127.0.0.1:{address[1]}>\n>>> 0\n>>> mine\n" in told
            assert f"info: backdoor at unix:{path}\n" in _stopped(process)
            assert process.process.stdout is not None
            assert "mine" not in process.process.stdout.read()
        assert not path.exists()

    def test_at_loopback_with_a_port_of_its_own(self, folder: Path) -> None:
        call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--backdoor", "127.0.0.1:0")
        with command(*call, folder=folder) as process:
            port = process.until(r"backdoor at 127.0.0.1:(\d+)")[1]
            process.until("stop it with")
            assert "\n>>> 2\n" in _talk(("127.0.0.1", int(port)), "1 + 1\n")

    def test_its_sessions_end_with_the_server(self, folder: Path) -> None:
        path = folder / "door"
        with _running(folder, "--backdoor", f"unix:{path}") as (process, _), RawClient(str(path)) as client:
            client.until(b">>> ")
            client.send(b"import greenserve; greenserve.sleep(1000)\n")
            _stopped(process)
            assert client.rest() == b""

    def test_takes_the_place_of_one_that_died_and_of_no_other(self, folder: Path) -> None:
        path = folder / "door"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        with _running(folder, "--backdoor", f"unix:{path}"):
            call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--backdoor", f"unix:{path}")
            with command(*call, folder=folder) as second:
                assert second.ended() == 4
                assert (
                    f"greenserve: cannot listen at unix:{path}: something listens there already"
                    in second.text
                )
            assert "2" in _talk(str(path), "1 + 1\n")

    def test_elsewhere_only_when_told_twice(self, folder: Path) -> None:
        call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--backdoor", "0.0.0.0:0")
        with command(*call, folder=folder) as process:
            assert process.ended() == 2
            assert (
                "backdoor = 0.0.0.0:0 (flag --backdoor) contradicts backdoor_allow_remote = false"
                in process.text
            )
            assert "Traceback" not in process.text
        with command(*call, "--backdoor-allow-remote", folder=folder) as process:
            process.until(r"backdoor at 0.0.0.0:\d+")

    def test_a_descriptor_that_listens_elsewhere_is_refused(self, folder: Path) -> None:
        with socket.create_server(("0.0.0.0", 0)) as sock:
            door = f"--backdoor=fd://{sock.fileno()}"
            call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", door)
            with command(*call, folder=folder, pass_fds=(sock.fileno(),)) as process:
                assert process.ended() == 2
                assert "would give control of this process to everybody who can connect" in process.text
                assert "Traceback" not in process.text


def test_nothing_is_left_of_it_in_the_process(tmp_path: Path) -> None:
    path, handler = str(tmp_path / "door"), signal.getsignal(signal.SIGQUIT)
    with own_hub() as hub:
        server = Server(lambda environ, start_response: [], Config(backdoor=f"unix:{path}"))
        with debugging(server, hub):
            client = connect(path, socket.AF_UNIX)
            assert client.recv(9).startswith(b"backdoor ")
        with client:
            while client.recv(9):
                pass
    assert signal.getsignal(signal.SIGQUIT) is handler
