"""backdoors: an interpreter for each who connects, which harms nobody else."""

from __future__ import annotations

import builtins
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from tests.support.programs.patched import run
from tests.support.times import PATIENCE

from greenserve_hub.diagnostics.backdoors import backdoor, backdoor_server, call_back, names_at_attach
from greenserve_hub.errors import HubError
from greenserve_hub.greenio.serving import connect, listen
from greenserve_hub.greenio.sockets import GreenSocket, socketpair
from greenserve_hub.greenthreads.greenthreads import GreenletExit, GreenThread, kill, sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.osthreads.threads import execute
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, wait_all_blocked

PROMPT = ">>> "
MORE_THAN_FITS = 2_000_000  # bytes, into the socket's buffer


class Client:
    """Types lines and reads what comes, up to the next prompt."""

    def __init__(self, sock: GreenSocket) -> None:
        self.sock = sock
        self._ahead = ""
        self.banner = self.until(PROMPT)

    def until(self, mark: str) -> str:
        with Timeout(PATIENCE):
            while mark not in self._ahead:
                data = self.sock.recv(65536)
                assert data, f"closed after {self._ahead!r}"
                self._ahead += data.decode(errors="replace")
        text, _, self._ahead = self._ahead.partition(mark)
        return text

    def send(self, data: bytes | str) -> None:
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def say(self, line: str) -> str:
        """One statement: what it prints."""
        self.send(line + "\n")
        return self.until(PROMPT)

    def rest(self) -> str:
        """All that comes until the end."""
        with Timeout(PATIENCE):
            while data := self.sock.recv(65536):
                self._ahead += data.decode(errors="replace")
        return self._ahead


def _end(green: GreenThread[None]) -> None:
    kill(green)
    with suppress(GreenletExit):
        green.wait()


@contextmanager
def _connected(locals: dict[str, Any] | None = None, banner: str | None = None) -> Iterator[Client]:
    ours, theirs = socketpair()
    green = spawn(backdoor, (theirs, "x"), locals, banner)
    with ours:
        yield Client(ours)
    green.wait()
    assert theirs.fileno() == -1


@pytest.fixture
def client() -> Iterator[Client]:
    with _connected() as client:
        yield client


@pytest.fixture(autouse=True)
def _process_is_untouched(errors: list[BaseException]) -> Iterator[None]:
    def state() -> list[Any]:
        return [
            sys.stdin,
            sys.stdout,
            sys.stderr,
            sys.displayhook,
            *map(vars(sys).get, ("ps1", "last_value")),
            builtins.exit,
            builtins.quit,
        ]

    before = state()
    yield
    assert state() == before
    assert not hasattr(builtins, "_")


class TestInterpreter:
    def test_the_banner_says_where_one_is_and_names_the_helpers(self, client: Client) -> None:
        assert client.banner.startswith(f"backdoor of process {os.getpid()}, ")
        assert f"Python {sys.version.split()[0]}, hub on {get_hub().poller.name}\n" in client.banner
        assert (
            "threads(), stacks(), hub() show its state; exit() or Ctrl-D ends this connection only\n"
            in client.banner
        )

    def test_the_caller_may_greet(self) -> None:
        with _connected(banner="welcome\n") as client:
            assert client.banner == "welcome\n"

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("1 + 1", "2\n"),
            ("'h\u00e9'", "'h\u00e9'\n"),
            ("None", ""),
            ("x = 5", ""),
            ("", ""),
            ("print('a', 'b')", "a b\n"),
            ("import sys; print('e', file=sys.stderr)", "e\n"),
            ("print('\\ud800')", "\\ud800\n"),
            ("__name__", "'__console__'\n"),
        ],
    )
    def test_a_line(self, client: Client, line: str, told: str) -> None:
        assert client.say(line) == told

    def test_it_is_in_the_hub_of_its_server(self, client: Client) -> None:
        assert client.say("hub().poller.name") == f"{get_hub().poller.name!r}\n"

    def test_a_statement_of_several_lines(self, client: Client) -> None:
        client.send("def twice(x):\n    return 2 * x\n\n")
        assert client.until(PROMPT) == "... ... "
        assert client.say("twice(21)") == "42\n"

    def test_the_last_value(self, client: Client) -> None:
        client.say("6 * 7")
        assert client.say("_") == "42\n"

    def test_a_traceback_shows_the_statement_and_nothing_of_ours(self, client: Client) -> None:
        assert client.say("1 / 0") == (
            'Traceback (most recent call last):\n  File "<backdoor>", line 1, in <module>\n'
            "ZeroDivisionError: division by zero\n"
        )
        assert client.say("2") == "2\n"

    @pytest.mark.parametrize("line", ["a b", ")", "'\0'", "x = '\\ud800'.encode('ascii')"])
    def test_what_is_no_python_is_told_so(self, client: Client, line: str) -> None:
        told = client.say(line)
        assert "Error" in told
        assert "diagnostics/backdoors.py" not in told
        assert "codeop" not in told

    def test_futures_last(self, client: Client) -> None:
        client.say("from __future__ import annotations")
        client.send("def f(x: y): pass\n\n")
        client.until(PROMPT)
        assert client.say("f.__annotations__") == "{'x': 'y'}\n"

    def test_input(self, client: Client) -> None:
        client.send("input('name? ')\nAda\n")
        assert client.until(PROMPT) == "name? 'Ada'\n"
        client.send("input()\n\x04")
        assert client.until(PROMPT).endswith("EOFError: EOF when reading a line\n")

    def test_threads_and_stacks(self, client: Client) -> None:
        green = spawn(sleep, 100)
        told = client.say("threads()")
        assert told.startswith("OS thread MainThread, hub on ")
        assert f"sleep, GreenThread {id(green):#x}, " in told
        assert "File" not in told
        assert 'File "<backdoor>", line 1, in <module>\n' in client.say("stacks()")
        kill(green)

    def test_names_of_the_program_are_copied(self) -> None:
        names = {"x": 1, "pool": lambda: "the pool"}
        with _connected(names) as client:
            assert "hub(), pool() show its state" in client.banner
            assert client.say("x") == "1\n"
            assert client.say("pool()") == "'the pool'\n"
            client.say("x = 2")
        assert names["x"] == 1
        assert set(names) == {"x", "pool"}


class TestConnectionsApart:
    def test_names_values_and_prints(self, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
        with _connected() as other:
            client.say("x = 'mine'")
            client.say("1")
            other.say("2")
            assert client.say("_") == "1\n"
            assert other.say("_") == "2\n"
            assert "NameError" in other.say("x")
            print("the process's")
        assert capsys.readouterr().out == "the process's\n"

    def test_the_green_threads_of_one_print_there(self, client: Client) -> None:
        client.say("from greenserve_hub import spawn, sleep")
        with _connected() as other:
            client.say("green = spawn(lambda: (sleep(), print('late')))")
            assert other.say("1") == "1\n"
            assert client.say("green.wait()").startswith("late\n")

    def test_two_green_threads_may_print_at_once(self, client: Client) -> None:
        client.say("from greenserve_hub import GreenPile")
        client.say("pile = GreenPile()")
        client.send("for n in range(3): pile.spawn(print, str(n) * 300_000)\n\n")
        client.until(PROMPT)
        text = client.say("list(pile)")
        assert [text.count(n) for n in "012"] == [300_000] * 3
        assert "Error" not in text

    def test_an_os_thread_of_one_prints_there(self) -> None:
        with _connected({"execute": execute}) as client:
            client.send(f"execute(print, 'x' * {MORE_THAN_FITS}, 'from afar')\n")
            assert client.until(" from afar\n").endswith("x" * MORE_THAN_FITS)

    def test_an_os_thread_of_one_that_has_gone_prints_nowhere(self) -> None:
        gate, done = threading.Event(), Event()

        def late() -> None:
            gate.wait(PATIENCE)
            print("x" * MORE_THAN_FITS)

        names = {"spawn": spawn, "execute": execute, "late": late, "done": done}
        with _connected(names) as client:
            client.say("green = spawn(lambda: (execute(late), done.send(1)))")
        with _connected():  # the stand-ins stay meanwhile
            gate.set()
            assert done.wait(PATIENCE) == 1
            wait_all_blocked()

    def test_a_callback_of_one_prints_there(self) -> None:
        def call_soon(*call: Any) -> None:
            get_hub().call_soon(copy_context().run, *call)

        with _connected({"call_soon": call_soon}) as client:
            client.send(f"call_soon(print, 'x' * {MORE_THAN_FITS}, 'from the hub')\n")
            assert client.until(" from the hub\n").endswith("x" * MORE_THAN_FITS)

    def test_one_that_waits_keeps_no_other_waiting(self, client: Client) -> None:
        event = Event()
        with _connected({"event": event}) as other:
            other.send("event.wait()\n")
            wait_all_blocked()
            assert client.say("1") == "1\n"
            event.send(2)
            assert other.until(PROMPT) == "2\n"

    def test_one_that_does_not_read_keeps_no_other_waiting(self, client: Client) -> None:
        with _connected() as other:
            client.send(f"print('x' * {MORE_THAN_FITS})\n")
            wait_all_blocked()
            assert other.say("1") == "1\n"
            client.until("\n")


class TestEnd:
    @pytest.mark.parametrize(
        "line", ["exit()", "quit()", "exit(3)", "raise SystemExit", "import sys; sys.exit('x')"]
    )
    def test_of_the_connection_and_not_of_the_process(self, client: Client, line: str) -> None:
        client.send(f"{line}\n")
        assert client.rest() == ""

    @pytest.mark.parametrize("end", [b"\x04", bytes([255, 236]), b"1 +\x04"])
    def test_by_ctrl_d(self, client: Client, end: bytes) -> None:
        client.send(end)
        assert client.rest() == ""

    def test_by_the_end_of_what_it_sends_after_all_is_answered(self, client: Client) -> None:
        client.send("1\n2\n")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == "1\n>>> 2\n>>> "

    def test_ctrl_c_gives_up_the_statement(self, client: Client) -> None:
        client.send("def f():\n")
        client.until("... ")
        client.send(b"\xff\xf4\xff\xfd\x06")
        assert client.until(PROMPT).endswith("KeyboardInterrupt\n")
        assert client.say("1") == "1\n"

    def test_a_killed_one(self) -> None:
        ours, theirs = socketpair()
        green = spawn(backdoor, (theirs, "x"))
        with ours:
            Client(ours)
            kill(green)
            assert ours.recv(1) == b""

    def test_a_timeout_that_was_left_running(self, clock: FakeClock) -> None:
        with _connected({"Timeout": Timeout}) as client:
            client.say("t = Timeout(5)")
            assert client.until(PROMPT).endswith("Timeout: 5 s\n")
            assert client.say("1") == "1\n"

    def test_who_vanishes_ends_what_prints(self, errors: list[BaseException]) -> None:
        with _connected() as client:
            client.send("import greenserve_hub\nwhile True: print('x' * 1000); greenserve_hub.sleep()\n\n")
            client.until("x" * 1000)
        sleep()

    def test_who_vanishes_leaves_its_green_threads_alone(self) -> None:
        done = Event()
        with _connected({"done": done}) as client:
            client.say("from greenserve_hub import spawn, sleep")
            client.say("green = spawn(lambda: (sleep(0.001), print('x' * 2_000_000), done.send(1)))")
            with _connected():  # the stand-ins stay meanwhile
                client.sock.close()
                assert done.wait(PATIENCE) == 1

    @pytest.mark.parametrize("request_line", ["POST / HTTP/1.1", "GET /x?y HTTP/1.0"])
    def test_a_browser_is_sent_away(self, client: Client, request_line: str) -> None:
        client.send(f"{request_line}\r\nHost: x\r\n\r\n1 / 0\r\n")
        assert client.rest() == ""


class TestServer:
    def test_serves_many_and_says_where(self, capsys: pytest.CaptureFixture[str]) -> None:
        with listen(("127.0.0.1", 0)) as sock:
            address = sock.getsockname()
            green = spawn(backdoor_server, sock, {"x": 1})
            with connect(address) as one, connect(address) as other:
                clients = [Client(one), Client(other)]
                assert [client.say("x") for client in clients] == ["1\n", "1\n"]
                _end(green)
                assert [client.rest() for client in clients] == ["", ""]
        assert sock.fileno() == -1
        assert capsys.readouterr().err == f"backdoor at 127.0.0.1:{address[1]}\n"

    def test_on_a_plain_socket(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = str(tmp_path / "door")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen()
            green = spawn(backdoor_server, sock)
            with connect(path, socket.AF_UNIX) as one:
                assert Client(one).say("1") == "1\n"
            _end(green)
        assert capsys.readouterr().err == f"backdoor at unix:{path}\n"

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
    def test_at_loopback(self, host: str, capsys: pytest.CaptureFixture[str]) -> None:
        with _bound(host) as sock:
            green = spawn(backdoor_server, sock)
            wait_all_blocked()
            assert not green.dead
            _end(green)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_anywhere_else_only_when_told_twice(self, host: str, capsys: pytest.CaptureFixture[str]) -> None:
        with _bound(host) as sock:
            with pytest.raises(
                HubError,
                match=r"a backdoor at .* would give control of this process to everybody who can connect",
            ):
                backdoor_server(sock)
            green = spawn(backdoor_server, sock, allow_remote=True)
            wait_all_blocked()
            assert not green.dead
            _end(green)


class TestCallingBack:
    """What a script that another process has sent here does: python -m greenserve.attach."""

    @pytest.mark.parametrize("where", ["hub", "green thread"])
    def test_from_wherever_the_script_arrives(self, where: str, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setitem(names_at_attach, "answer", 42)
        path = str(tmp_path / "socket")
        with listen(path, socket.AF_UNIX) as sock:
            if where == "hub":
                get_hub().call_soon(call_back, path)
            else:
                spawn(call_back, path)
            connection, _ = sock.accept()
            with connection:
                client = Client(connection)
                assert client.say("answer") == "42\n"
                assert client.say("from greenserve_hub import sleep; sleep(0)") == ""
                client.send("exit()\n")
                assert client.rest() == ""

    def test_from_an_os_thread_without_a_hub_to_the_one_there_is(self, tmp_path: Path) -> None:
        said = run(
            """
            import socket, sys
            from greenserve_hub import get_hub, threads
            from greenserve_hub.diagnostics.backdoors import call_back
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(sys.argv[1]); sock.listen()
                get_hub()
                threads.execute(call_back, sys.argv[1])
                with greenserve.GreenSocket(sock.family, sock.type, 0, sock.dup().detach()) as green:
                    peer = green.accept()[0]
                with peer:
                    peer.sendall(b"40 + 2\\nexit()\\n")
                    said = b""
                    while data := peer.recv(4096):
                        said += data
                print(said.decode())
            """,
            str(tmp_path / "one"),
            patch=False,
        )
        assert "\n>>> 42\n>>> " in said
        code = (
            "from greenserve_hub.diagnostics.backdoors import call_back; import sys; call_back(sys.argv[1])"
        )
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(tmp_path / "two"))
            sock.listen()
            subprocess.run([sys.executable, "-c", code, str(tmp_path / "two")], check=True, timeout=PATIENCE)
            peer, _ = sock.accept()
            with peer:
                assert peer.recv(4096) == b"no hub runs in this process: no green thread has waited yet\n"


@contextmanager
def _bound(host: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as sock:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((host, 0))
            sock.listen()
            yield sock
    except OSError as error:
        pytest.skip(f"no {host} here: {error}")


class TestRealClients:
    """With a server in another OS thread, since these programs hold this one."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[tuple[str, int, str]]:
        path = str(tmp_path / "door")
        tcp = socket.create_server(("127.0.0.1", 0))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(path)
        unix.listen()
        ready = threading.Event()
        stop: list[Any] = []

        def live() -> None:
            hub = get_hub()
            end = Event()
            greens = [spawn(backdoor_server, sock, {"x": 21}) for sock in (tcp, unix)]
            stop.append(lambda: hub.call_from_thread(end.send))
            hub.call_soon(ready.set)
            end.wait()
            for green in greens:
                _end(green)
            hub.close()

        thread = threading.Thread(target=live)
        thread.start()
        assert ready.wait(PATIENCE)
        yield (*tcp.getsockname(), path)
        stop[0]()
        thread.join()

    @pytest.mark.parametrize(
        "command",
        [
            ["nc", "-N", "{host}", "{port}"],
            ["nc", "-N", "-U", "{path}"],
            ["socat", "-t", "9", "-", "TCP:{host}:{port}"],
            ["socat", "-t", "9", "-,crlf", "UNIX-CONNECT:{path}"],
            ["telnet", "{host}", "{port}"],
        ],
        ids=lambda command: " ".join(command),
    )
    def test_a_session(self, place: tuple[str, int, str], command: list[str]) -> None:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        host, port, path = place
        lines = "y = 2 * x\nfor _ in range(2):\n  print('y', y)\n\nexit()\n"
        with subprocess.Popen(
            [part.format(host=host, port=port, path=path) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(lines)
            process.stdin.flush()
            if command[0] != "telnet":  # which takes this for the end of all; the others wait for it
                process.stdin.close()
            told = process.stdout.read()
            process.stdin.close()
            assert process.wait(PATIENCE) in (0, 1)
        assert "backdoor of process" in told
        assert ">>> >>> ... ... y 42\ny 42\n>>> " in told.replace("\r", "")
