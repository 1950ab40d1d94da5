"""Does what a page tells its reader to do: writes the files, types the commands, in a folder of its own.

Addresses and paths of the page are placeholders: each port becomes a free one of loopback, and each folder of the
system one below the reader's own. `4711` is the process that the last command has started.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import requests
from tests.docs.blocks import ROOT, Block
from tests.docs.checks import check_file
from tests.support.servers.ports import free_port
from tests.support.times import PATIENCE, eventually

NOT_RUN = tomllib.loads((Path(__file__).parent / "not_run.toml").read_text(encoding="utf-8"))
_ADDRESS = re.compile(r"(?<![\w.*])(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::1?\])?:(\d{2,5})(?![\w:])")
_PORT = re.compile(r'(\bport ?= ?|\("[\d.]*", )(\d{2,5})\b')
_PATH = re.compile(r"(?<![\w./}])/(?:run|srv|var|etc|tmp)/(?=[\w<])")
_LISTENS = re.compile(r"listening at |runs as process |Starting development server at ")
_SERVES = re.compile(r"\brun\(|wsgi\.server\(|wsgi_server\(")
_SUBCOMMANDS = {"migrate", "completion", "health", "top"}


class Reader:
    """One reader of one page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, int] = {}
        self.servers: list[subprocess.Popen[bytes]] = []
        folder.mkdir()
        self.bin = folder.parent / "bin"
        self.bin.mkdir()
        python = self.bin / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        (self.bin / "python3").symlink_to("python")

    # What stands on the page

    def read(self, block: Block) -> None:
        """Do what one block says."""
        if block.language == "console":
            self.type(block)
        elif block.title:
            self.write(block)
        elif block.language != "python":  # those run together, see `run_python`
            check_file(block, self.folder / f"block{block.line}", self.here(block.text))

    def write(self, block: Block) -> None:
        path = self.folder / self.here(block.title).removeprefix(f"{self.folder}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(block.text), encoding="utf-8")
        if not block.whole:
            check_file(block, path, self.here(block.text))

    def type(self, block: Block) -> None:
        """Type the commands of a block, and compare what each says with what the page shows."""
        commands: list[tuple[str, list[str]]] = []
        for line in block.text.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            elif commands and commands[-1][0].endswith("\\"):
                commands[-1] = (commands[-1][0][:-1] + line.lstrip("> "), [])
            else:
                assert commands, f"{block.place}: a console block begins with `$ `"
                commands[-1][1].append(line)
        for command, shown in commands:
            self._run(command, shown, block)

    def run_python(self, blocks: list[Block]) -> None:
        """Run the untitled blocks of a page as one program, so that later ones know the names of earlier ones."""
        if not blocks:
            return
        code = [(block.place, self.here(block.text)) for block in blocks]
        driver = (
            "import json, sys\n"
            "names = {'__name__': '__main__'}\n"
            "for place, text in json.loads(sys.argv[1]):\n"
            "    exec(compile(text, place, 'exec'), names)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", driver, json.dumps(code)],
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{blocks[0].page}: {done.stderr}"

    def here(self, text: str) -> str:
        """The text with the reader's own ports, folders and process in the place of the page's."""
        text = _ADDRESS.sub(lambda found: f"{self._host(found[0])}:{self._port(found[1])}", text)
        text = _PORT.sub(lambda found: f"{found[1]}{self._port(found[2])}", text)
        text = _PATH.sub(lambda found: f"{self.folder}{found[0]}", text)
        if self.servers:
            text = re.sub(r"\b4711\b", str(self.servers[-1].pid), text)
        return text

    def _host(self, address: str) -> str:
        return "127.0.0.1" if not address.startswith("localhost") else "localhost"

    def _port(self, named: str) -> int:
        if named not in self.ports:
            self.ports[named] = free_port()
        return self.ports[named]

    # Commands

    def _run(self, typed: str, shown: list[str], block: Block) -> None:
        typed = re.sub(r"\s+# .*$", "", typed)
        if reason_not_to_run(typed):
            return
        if typed.startswith(("pip install ", "python -m pip install ")):
            check_installed(typed, block)
            return
        command = self.here(typed)
        for folder in re.findall(rf"{re.escape(str(self.folder))}/[\w./-]+", command):
            Path(folder).parent.mkdir(parents=True, exist_ok=True)
        serves = is_server(typed, self.folder)
        if serves:
            self._stop_all()
        process = subprocess.Popen(
            ["bash", "-c", command if re.search(r"[;&|<>]|^[A-Z_]+=", command) else f"exec {command}"],
            cwd=self.folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        said = Said(process)
        if serves:
            self.servers.append(process)
            if "--error-logfile" in typed or typed.endswith(".py"):  # those say nothing here
                eventually(lambda: is_open(self._port("8000")), f"{block.place}: the port")
            else:
                said.until(_LISTENS, f"{block.place}: {typed}")
            self._ask(block)
            for line in shown:
                said.until(pattern_of(self.here(line)), f"{block.place}: {typed}")
            return
        text = said.to_the_end(f"{block.place}: {typed}")
        check_shown(text, [self.here(line) for line in shown], f"{block.place}: {typed}")
        assert process.returncode == 0 or shown, f"{block.place}: {typed}: {process.returncode}: {text}"

    def _ask(self, block: Block) -> None:
        """A server that no command of the block asks answers at port 8000, and not with a failure."""
        if re.search(r"^\$ (?:curl|python -c)", block.text, re.MULTILINE):
            return
        url = f"http://127.0.0.1:{self._port('8000')}/"
        with contextlib.suppress(requests.ConnectionError):  # it listens elsewhere, or speaks TLS
            answer = requests.get(url, timeout=PATIENCE, stream=True)
            answer.close()
            assert answer.status_code < 500, f"{block.place}: / is {answer.status_code}"

    def _environ(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GREENSERVE_", "PYTEST"))
        }
        environ = {
            **kept,
            "PATH": os.pathsep.join(
                [str(self.bin), str(Path(sys.executable).parent), kept["PATH"], "/usr/sbin"]
            ),
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("server", "hub")),
            "PYTHONUNBUFFERED": "1",
            "GREENSERVE_GRACEFUL_TIMEOUT": "1s",
            "NO_PROXY": "*",
            "TERM": "dumb",
        }
        files = [*self.folder.glob("*.toml"), *self.folder.glob("*_conf.py")]
        if not any(re.search(r"^bind\b", one.read_text(), re.MULTILINE) for one in files):
            environ["GREENSERVE_BIND"] = f"127.0.0.1:{self._port('8000')}"
        return environ

    def _stop_all(self) -> None:
        for process in self.servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            if process.stdout is not None:
                process.stdout.close()
        self.servers.clear()

    def close(self) -> None:
        self._stop_all()


class Said:
    """What a process says, read with a deadline."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.text = ""
        self.seen = 0

    def _more(self, place: str) -> bool:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, f"{place} says no more: {self.text}"
        piece = os.read(self.process.stdout.fileno(), 65536)
        self.text += piece.decode(errors="replace")
        return bool(piece)

    def until(self, pattern: re.Pattern[str], place: str) -> None:
        limit = time.monotonic() + PATIENCE
        while not (found := pattern.search(self.text, self.seen)):
            assert time.monotonic() < limit, f"{place} never says {pattern.pattern}: {self.text}"
            assert self._more(place), f"{place} ended without {pattern.pattern}: {self.text}"
        # What the page shows of this line, or of one before it, is still to come.
        self.seen = 0 if pattern is _LISTENS else found.end()

    def to_the_end(self, place: str) -> str:
        try:
            while self._more(place):
                pass
        except AssertionError:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        finally:
            self.process.wait(PATIENCE)
            assert self.process.stdout is not None
            self.process.stdout.close()
        return self.text


def reason_not_to_run(command: str) -> str:
    """Return why a command is not run here; "" if it is. not_run.toml holds all of these."""
    reasons = NOT_RUN["commands"]
    return next((reasons[one] for one in reasons if command.removeprefix("sudo ").startswith(f"{one} ")), "")


def is_server(command: str, folder: Path) -> bool:
    """Return True if a command is expected to serve until it is ended."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(itertools.takewhile(lambda word: not re.match(r"[;&|<>]", word), lexer))
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    if words[0] == "greenserve":
        one_shot = {"--help", "--version", "--print-config", "--check-config"} & set(words)
        return not one_shot and (len(words) == 1 or words[1] not in _SUBCOMMANDS)
    if words[0] == "python":
        files = [folder / word for word in words if word.endswith(".py") and word != "manage.py"]
        return "runserver" in words or any(_SERVES.search(one.read_text()) for one in files)
    return words[0] == "pserve"


def is_open(port: int) -> bool:
    """Return True if something listens there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def pattern_of(line: str) -> re.Pattern[str]:
    """The pattern of a line as a page shows it: `…` stands for any text, 4711 for any process."""
    return re.compile(re.escape(line.strip()).replace("…", ".*"))


def check_shown(text: str, shown: list[str], place: str) -> None:
    """Each line that the page shows stands in `text`, in this order."""
    start = 0
    for line in shown:
        if line.strip() in ("", "…"):
            continue
        found = pattern_of(line).search(text, start)
        assert found, f"{place} does not say {line!r}:\n{text}"
        start = found.end()


def check_installed(command: str, block: Block) -> None:
    """A page tells to install only what is known: greenserve with extras that it has, or a name of not_run.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in shlex.split(command)[2:]:
        if word in ("install", "-U", "pip", "-m", "-e", "."):
            continue
        name, _, extras = word.partition("[")
        extra = set(extras.rstrip("]").split(",")) - {""}
        assert name == "greenserve" or name in NOT_RUN["packages"], f"{block.place}: {word}"
        assert name != "greenserve" or extra <= set(project["optional-dependencies"]), (
            f"{block.place}: {word}"
        )
