"""notifying: what systemd hears, at a socket with a file and at an abstract one; and that nothing of it harms."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.programs.commands import command
from tests.support.times import PATIENCE

from greenserve.process.notifying import Watchdog, notify


@contextmanager
def _listening(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket like systemd's, which NOTIFY_SOCKET names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address[0] == "@" else address)
        sock.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield sock


def _addresses(folder: Path) -> list[str]:
    return [f"{folder}/notify", f"@greenserve-test-{os.getpid()}"]


def test_both_kinds_of_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in _addresses(tmp_path):
        with _listening(address, monkeypatch) as sock:
            notify("READY=1", "STATUS=here")
            assert sock.recv(1000) == b"READY=1\nSTATUS=here"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "nonsense"])
def test_nobody_is_told_where_there_is_no_socket(
    address: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
    assert caplog.messages == []


def test_a_socket_that_is_gone_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/none")
    notify("READY=1")
    (message,) = caplog.messages
    assert "READY=1" in message
    assert "No such file" in message


class TestWatchdog:
    def test_tells_in_half_of_the_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr("greenserve.process.notifying.time.monotonic", lambda: now[0])
        watchdog = Watchdog.of({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
        with _listening(f"{tmp_path}/notify", monkeypatch) as sock:
            sock.settimeout(0)
            told = []
            for now[0] in (100.0, 105.0, 109.9, 110.0, 119.9, 120.1):
                watchdog.ping()
                try:
                    told.append((now[0], sock.recv(1000)))
                except BlockingIOError:
                    continue
        assert told == [(100.0, b"WATCHDOG=1"), (110.0, b"WATCHDOG=1"), (120.1, b"WATCHDOG=1")]

    @pytest.mark.parametrize(
        "environ", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "often"}]
    )
    def test_is_silent_where_nobody_asks(
        self, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with _listening(f"{tmp_path}/notify", monkeypatch) as sock:
            sock.settimeout(0)
            Watchdog.of(environ).ping()
            with pytest.raises(BlockingIOError):
                sock.recv(1000)

    @pytest.mark.parametrize(("seconds", "asked"), [(120.0, 140_000_000), (0.0, 0)], ids=["limit", "none"])
    def test_asks_for_more_time_and_gives_it_back_with_the_next_ping(
        self, seconds: float, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environ = {"WATCHDOG_USEC": "20000000"}
        with _listening(f"{tmp_path}/notify", monkeypatch) as sock:
            before = Watchdog.of(environ)
            before.ping()
            before.extend(seconds)
            assert [sock.recv(1000), sock.recv(1000)] == [
                b"WATCHDOG=1",
                f"WATCHDOG_USEC={asked}\nWATCHDOG=1".encode(),
            ]
            for one in (
                before,
                Watchdog.of(environ, is_extended=True),
            ):  # the next program does not start, or does
                one.ping()
                one.ping()
                assert sock.recv(1000) == b"WATCHDOG_USEC=20000000\nWATCHDOG=1"
            sock.settimeout(0)
            Watchdog.of({}).extend(seconds)
            with pytest.raises(BlockingIOError):
                sock.recv(1000)


def test_systemd_has_patience_while_the_next_program_imports_its_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web.py").write_text(_APP)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--workers", "1", "--preload")
    with _listening(f"{tmp_path}/notify", monkeypatch) as sock, command(*call, folder=tmp_path) as process:
        process.until("runs as process")
        process.signal(signal.SIGUSR2)
        told = []
        while told[-1:] != ["WATCHDOG_USEC=60000000\nWATCHDOG=1"]:
            told.append(sock.recv(1000).decode())
        assert "WATCHDOG_USEC=180000000\nWATCHDOG=1" in told
        process.until("reloaded")


def test_a_master_tells_of_each_reload_and_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Type=notify-reload: RELOADING=1 with the moment, then READY=1, whether it succeeds or not."""
    (tmp_path / "web.py").write_text(_APP)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    call = ("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--workers", "1", "--master")
    with _listening(f"{tmp_path}/notify", monkeypatch) as sock:

        def hear() -> str:
            while (told := sock.recv(1000)) == b"WATCHDOG=1":
                pass
            return told.decode()

        with command(*call, folder=tmp_path) as process:
            assert hear() == "READY=1\nSTATUS=serving with 1 worker"
            for content in (_APP, "broken"):
                (tmp_path / "web.py").write_text(content)
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                process.signal(signal.SIGHUP)
                found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=reloading", hear())
                assert found
                assert before <= int(found[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                assert hear() == "READY=1\nSTATUS=serving with 1 worker"
            process.signal(signal.SIGTERM)
            assert hear() == "STOPPING=1\nSTATUS=stopping"
            assert process.ended() == 0
        assert "reload failed" in process.text


_APP = """
import greenserve
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
def broken():
    raise OSError("no database")
"""


def test_the_command_is_ready_when_it_listens_and_says_that_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web.py").write_text(_APP)
    with _listening(f"{tmp_path}/notify", monkeypatch) as sock:
        with command("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", folder=tmp_path) as process:
            ready = sock.recv(1000).decode()
            found = re.fullmatch(r"READY=1\nSTATUS=serving at http://127\.0\.0\.1:(\d+)", ready)
            assert found, ready
            socket.create_connection(("127.0.0.1", int(found[1])), PATIENCE).close()
            process.signal(signal.SIGTERM)
            assert sock.recv(1000) == b"STOPPING=1\nSTATUS=stopping, 0 requests run"
            assert process.ended() == 0
        for app, code in (("web:broken()", 4), ("web:none", 3)):
            with command("-m", "greenserve", app, folder=tmp_path) as process:
                assert process.ended() == code
        sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            sock.recv(1000)
