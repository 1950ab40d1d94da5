"""`greenserve top` and `greenserve health`, as users run them: in a terminal, in a pipe, as a probe."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.programs.commands import Command, command
from tests.support.times import PATIENCE

HELLO = "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"
TOKEN = "a-token-of-the-test"


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Command]:
    (folder / "hello.py").write_text(HELLO)
    with command(
        "-m", "greenserve", "hello:app", "--bind", "127.0.0.1:0", *arguments, folder=folder
    ) as server:
        server.until(r"admin pages at")
        server.until(r"listening at")
        yield server


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path, "--admin-bind", "unix:admin.sock"):
        yield f"unix:{tmp_path}/admin.sock"


def run(*words: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "greenserve", *words],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


class TestHealth:
    def test_of_a_server_that_is_well_and_of_none(self, socket, tmp_path):
        for more in ((), ("--ready",)):
            done = run("health", "--admin", socket, *more, folder=tmp_path)
            assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
            assert "1 ready" in done.stdout
        done = run("health", "--admin", "unix:nobody.sock", folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            done.stderr
            == "greenserve health: unhealthy: unix:nobody.sock does not answer: No such file or directory\n"
        )

    def test_the_servers_own_settings_say_where(self, socket, tmp_path):
        assert run("health", folder=tmp_path, GREENSERVE_ADMIN_BIND=socket).returncode == 0
        (tmp_path / "greenserve.toml").write_text('admin_bind = "unix:admin.sock"\n')
        assert run("health", folder=tmp_path).returncode == 0

    def test_a_relative_path_in_the_settings_counts_from_chdir(self, tmp_path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "token").write_text(TOKEN)
        (tmp_path / "greenserve.toml").write_text(
            'chdir = "sub"\nadmin_bind = "unix:admin.sock"\nadmin_token_file = "token"\n'
        )
        with served(tmp_path / "sub", "--admin-bind", "unix:admin.sock", "--admin-token-file", "token"):
            done = run("top", folder=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            done = run("health", "--admin", "unix:admin.sock", folder=tmp_path)
            assert "unix:admin.sock does not answer" in done.stderr, "a flag's counts from where it is given"

    def test_python_settings_are_run_only_if_they_alone_can_say_where(self, socket, tmp_path):
        settings = tmp_path / "greenserve_conf.py"
        settings.write_text(f"print('ran')\nadmin_bind = {socket!r}\n")
        done = run("health", folder=tmp_path)
        assert (done.returncode, "ran" in done.stdout) == (0, True)
        for words, variables in ((("--admin", socket), {}), ((), {"GREENSERVE_ADMIN_BIND": socket})):
            done = run("health", *words, folder=tmp_path, **variables)
            assert (done.returncode, done.stdout) == (0, "healthy: 1 ready\n")

    def test_with_an_address_no_settings_file_is_read(self, socket, tmp_path):
        (tmp_path / "greenserve.toml").write_text("no TOML")
        assert run("health", "--admin", socket, folder=tmp_path).returncode == 0
        done = run("health", "--admin", socket, "-c", "greenserve.toml", folder=tmp_path)
        assert "greenserve.toml: not valid TOML" in done.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "where are the admin pages? Give --admin, or set admin_bind"),
            (("--admin", "nowhere"), "admin_bind = 'nowhere' (flag --admin): the port is missing"),
            (("--timeout", "x"), "--timeout x:"),
            (("--what",), "unrecognized arguments: --what; see greenserve health --help"),
            (("--admin", "127.0.0.1:1", "--token-file", "none"), "admin_token_file = none: No such file"),
        ],
    )
    def test_a_wrong_command_line_is_1_too(self, tmp_path, words, said):
        done = run("health", *words, folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert said in done.stderr

    def test_of_a_port_at_which_something_else_answers(self, tmp_path):
        with command("-c", _ECHO, folder=tmp_path) as other:
            port = other.until(r"(\d+)")[1]
            done = run("health", "--admin", f"127.0.0.1:{port}", folder=tmp_path)
        assert done.returncode == 1
        assert "does not answer: this is no HTTP" in done.stderr

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (
                ["HTTP/1.1 200 OK", "", "welcome"],
                "answers 200, and not as greenserve's admin pages do: welcome",
            ),
            (["HTTP/1.1 503 No", "", "\x1b]0;evil\x07"], "answers 503, and not as greenserve's"),
            (["HTTP/1.1 503 No", "", "unhealthy: \x1b[2J"], "greenserve health: unhealthy: ?[2J\n"),
            (["HTTP/1.1 200 OK", "", "ready: 1 ready"], "answers 200, and not as greenserve's"),
        ],
    )
    def test_an_answer_has_to_be_greenserves_and_commands_no_terminal(self, tmp_path, answer, said):
        with command("-c", _SAYS, "\r\n".join(answer), "0", folder=tmp_path) as other:
            port = other.until(r"(\d+)")[1]
            done = run("health", "--admin", f"127.0.0.1:{port}", folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert said in done.stderr
        assert done.stderr.strip().isprintable()

    def test_the_timeout_is_for_the_whole_answer(self, tmp_path):
        with command("-c", _SAYS, "HTTP/1.1 200 OK\r\n" + "X" * 60000, "0.1", folder=tmp_path) as other:
            port = other.until(r"(\d+)")[1]
            done = run("health", "--admin", f"127.0.0.1:{port}", "--timeout", "0.5s", folder=tmp_path)
        assert done.returncode == 1
        assert "does not answer: no whole answer within 0.5 s" in done.stderr


# Says its first argument to each client, by bytes with so many seconds between them if there are any.
_SAYS = """
import socket, sys, time
with socket.create_server(("127.0.0.1", 0)) as sock:
    print(sock.getsockname()[1], file=sys.stderr, flush=True)
    while True:
        other, _ = sock.accept()
        other.recv(9999)
        pause = float(sys.argv[2])
        for one in sys.argv[1] if pause else [sys.argv[1]]:
            other.sendall(one.encode())
            time.sleep(pause)
        other.close()
"""

_ECHO = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as sock:
    print(sock.getsockname()[1], file=sys.stderr, flush=True)
    other, _ = sock.accept()
    other.sendall(b"what?\\r\\n" + other.recv(9999))
    other.close()
"""


class TestTop:
    def test_in_a_pipe_it_is_printed_once(self, socket, tmp_path):
        done = run("top", "--admin", socket, folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 of 1 workers ready" in done.stdout
        assert "\x1b" not in done.stdout

    def test_with_a_token_and_without(self, tmp_path):
        (tmp_path / "token").write_text(TOKEN + "\n")
        with served(tmp_path, "--admin-bind", "127.0.0.1:0", "--admin-token-file", "token") as server:
            address = server.text.partition("admin pages at http://")[2].split()[0]
            done = run("top", "--admin", address, "--token-file", "token", folder=tmp_path)
            assert done.returncode == 0, done.stderr
            done = run("top", "--admin", address, folder=tmp_path)
            assert done.returncode == 1
            assert "answers 401: The admin token is needed" in done.stderr
            assert run("health", "--admin", address, folder=tmp_path).returncode == 0

    def test_of_a_server_that_is_not_there(self, tmp_path):
        done = run("top", "--admin", "127.0.0.1:1", folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "127.0.0.1:1 does not answer: Connection refused" in done.stderr

    @pytest.mark.parametrize(
        "body", ["{}", "[]", "3", '{"history": {"fine": [{}]}}', '{"history": {"fine": []}, "now": {}}']
    )
    def test_numbers_of_something_else(self, tmp_path, body):
        with command("-c", _SAYS, f"HTTP/1.1 200 OK\r\n\r\n{body}", "0", folder=tmp_path) as other:
            port = other.until(r"(\d+)")[1]
            done = run("top", "--admin", f"127.0.0.1:{port}", folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "are these greenserve's admin pages?" in done.stderr

    def test_a_refusal_commands_no_terminal(self, tmp_path):
        with command("-c", _SAYS, "HTTP/1.1 403 No\r\n\r\n\x1b[2J", "0", folder=tmp_path) as other:
            port = other.until(r"(\d+)")[1]
            done = run("top", "--admin", f"127.0.0.1:{port}", folder=tmp_path)
        assert done.stderr.endswith("/live.json?fine=0 answers 403: ?[2J\n")

    def test_in_a_terminal_it_follows_the_size_and_q_ends_it(self, socket, tmp_path):
        with Terminal(["top", "--admin", socket], tmp_path) as terminal:
            terminal.until(b"1 of 1 workers ready")
            assert b"\x1b[?1049h" in terminal.said
            terminal.said = b""
            terminal.resize(30, 10)
            terminal.until(b"\x1b[J")
            drawn = terminal.said.split(b"\x1b[H")[-1]
            assert len(drawn.split(b"\n")) <= 10
            terminal.press(b"q")
            assert terminal.ended() == 0
            assert terminal.said.endswith(b"\x1b[?25h\x1b[?1049l"), "the screen is given back"

    def test_when_the_server_goes_it_says_so_and_comes_back(self, tmp_path):
        with (
            served(tmp_path, "--admin-bind", "unix:admin.sock") as server,
            Terminal(["top", "--admin", "unix:admin.sock"], tmp_path) as terminal,
        ):
            terminal.until(b"workers ready")
            server.signal(signal.SIGTERM)
            server.ended()
            terminal.until(b"does not answer")
            with served(tmp_path, "--admin-bind", "unix:admin.sock"):
                terminal.said = b""
                terminal.until(b"workers ready")
                terminal.press(b"\x03")
                assert terminal.ended() == 0


class Terminal:
    """A command in a pseudo terminal."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self._own, theirs = pty.openpty()
        self.resize(120, 40)
        environ = os.environ | {"TERM": "xterm"}
        for name in ("COLUMNS", "LINES"):
            environ.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "greenserve", *words],
            cwd=folder,
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that ^C is a signal
        )
        os.close(theirs)
        self.said = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._own)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._own, keys)

    def until(self, wanted: bytes) -> None:
        limit = time.monotonic() + PATIENCE
        while wanted not in self.said:
            assert time.monotonic() < limit, self.said
            assert self._read(), self.said

    def _read(self) -> bool:
        if not select.select([self._own], [], [], PATIENCE)[0]:
            return False
        try:
            data = os.read(self._own, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self.said += data
        return bool(data)

    def ended(self) -> int:
        while self._read():
            pass
        return self._process.wait(PATIENCE)


@pytest.mark.parametrize("words", [["top:app"], ["--", "top"], ["top.py"]])
def test_an_app_in_a_module_called_top_is_served_by_another_name(tmp_path, words):
    (tmp_path / "top.py").write_text(HELLO)
    done = run("--check-config", *words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "are valid" in done.stdout
