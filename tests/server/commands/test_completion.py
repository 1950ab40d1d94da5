"""commands.completion: real shells, asked what they would complete."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.times import PATIENCE

from greenserve.cli import main
from greenserve.commands import COMMANDS
from greenserve.commands.completion import _SUBCOMMANDS, SHELLS, script
from greenserve.config import SETTINGS

pytestmark = pytest.mark.no_hub

# What is typed, and the words that the command would get.
CASES = [
    ("--check-c", "--check-config"),
    ("--hub asyncio-p", "--hub asyncio-plain"),
    ("--hub=epo", "--hub=epoll"),
    ("--no-sendf", "--no-sendfile"),
    ("--log-level warn", "--log-level warning"),
    ("--certfile par", "--certfile parts.pem"),
    ("--chdir inn", "--chdir inner/"),
    ("--chdir par", "--chdir par"),  # a file
    ("-c greens", "-c greenserve.toml"),
    ("comple", "completion"),
    ("completion zs", "completion zsh"),
    ("top --on", "top --once"),
    ("top --sendf", "top --sendf"),  # the server's
    ("health --r", "health --ready"),
    ("health --token-file par", "health --token-file parts.pem"),
    ("migrate --r", "migrate --run"),
    ("migrate myap", "migrate myapp.py"),
    ("myap", "myapp.py"),
    ("--pool 8 myap", "--pool 8 myapp.py"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("parts.pem", "myapp.py", "greenserve.toml"):
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    return tmp_path


def has(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs {shell}: apt-get install {shell}")
    return path


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, *command: str, folder: Path) -> None:
        self.fd, theirs = pty.openpty()
        self.shell = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            assert left > 0, self.seen
            assert select.select([self.fd], [], [], left)[0], self.seen
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def close(self) -> None:
        self.shell.kill()
        self.shell.wait()
        os.close(self.fd)


def complete(terminal: Terminal, typed: str) -> str:
    terminal.type(f"greenserve {typed}\t\r")
    return terminal.until(r"GOT:(.*?):END\r?\n")[1]


def check(terminal: Terminal, setup: str) -> None:
    try:
        # Split, or what is typed would pass for what is printed.
        terminal.type(f'{setup}; greenserve() {{ printf "GO"; printf "T:%s:END\\n" "$*"; }}; echo REA""DY\r')
        terminal.until("READY")
        for typed, wanted in CASES:
            # zsh takes the slash back when the line ends behind it.
            assert complete(terminal, typed).rstrip(" /") == wanted.rstrip("/")
    finally:
        terminal.close()


def test_bash(folder: Path) -> None:
    (folder / "completion.bash").write_text(script("bash"))
    check(Terminal(has("bash"), "--norc", "--noprofile", "-i", folder=folder), "source ./completion.bash")


def test_zsh(folder: Path) -> None:
    (folder / "completion.zsh").write_text(script("zsh"))
    setup = "autoload -Uz compinit; compinit -u; source ./completion.zsh"
    check(Terminal(has("zsh"), "-f", "-i", folder=folder), setup)


def test_zsh_by_fpath(folder: Path) -> None:
    (folder / "functions").mkdir()
    (folder / "functions" / "_greenserve").write_text(script("zsh"))
    setup = "fpath=(~/functions $fpath); autoload -Uz compinit; compinit -u"
    check(Terminal(has("zsh"), "-f", "-i", folder=folder), setup)


@pytest.fixture
def fish(folder: Path) -> Callable[[str], list[str]]:
    path = has("fish")
    (folder / "completion.fish").write_text(script("fish"))

    def ask(typed: str) -> list[str]:
        asked = f"source completion.fish; complete -C 'greenserve {typed}'"
        done = subprocess.run(
            [path, "--no-config", "-c", asked],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    return ask


def test_fish(fish: Callable[[str], list[str]]) -> None:
    for typed, wanted in CASES:
        if typed != wanted:
            assert wanted.split(" ")[-1] in fish(typed)
    assert set(fish("--log-level ")) == {"debug", "info", "warning", "error", "critical"}
    assert set(fish("top --")) == {"--admin", "--config", "--help", "--once", "--token-file"}
    assert fish("--pool ") == fish("--chdir par") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_subcommand_is_known(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main([name, "--help"])
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out.partition("-- gunicorn")[0]))
    known = {spelling for flag in _SUBCOMMANDS[name][0] for spelling in flag.names}
    assert told - {"-h", "--help"} <= known


@pytest.mark.parametrize("shell", SHELLS)
def test_every_flag_is_in_the_script(shell: str) -> None:
    text = script(shell)
    for entry in SETTINGS.values():
        name = entry.flag[2:]
        assert f"-l {name} " in text if shell == "fish" else f"--{name}" in text


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == script("bash")
    assert main(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err == "greenserve: completion: name the shell, bash, zsh or fish, not tcsh\n"
    assert main(["completion"]) == 2
