"""holding: what helps, by the frames of an OS thread that waits. How serve() uses it: test_embedding.py."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import command
from tests.support.times import MS, PATIENCE, eventually

from greenserve.process.holding import advice


@contextmanager
def _waiting(wait: Callable[[], object], until: Callable[[FrameType], bool]) -> Iterator[FrameType]:
    """The innermost frame of an OS thread that runs `wait`, once it is where it waits."""
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()

    def frame() -> FrameType | None:
        return sys._current_frames().get(thread.ident or 0)

    eventually(lambda: (found := frame()) is not None and until(found), "the wait")
    found = frame()
    assert found is not None
    yield found
    del found
    thread.join(PATIENCE)
    assert not thread.is_alive()


class _Shop:
    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, timeout=200 * MS, check_same_thread=False)

    def sell(self) -> None:
        self.db.execute("insert into sold values (1)")


def test_sqlite_that_waits_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    other = sqlite3.connect(path)
    other.execute("create table sold (what)")
    other.commit()
    other.execute("begin exclusive")
    shop = _Shop(path)
    connection = shop.db

    def by_a_variable() -> None:
        connection.execute("insert into sold values (1)")

    def quietly(call: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                call()

        return run

    for call, begins in ((shop.sell, "SQLite waits"), (by_a_variable, "SQLite waits")):
        with _waiting(quietly(call), lambda frame, call=call: frame.f_code.co_name == call.__name__) as frame:  # type: ignore[misc]
            helpful = advice(frame)
        assert helpful.startswith(begins)
        assert "connect with timeout=0" in helpful
        assert "greenserve.threads.execute()" in helpful
    shop.db.close()
    other.close()


def _in(module: str, source: str, **names: Any) -> Callable[[], object]:
    """A function as if it stood in a module of that name."""
    scope = {"__name__": module, **names}
    exec(compile(source, f"{module}.py", "exec"), scope)
    wait: Callable[[], object] = scope["wait"]
    return wait


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("grpc._channel", "gRPC waits in C"),
        ("MySQLdb.cursors", "mysqlclient waits in C"),
        ("oracledb", "oracledb waits in C"),
        ("pyodbc", "pyodbc waits in C"),
        ("web", "nothing in this program is patched"),
        (__name__, "nothing in this program is patched"),
    ],
)
def test_a_library_is_known_by_its_modules(module: str, says: str) -> None:
    lock = threading.Lock()
    lock.acquire()
    wait = _in(module, "def wait():\n    lock.acquire()\n", lock=lock)
    # Between the library's own frame and the wait there may be some of the standard library's.
    with _waiting(wait, lambda frame: frame.f_code.co_name == "wait") as frame:
        helpful = advice(frame)
        lock.release()
    assert says in helpful
    assert "greenserve.threads.execute()" in helpful


def test_a_thread_that_has_ended_is_no_error() -> None:
    assert "greenserve.threads.execute()" in advice(None)


_APP = """
import sqlite3

other = sqlite3.connect("shop.db", check_same_thread=False)
other.execute("create table sold (what)")
other.commit()
other.execute("begin exclusive")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/sqlite":
        db = sqlite3.connect("shop.db", timeout=0.5)
        try:
            db.execute("insert into sold values (1)")
        except sqlite3.OperationalError:
            pass
        db.close()
    elif environ["PATH_INFO"] == "/compute":
        sum(number * number for number in range(3_000_000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


def test_the_log_of_the_command_says_what_helps(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_APP)
    call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--block-threshold", "50ms")
    with command(*call, folder=tmp_path) as process:
        port = int(process.until(r"listening at http://127\.0\.0\.1:(\d+)")[1])
        process.until("stop it with")
        assert ask(("127.0.0.1", port), request("/sqlite")).body == b"done"
        process.until("a green thread holds the hub")
        process.until("db.execute")
        process.until("SQLite waits in C .*greenserve.threads.execute")
        assert ask(("127.0.0.1", port), request("/compute")).body == b"done"
        process.until("a green thread holds the hub")
        process.until("code that computes, or waits in C, .* in an OS thread: greenserve.threads.execute")


_PROGRAM = """
import sys, time
import greenserve

def app(environ, start_response):
    time.sleep(0.2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]

sys.exit(greenserve.run(app, bind="127.0.0.1:0", block_threshold="50ms"))
"""


def test_the_log_of_a_program_that_is_not_patched_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)
    with command("program.py", folder=tmp_path) as process:
        port = int(process.until(r"listening at http://127\.0\.0\.1:(\d+)")[1])
        process.until("stop it with")
        for _ in range(2):
            assert ask(("127.0.0.1", port), request()).body == b"done"
            process.until("a green thread holds the hub")
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert process.text.count("nothing in this program is patched") == 1
