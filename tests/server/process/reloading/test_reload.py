"""reload: the command with --reload: what clients get while its code is written, and what is left when it ends."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import Command, command
from tests.support.times import MS, PATIENCE, eventually

APP = """
import os, sys, time
WORD = "one"

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang":
        environ["wsgi.errors"].write("hang begun\\n")
        while True:
            pass
    if path == "/later":
        import later
    if path == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events()
    body = f"{WORD} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def events():
    while True:
        yield b"data: x\\n\\n"
        time.sleep(0.05)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.py").write_text(APP)
    return tmp_path


@contextmanager
def _running(
    folder: Path, *arguments: str, app: str = "web:app"
) -> Iterator[tuple[Command, tuple[str, int]]]:
    options = ["-m", "greenserve", app, "--reload", "--bind", "127.0.0.1:0", "--block-threshold", "off"]
    with command(*options, *arguments, folder=folder) as process:
        yield process, process.listens_and_watches()


def _word(address: tuple[str, int]) -> str:
    return ask(address, request("/")).body.decode().partition(" ")[0]


def _save(folder: Path, word: str, name: str = "web.py") -> None:
    (folder / name).write_text(APP.replace('"one"', f'"{word}"'))


def _children(pid: int, dead: bool = False) -> list[int]:
    """The living ones, or those that nobody has waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[1]) == pid and (stat[0] == "Z") == dead:
                found.append(int(entry.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestChange:
    @pytest.mark.parametrize("engine", ["watchfiles", "poll"])
    def test_the_next_request_has_the_new_code(self, folder: Path, engine: str) -> None:
        with _running(folder, "--reload-engine", engine) as (process, address):
            assert _word(address) == "one"
            _save(folder, "two")
            process.until(r"reloading: web\.py has changed")
            process.until("reloaded in")
            assert _word(address) == "two"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0

    def test_no_request_fails_while_it_is_saved_ten_times(self, folder: Path) -> None:
        answers: list[str] = []
        failures: list[Exception] = []
        ends = threading.Event()
        kept = http.client.HTTPConnection("")

        with _running(folder) as (process, address):

            def ask_again_and_again(ask_once: Callable[[], str]) -> None:
                while not ends.is_set():
                    try:
                        answers.append(ask_once())
                    except Exception as error:
                        failures.append(error)

            def ask_on_the_same_connection() -> str:
                kept.request("GET", "/")
                return kept.getresponse().read().decode().partition(" ")[0]

            kept.host, kept.port = address
            asking = [
                threading.Thread(target=ask_again_and_again, args=[one])
                for one in (ask_on_the_same_connection, lambda: _word(address))
            ]
            for thread in asking:
                thread.start()
            try:
                eventually(lambda: answers)
                for number in range(10):
                    _save(folder, f"w{number}")
                    eventually(lambda word=f"w{number}": word in answers[-1:])  # type: ignore[misc]
            finally:
                ends.set()
                for thread in asking:
                    thread.join(PATIENCE)
                kept.close()
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
        assert failures == []
        assert list(dict.fromkeys(answers)) == ["one", *(f"w{number}" for number in range(10))]

    def test_two_saves_of_the_same_length_in_the_same_second(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        with _running(folder) as (process, address):
            assert _word(address) == "one"
            for word in ("two", "six"):
                _save(folder, word)
                os.utime(folder / "web.py", (1_000_000_000, 1_000_000_000))
                process.until(r"reloading: web\.py has changed")
                process.until("reloaded in")
                assert _word(address) == word

    def test_a_touched_file_restarts_nothing(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            pid = ask(address, request("/")).body
            os.utime(folder / "web.py")
            (folder / "note.txt").write_text("no code")
            (folder / "new.py").write_text("")  # seen after the touch
            process.until(r"reloading: new\.py has changed$")
            process.until("reloaded in")
            assert ask(address, request("/")).body != pid

    def test_a_module_that_a_view_imports_later(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "later.py").write_text("")
        _save(folder, "one")
        (folder / "web.py").write_text(f"import sys\nsys.path.append({str(elsewhere)!r})\n" + APP)
        with _running(folder) as (process, address):
            assert ask(address, request("/later")).status == 200
            (elsewhere / "later.py").write_text("x = 1")
            process.until(r"reloading: .*later\.py has changed")

    def test_a_template_that_a_setting_names(self, folder: Path) -> None:
        (folder / "templates").mkdir()
        (folder / "templates" / "page.html").write_text("a")
        with _running(folder, "--reload-extra-file", "templates") as (process, _):
            (folder / "templates" / "page.html").write_text("b")
            process.until(r"reloading: templates/page\.html has changed")

    def test_all_workers_are_new(self, folder: Path) -> None:
        with _running(folder, "--workers", "2") as (process, address):
            _save(folder, "two")
            process.until("reloaded in")
            assert {_word(address) for _ in range(20)} == {"two"}

    def test_an_event_stream_ends_and_a_kept_connection_is_closed(self, folder: Path) -> None:
        with (
            _running(folder) as (_, address),
            RawClient(address) as kept,
            socket.create_connection(address, PATIENCE) as stream,
        ):
            kept.get("/")
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"data: x" in stream.recv(65536)
            _save(folder, "two")
            assert kept.rest() == b""
            while stream.recv(65536):
                pass
            assert _word(address) == "two"

    def test_a_websocket_is_told_that_the_server_restarts(self, folder: Path) -> None:
        (folder / "web.py").write_text(
            "from greenserve import WebSocketWSGI\n"
            "@WebSocketWSGI\n"
            "def app(ws):\n"
            "    while (message := ws.wait()) is not None:\n"
            "        ws.send(message)\n"
        )
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        with _running(folder) as (_, address), connect(f"ws://127.0.0.1:{address[1]}/", proxy=None) as client:
            client.send("a")
            assert client.recv() == "a"
            (folder / "web.py").write_text((folder / "web.py").read_text() + "\n# saved\n")
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(PATIENCE)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1012

    def test_a_request_that_hangs_delays_it_by_a_second_at_most(self, folder: Path) -> None:
        with _running(folder) as (process, address), socket.create_connection(address) as hanging:
            hanging.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
            process.until("hang begun")
            began = time.monotonic()
            _save(folder, "two")
            process.until("reloaded in")
            assert _word(address) == "two"
            assert time.monotonic() - began < 4 + 5000 * MS


class TestFailure:
    def test_a_page_says_what_is_wrong_until_the_next_save(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            (folder / "web.py").write_text(APP + "\ndef (\n")
            process.until("can't import web: SyntaxError")
            answer = ask(address, request("/any/where", "GET", b"", "Accept: text/html"))
            assert answer.status == 500
            assert b"SyntaxError" in answer.body
            assert b"<b>web.py</b>, line " in answer.body
            text = ask(address, request("/"))
            assert (text.status, text.body.startswith(b"can't import web: SyntaxError")) == (500, True)
            _save(folder, "two")
            process.until("reloaded in")
            assert _word(address) == "two"

    def test_at_the_first_start_too(self, folder: Path) -> None:
        (folder / "web.py").write_text("import nothing_of_this_name\n" + APP)
        with _running(folder) as (process, address):
            assert b"nothing_of_this_name" in ask(address, request("/")).body
            (folder / "nothing_of_this_name.py").write_text("")
            process.until("reloaded in")
            assert _word(address) == "one"

    def test_the_page_waits_by_an_event_stream_that_ends_with_its_worker(self, folder: Path) -> None:
        (folder / "web.py").write_text("def (")
        with _running(folder) as (process, address), socket.create_connection(address, PATIENCE) as stream:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
            begun = b""
            while b"event: version" not in begun:
                begun += stream.recv(65536)
            _save(folder, "two")
            while stream.recv(65536):
                pass
            assert _word(address) == "two"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert "that the stop gave it" not in process.text  # it was not ended by force

    def test_an_import_that_hangs_is_mended_by_a_save(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            (folder / "web.py").write_text(
                "import sys\nsys.stderr.write('hangs\\n')\nwhile True:\n    pass\n"
            )
            process.until("hangs")
            _save(folder, "two")
            process.until("reloaded in")
            assert _word(address) == "two"

    def test_without_reload_there_is_none_of_it(self, folder: Path) -> None:
        (folder / "web.py").write_text("def (")
        arguments = ["-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--workers", "2"]
        with command(*arguments, folder=folder) as process:
            assert process.ended() == 3


class TestEnd:
    def test_nothing_is_left_of_it(self, folder: Path) -> None:
        with _running(folder) as (process, _):
            children = _children(process.process.pid)
            assert len(children) == 2
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert not any(map(_is_alive, children))

    def test_nor_when_the_master_is_killed(self, folder: Path) -> None:
        with _running(folder) as (process, _):
            children = _children(process.process.pid)
            process.signal(signal.SIGKILL)
            eventually(lambda: not any(map(_is_alive, children)), "the end of its children")

    def test_a_watcher_that_dies_is_told_and_another_one_sees_what_was_missed(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            command_lines = {
                pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in _children(process.process.pid)
            }
            (watcher,) = (pid for pid, line in command_lines.items() if "reloading.watcher" in line)
            os.kill(watcher, signal.SIGKILL)
            process.until(r"watches files has ended \(-9\); it starts again in 1 s")
            _save(folder, "two")
            process.until("reloaded in")
            assert _word(address) == "two"


class TestOtherReloads:
    def test_sighup(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            before = ask(address, request("/")).body
            process.signal(signal.SIGHUP)
            process.until("reloaded: the worker is new")
            # The old one accepts for a moment more.
            eventually(lambda: ask(address, request("/")).body != before, "the new worker")
            _save(folder, "two")
            process.until(r"web\.py has changed")
            process.until("reloaded in")
            assert _word(address) == "two"

    def test_sigusr2_leaves_no_watcher_behind(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            before = set(_children(process.process.pid))
            process.signal(signal.SIGUSR2)
            process.until("files are watched")
            pid = process.process.pid
            eventually(
                lambda: not before & {*_children(pid), *_children(pid, dead=True)}, "the end of the old ones"
            )
            assert len(_children(pid)) == 2
            _save(folder, "two")
            process.until(r"web\.py has changed")
            process.until("reloaded in")
            assert _word(address) == "two"


class TestSettings:
    def test_a_public_address_is_warned_of(self, folder: Path) -> None:
        arguments = ["-m", "greenserve", "web:app", "--bind", "0.0.0.0:0", "--reload"]
        with command(*arguments, folder=folder) as process:
            process.until(r"warning: --reload at 0\.0\.0\.0:0: everyone")

    def test_preload_is_refused(self, folder: Path) -> None:
        with command("-m", "greenserve", "web:app", "--preload", "--reload", folder=folder) as process:
            assert process.ended() == 2
            assert "leave preload out" in process.text

    def test_editors_that_delete_or_rename(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            _save(folder, "two", "web.py.new")
            (folder / "web.py.new").rename(folder / "web.py")
            process.until("reloaded in")
            assert _word(address) == "two"
            (folder / "web.py").unlink()
            _save(folder, "three")
            process.until("reloading")
            eventually(lambda: _word(address) == "three")
            shutil.copytree(folder, folder / "package", ignore=lambda *_: ["package"])
            process.until("reloading: .*package/web.py")
