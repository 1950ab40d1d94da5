"""Requests go on when their log cannot be written: full disk, gone file, a reader that left or stands still."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command
from tests.support.servers.apps import path
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

from greenserve import Server
from greenserve.logs import files as log_file

_APP = """
def app(environ, start_response):
    environ["wsgi.errors"].write("x" * 100 + "\\n")
    start_response("200 OK", [])
    return [b"fine"]
"""
_LOST = "log lines are being lost"


def _lost(server: Server) -> int:
    assert server.access_log is not None
    return server.access_log.lost


def _serve(server: Server, count: int) -> None:
    """So many requests on one connection, all answered, and their lines written or lost."""
    with RawClient(server.address) as client:
        for _ in range(count):
            assert client.get("/a").body == b"/a"
    log = server.access_log
    assert log is not None
    eventually(lambda: not log._kept, "the end of the turn, in which lines are written")


def test_a_disk_that_is_full_from_the_start(caplog: pytest.LogCaptureFixture) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("Linux's full disk")
    with serving(path, access_logfile="/dev/full") as server:
        _serve(server, 50)
    assert _lost(server) == 50
    (message,) = caplog.messages
    assert message.endswith(f"{_LOST}: No space left on device")


def test_a_disk_that_fills_up_and_is_emptied_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, line: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "access.log"
    with serving(path, access_logfile=str(file)) as server:
        for round_ in (1, 2):
            _serve(server, 5)
            monkeypatch.setattr(log_file, "_os_write", full)
            _serve(server, 7)
            monkeypatch.undo()
            _serve(server, 5)
            assert _lost(server) == round_ * 7
    assert [message.split(": ", 2)[2] for message in caplog.messages] == [
        f"{_LOST}: No space left on device",
        "logging works again, 7 lines were lost",
    ] * 2
    assert file.read_text().count("\n") == 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few pages."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("needs mount")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_for_real(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(60 * 1024))
    file = small_disk / "access.log"
    with serving(path, access_logfile=str(file)) as server:
        _serve(server, 300)  # 4 KiB are some 60 lines
        assert _lost(server) > 200
        filler.unlink()
        _serve(server, 10)
        lost = _lost(server)
    first, last = caplog.messages
    assert _LOST in first
    assert last.endswith(f"logging works again, {lost} lines were lost")
    text = file.read_text()
    assert all(line.startswith("127.0.0.1") for line in text.splitlines()[-10:])


def test_a_file_that_is_deleted_comes_back_with_a_reopen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "LOOK_AGAIN", 3600.0)  # or it would be noticed
    file = tmp_path / "access.log"
    with serving(path, access_logfile=str(file)) as server:
        _serve(server, 3)
        file.unlink()
        _serve(server, 3)
        assert not file.exists()
        assert server.access_log is not None
        server.hub.call_from_thread(server.access_log.reopen)
        _serve(server, 3)
    assert file.read_text().count("\n") == 3
    assert _lost(server) == 0


def test_a_folder_that_can_be_written_to_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with serving(path, access_logfile=str(folder / "access.log")) as server:
        folder.rename(tmp_path / "moved")
        assert server.access_log is not None
        server.hub.call_from_thread(server.access_log.reopen)
        _serve(server, 3)
    assert (tmp_path / "moved" / "access.log").read_text().count("\n") == 3
    (message,) = caplog.messages
    assert "can't be reopened, keeping the old file" in message


class TestCommand:
    """stdout holds the access log and stderr the error log and what apps say; both are pipes here."""

    def test_a_stdout_whose_reader_has_gone(self, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(_APP)
        with command("-m", "greenserve", "app:app", "--bind", "127.0.0.1:0", folder=tmp_path) as running:
            port = int(running.until(r"listening at http://127\.0\.0\.1:(\d+)")[1])
            assert running.process.stdout is not None
            running.process.stdout.close()
            for _ in range(5):
                assert ask(("127.0.0.1", port), request()).body == b"fine"
            running.signal(signal.SIGTERM)
            assert running.ended() == 0
        assert running.text.count("Broken pipe") == 1

    def test_a_stdout_that_nobody_reads(self, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(_APP)
        with command("-m", "greenserve", "app:app", "--bind", "127.0.0.1:0", folder=tmp_path) as running:
            port = int(running.until(r"listening at http://127\.0\.0\.1:(\d+)")[1])
            with RawClient(("127.0.0.1", port)) as client:
                for _ in range(1500):  # of which each leaves some 80 bytes; a pipe holds 64 KiB
                    assert client.get("/" + "a" * 50).body == b"fine"
            running.signal(signal.SIGTERM)
            assert running.ended() == 0
        assert running.text.count("its reader does not read") == 1

    @pytest.mark.parametrize("how", ["closed", "no reader"])
    def test_a_stderr_that_is_gone(self, how: str, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(_APP)
        server = f"{sys.executable} -m greenserve app:app --bind unix:{tmp_path}/socket"
        line = f"exec {server} 2>&-" if how == "closed" else f"exec 2> {tmp_path}/fifo; exec {server}"
        os.mkfifo(tmp_path / "fifo")
        reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        with command(
            "-c", "import os, sys; os.execvp('sh', ['sh', '-c', sys.argv[1]])", line, folder=tmp_path
        ) as running:
            eventually(lambda: _answers(tmp_path / "socket"), "the server")
            os.close(reading)
            for _ in range(5):
                assert ask(f"{tmp_path}/socket", request()).body == b"fine"
            running.signal(signal.SIGTERM)
            assert running.process.wait(PATIENCE) == 0


def _answers(socket_file: Path) -> bool:
    try:
        return ask(str(socket_file), request()).status == 200
    except OSError:
        return False
