"""stopping: a process ends when it is told to, whatever its app does, and says who kept it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import Command, command
from tests.support.times import eventually

_APP = """
import atexit, ctypes, re, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import greenserve
from greenserve import original


def forever_in_c(library, begun):
    # A lock that is taken twice, by one that no signal wakes. Only the second call may let other OS threads in: what
    # `begun` says is said when no handler runs any more.
    lock = ctypes.create_string_buffer(64)
    take_at_first, take = ctypes.PyDLL(None).pthread_mutex_lock, library.pthread_mutex_lock
    sys.setswitchinterval(1000)
    original("_thread").start_new_thread(begun, ())
    take_at_first(lock)
    take(lock)


def two_seconds_in_c():
    class Moment(ctypes.Structure):
        _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]

    lock = ctypes.create_string_buffer(64)
    library = ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_timedlock(lock, ctypes.byref(Moment(int(time.time()) + 3, 0)))


def app(environ, start_response):
    path = environ["PATH_INFO"]
    begun = lambda: environ["wsgi.errors"].write(f"begun {path}\\n")
    if path == "/spin":
        begun()
        while True:
            pass
    elif path == "/sleep":
        begun()
        original("time").sleep(1000)
    elif path == "/c":
        forever_in_c(ctypes.CDLL(None), lambda: original("os").write(2, b"begun /c\\n"))
    elif path == "/a_while_in_c":
        begun()
        two_seconds_in_c()
    elif path == "/keeps_the_lock":
        begun()
        greenserve.sleep(0.3)
        forever_in_c(ctypes.PyDLL(None), lambda: None)
    elif path == "/handlers_only":
        begun()
        re.match("(a+)+$", "a" * 50 + "b")
    elif path == "/green":
        begun()
        greenserve.sleep(float(environ["QUERY_STRING"]))
    elif path == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [path.encode()]


def events():
    yield b"data: 1\\n\\n"
    greenserve.sleep(1000)


for action in sys.argv:
    if action == "thread":
        threading.Thread(target=time.sleep, args=(1000,), name="ticker", daemon=False).start()
    elif action == "executor":
        ThreadPoolExecutor(thread_name_prefix="crew").submit(len, "x").result()
    elif action == "atexit":
        atexit.register(time.sleep, 1000)
    elif action == "wakeup_fd":
        import socket
        pair = socket.socketpair()
        pair[1].setblocking(False)
"""
_SCRIPT = """
import os, sys
from greenserve.cli import main
from greenserve.process.stopping import Stopping


def handle_and_say(self, number, frame, handle=Stopping._handle):
    handle(self, number, frame)
    os.write(2, b"handled\\n")


Stopping._handle = handle_and_say
arguments = sys.argv[1:]
sys.argv.append({does!r})
sys.exit(main(arguments))
"""
_STACK = r'File ".*stuck.py", line \d+, in (app|forever_in_c|two_seconds_in_c)$'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stuck.py").write_text(_APP)
    return tmp_path


@contextmanager
def running(folder: Path, *arguments: str, does: str = "") -> Iterator[tuple[Command, tuple[str, int]]]:
    """The command, whose app finds `does` in sys.argv."""
    script = _SCRIPT.format(does=does)
    call = (
        "-c",
        script,
        "stuck:app",
        "--bind",
        "127.0.0.1:0",
        "--block-threshold",
        "off",
        "--access-logfile",
        "off",
    )
    with command(*call, *arguments, folder=folder) as process:
        address = process.listens()
        process.until("stop it with")
        yield process, address


@contextmanager
def busy(folder: Path, path: str, *arguments: str) -> Iterator[Command]:
    """A command whose app is in this request and does not come back."""
    with running(folder, *arguments) as (process, address), RawClient(address) as client:
        client.send(request(path))
        process.until(f"begun {path.partition('?')[0]}$")
        yield process


@pytest.fixture(params=[(), ("--no-monkey-patch",)], ids=["patched", "unpatched"])
def patching(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param  # type: ignore[no-any-return]


def _comes(process: Command, number: signal.Signals) -> None:
    """Until the signal was delivered to a thread: of two that are the same the kernel would make one."""
    status = Path(f"/proc/{process.process.pid}/status")

    def is_pending() -> int:
        (pending,) = re.findall(r"^ShdPnd:\s*(\w+)$", status.read_text(), re.MULTILINE)
        return int(pending, 16) >> (number - 1) & 1

    eventually(lambda: not is_pending(), "the signal")


class TestHeld:
    """A green thread holds the hub, which could do nothing of what it is told."""

    @pytest.mark.parametrize("path", ["/spin", "/sleep", "/c"])
    def test_graceful_timeout_ends_it(self, path: str, folder: Path, patching: tuple[str, ...]) -> None:
        with busy(folder, path, "--graceful-timeout", "300ms", *patching) as process:
            process.signal(signal.SIGTERM)
            process.until(
                r"error: the server does not stop in time, and the process ends now\. "
                rf"It is held by GET {path} of 127\.0\.0\.1:\d+, PoolWorker 0x\w+$"
            )
            process.until(_STACK)
            assert process.ended() == 0

    @pytest.mark.parametrize("path", ["/spin", "/c"])
    @pytest.mark.parametrize(
        "numbers",
        [(signal.SIGTERM,) * 2, (signal.SIGINT,) * 2, (signal.SIGTERM, signal.SIGINT)],
        ids=lambda numbers: " ".join(number.name for number in numbers),
    )
    def test_a_second_signal_ends_it(
        self, numbers: tuple[signal.Signals, ...], path: str, folder: Path
    ) -> None:
        with busy(folder, path) as process:
            for number in numbers:
                process.signal(number)
                if path == "/c":
                    _comes(process, number)
                else:
                    process.until("^handled$")  # of two that are the same CPython would make one
            process.until("the process ends now")
            process.until(_STACK)
            assert process.ended() == 0

    def test_the_first_says_what_it_waits_for(self, folder: Path) -> None:
        with busy(folder, "/spin") as process:
            process.signal(signal.SIGTERM)
            found = process.until(
                r"warning: the stop cannot begin, since the hub is held; the process ends in (.*) s, "
                r"or a second after a signal asks again .* It is held by GET /spin"
            )
            assert 25 < float(found[1]) < 30.5
            process.until(_STACK)
            process.signal(signal.SIGTERM)  # a second later
            process.until("the process ends now")
            assert process.ended() == 0

    def test_c_code_that_keeps_the_interpreters_lock(self, folder: Path) -> None:
        # Nothing that is Python runs any more: faulthandler's thread ends it.
        with busy(folder, "/keeps_the_lock", "--graceful-timeout", "500ms") as process:
            process.signal(signal.SIGTERM)
            process.until("SIGTERM: stopping; 1 requests run")
            process.until("in forever_in_c$")
            assert process.ended() == 1

    def test_c_code_that_lets_in_nobody_but_handlers(self, folder: Path) -> None:
        with busy(folder, "/handlers_only", "--graceful-timeout", "1000s") as process:
            for _ in range(2):
                process.signal(signal.SIGINT)
                process.until("^handled$")
            process.until("in app$")
            assert process.ended() == 1

    def test_a_wait_in_c_that_ends_was_one_signal(self, folder: Path) -> None:
        with running(folder) as (process, address), RawClient(address) as held, RawClient(address) as client:
            client.send(request("/green?2.5"))
            process.until("begun /green")
            held.send(request("/a_while_in_c"))
            process.until("begun /a_while_in_c")
            process.signal(signal.SIGTERM)
            process.until("the stop cannot begin")
            process.until("SIGTERM: stopping; ")
            assert held.answer().body == b"/a_while_in_c"
            assert client.answer().body == b"/green"
            assert process.ended() == 0
            assert "while stopping" not in process.text
            assert "process ends now" not in process.text


class TestLive:
    """The hub does what it is told."""

    def test_a_second_sigterm_a_second_later_stops_at_once(self, folder: Path) -> None:
        with busy(folder, "/green?1000") as process:
            process.signal(signal.SIGTERM)
            process.until("SIGTERM: stopping; 1 requests run")
            time.sleep(1.1)
            process.signal(signal.SIGTERM)
            process.until("SIGTERM while stopping: stopping at once")
            process.until("warning: ended by a second stop, which asked for less time: .* GET /green")
            assert process.ended() == 0

    def test_an_event_stream_at_a_terminal(self, folder: Path) -> None:
        with running(folder) as (process, address), RawClient(address) as client:
            client.send(request("/events")).head()
            process.signal(signal.SIGINT)
            process.until(r"SIGINT: stopping; 1 requests run, .*; SIGINT \(Ctrl-C\) again ends them at once$")
            process.signal(signal.SIGINT)
            assert process.ended() == 0
            assert "ended by a second stop, which asked for less time: <127.0.0.1:" in process.text
            assert "graceful_timeout" not in process.text

    def test_a_program_that_has_taken_the_wakeup_descriptor(self, folder: Path) -> None:
        (folder / "own.py").write_text(
            "import signal, socket, stuck\n"
            "from stuck import app as stuck_app\n"
            "def app(environ, start_response):\n"
            "    global pair\n"
            "    pair = socket.socketpair()\n"
            "    pair[1].setblocking(False)\n"
            "    signal.set_wakeup_fd(pair[1].fileno())\n"
            "    return stuck_app(environ, start_response)\n"
        )
        with command("-m", "greenserve", "own:app", "--bind", "127.0.0.1:0", folder=folder) as process:
            found = process.until(r"listening at http://(.*):(\d+)$")
            process.until("stop it with")
            assert ask((found[1], int(found[2])), request("/x")).body == b"/x"
            process.signal(signal.SIGTERM)
            process.until("SIGTERM: stopping; 0 requests run")
            assert process.ended() == 0


class TestStopped:
    """The server has stopped, and something of the app keeps the process."""

    def test_threads_are_named_and_ended(self, folder: Path, patching: tuple[str, ...]) -> None:
        with running(folder, "--graceful-timeout", "1s", *patching, does="thread") as (process, _):
            process.signal(signal.SIGTERM)
            process.until("info: stopped")
            process.until(
                r"warning: the server has stopped, but the process stays, for at most .* s more: "
                r"it waits for threads of the app: ticker\."
            )
            process.until(
                "error: the process ends now, whatever it still does: .* threads of the app: ticker"
            )
            assert process.ended() == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_another_signal_ends_them_at_once(self, number: signal.Signals, folder: Path) -> None:
        with running(folder, does="thread") as (process, _):
            process.signal(signal.SIGTERM)
            process.until("the server has stopped, but the process stays")
            process.signal(number)
            process.until("the process ends now")
            assert process.ended() == 0

    def test_threads_of_an_executor_end_by_themselves(self, folder: Path, patching: tuple[str, ...]) -> None:
        with running(folder, *patching, does="executor") as (process, _):
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert process.said[-1].endswith("info: stopped\n")

    def test_what_the_app_does_at_exit(self, folder: Path, patching: tuple[str, ...]) -> None:
        with running(folder, "--graceful-timeout", "1s", *patching, does="atexit") as (process, _):
            process.signal(signal.SIGTERM)
            process.until("the process ends now, whatever it still does: ")
            assert process.ended() == 0

    def test_a_program_goes_on_after_run(self, folder: Path) -> None:
        (folder / "program.py").write_text(
            "import sys, time; sys.argv += ['thread']\n"
            "import greenserve, stuck\n"
            "code = greenserve.run(stuck.app, bind='127.0.0.1:0', graceful_timeout=0)\n"
            "time.sleep(1.2)\n"
            "print('goes on', code, len(sys._current_frames()), flush=True)\n"
            "import os; os._exit(5)\n"
        )
        with command("program.py", folder=folder) as process:
            process.until("stop it with")
            process.signal(signal.SIGTERM)
            assert process.ended() == 5
            assert process.process.stdout is not None
            assert (
                process.process.stdout.read() == "goes on 0 2\n"
            )  # the main thread and the app's: none of ours
            assert process.said[-1].endswith("info: stopped\n")


def test_a_forced_end_writes_the_lines_that_the_access_log_has_kept(folder: Path) -> None:
    places = ("--access-logfile", "access.log", "--access-log-format", "%U")
    with (
        running(folder, *places) as (process, address),
        RawClient(address) as one,
        RawClient(address) as two,
    ):
        for client in (one, two):
            client.get("/")
        process.signal(signal.SIGSTOP)  # so that both come in the same turn, which the second never ends
        one.send(request("/kept"))
        two.send(request("/spin"))
        process.signal(signal.SIGCONT)
        process.until("begun /spin$")
        process.signal(signal.SIGINT)
        process.until("the stop cannot begin")
        process.signal(signal.SIGINT)
        assert process.ended() == 0
    assert (folder / "access.log").read_text().split() == ["/", "/", "/kept"]
