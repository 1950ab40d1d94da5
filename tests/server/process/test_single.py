"""single: the command as a process: what it says, how it stops, and with which code."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import Command, command
from tests.support.servers.certificates import client_context, issue
from tests.support.times import MS, PATIENCE

_APP = """
import sys
from greenserve import sleep, threads

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/long":
        environ["wsgi.errors"].write("long begun\\n")
        sleep(float(environ["QUERY_STRING"]))
    elif path == "/stubborn":
        environ["wsgi.errors"].write("stubborn begun\\n")
        while True:
            try:
                sleep(1000)
            except BaseException:
                pass
    elif path == "/threads":
        path = str(threads.get_size())
    elif path == "/exit":
        sys.exit(7)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [path.encode()]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.py").write_text(_APP)
    return tmp_path


@contextmanager
def _running(folder: Path, *arguments: str, **kwargs: Any) -> Iterator[tuple[Command, tuple[str, int]]]:
    """The command, started, with the address it says it listens at."""
    bind = (
        []
        if any(argument.startswith(("-b", "--bind")) for argument in arguments)
        else ["--bind", "127.0.0.1:0"]
    )
    with command("-m", "greenserve", "web:app", *bind, *arguments, folder=folder, **kwargs) as process:
        yield process, process.listens()


class TestStart:
    def test_it_says_where_it_listens_and_how_to_stop_it(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            assert process.until(r"process (\d+), [^;]+; stop it with Ctrl-C or `kill (\d+)`")[1] == str(
                process.process.pid
            )
            assert ask(address, request("/a")).body == b"/a"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert process.process.stdout is not None
            assert '"GET /a HTTP/1.1" 200 2' in process.process.stdout.read()

    def test_a_kept_connection_is_answered_once_more_after_sigterm(self, folder: Path) -> None:
        with _running(folder) as (process, address), RawClient(address) as client:
            assert not client.get("/a").closes
            process.signal(signal.SIGTERM)
            process.until("SIGTERM: stopping")
            client.sock.settimeout(100 * MS)
            with pytest.raises(TimeoutError):
                client.more()  # it is not closed
            client.sock.settimeout(PATIENCE)
            answer = client.get("/b")
            assert (answer.body, answer.closes, client.rest()) == (b"/b", True, b"")
            assert process.ended() == 0

    @pytest.mark.parametrize(
        "options",
        [
            ["-X", "dev"],
            pytest.param(
                ["-X", "lazy_imports=all"],
                marks=pytest.mark.skipif(sys.version_info < (3, 15), reason="an option of Python 3.15"),
            ),
        ],
    )
    def test_python_itself_has_nothing_to_tell(self, folder: Path, options: list[str]) -> None:
        arguments = [*options, "-W", "error", "-m", "greenserve", "web:app", "--bind", "127.0.0.1:0"]
        arguments += ["--block-threshold", "off"]  # on a busy machine the watchdog has something to tell
        with command(*arguments, folder=folder) as process:
            port = int(process.until(r"listening at http://.*:(\d+)$")[1])
            assert ask(("127.0.0.1", port), request("/a")).body == b"/a"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert [line for line in process.said if "] info: " not in line] == []

    def test_at_each_of_its_addresses(self, folder: Path) -> None:
        binds = ["--bind", "[::1]:0", "--bind", f"unix:{folder}/socket", "--bind", "127.0.0.1:0"]
        with _running(folder, *binds) as (process, address):
            assert ask(address, request("/a")).body == b"/a"
            process.until(f"listening at http.unix:{folder}/socket")
            assert ask(f"{folder}/socket", request("/a")).body == b"/a"
            found = process.until(r"listening at http://127.0.0.1:(\d+)")
            assert ask(("127.0.0.1", int(found[1])), request("/a")).body == b"/a"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
        assert not (folder / "socket").exists()

    def test_an_address_that_stands_for_all_is_told_as_such(self, folder: Path) -> None:
        with command("-m", "greenserve", "web:app", "--bind", "0.0.0.0:0", folder=folder) as process:
            process.until(
                r"listening at http://127\.0\.0\.1:\d+ and at all other IPv4 addresses of this machine \(0\.0\.0\.0\)$"
            )
            process.signal(signal.SIGTERM)
            assert process.ended() == 0

    def test_on_a_descriptor_it_was_given(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            bind = f"--bind=fd://{sock.fileno()}"
            with _running(folder, bind, pass_fds=(sock.fileno(),)) as (process, address):
                assert address == sock.getsockname()
                assert ask(address, request("/a")).body == b"/a"
                process.signal(signal.SIGTERM)
                assert process.ended() == 0

    def test_a_port_in_use_is_one_line_and_exit_4(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            bind = f"127.0.0.1:{taken.getsockname()[1]}"
            with command("-m", "greenserve", "web:app", "--bind", bind, folder=folder) as process:
                assert process.ended() == 4
        assert process.said == [
            f"greenserve: cannot listen at {bind}: something listens there already; "
            "stop it, or choose another --bind (port 0 takes a free one)\n"
        ]

    def test_an_app_that_cannot_be_imported_is_exit_3(self, folder: Path) -> None:
        with command("-m", "greenserve", "none:app", "--bind", "127.0.0.1:0", folder=folder) as process:
            assert process.ended() == 3

    def test_too_few_descriptors_are_told(self, folder: Path) -> None:
        with command(
            "-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", folder=folder, limit=100
        ) as process:
            assert process.until(r"only (\d+) descriptors.*limit_connections = 10000")[1] == "100"
            process.until("listening at")
            process.signal(signal.SIGTERM)
            assert process.ended() == 0


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_an_idle_server_stops_at_once(self, folder: Path, number: signal.Signals) -> None:
        with _running(folder) as (process, address), RawClient(address) as idle:
            idle.get()
            process.signal(number)
            assert idle.rest() == b""
            assert process.ended() == 0
            assert f"{number.name}: stopping; 0 requests run" in process.text
            assert process.said[-1].endswith("info: stopped\n")

    def test_who_reads_where_it_listens_may_stop_it_at_once(self, folder: Path) -> None:
        for _ in range(3):
            with _running(folder) as (process, _):
                process.signal(signal.SIGTERM)
                assert process.ended() == 0

    def test_what_runs_may_finish(self, folder: Path) -> None:
        with _running(folder) as (process, address), RawClient(address) as client:
            client.send(request("/long?0.2"))
            process.until("long begun")
            process.signal(signal.SIGTERM)
            process.until("stopping; 1 requests run, for at most 30 s more")
            answer = client.answer()
            assert (answer.body, answer.closes, client.rest()) == (b"/long", True, b"")
            assert process.ended() == 0

    def test_what_takes_too_long_is_ended_and_said(self, folder: Path) -> None:
        with (
            _running(folder, "--graceful-timeout", "50ms") as (process, address),
            RawClient(address) as client,
        ):
            client.send(request("/long?1000"))
            process.until("long begun")
            process.signal(signal.SIGTERM)
            assert client.answer().status == 503
            assert process.ended() == 0
            assert "ended after graceful_timeout: <127.0.0.1:" in process.text
            assert "GET /long?1000" in process.text

    def test_an_app_that_will_not_end_does_not_hold_it_up(self, folder: Path) -> None:
        with (
            _running(folder, "--graceful-timeout", "off") as (process, address),
            RawClient(address) as client,
        ):
            client.send(request("/stubborn"))
            process.until("stubborn begun")
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert "GET /stubborn" in process.text

    def test_a_second_sigint_stops_at_once(self, folder: Path) -> None:
        with _running(folder) as (process, address), RawClient(address) as client:
            client.send(request("/long?1000"))
            process.until("long begun")
            process.signal(signal.SIGINT)
            process.until("SIGINT: stopping; 1 requests run")
            process.signal(signal.SIGINT)
            process.until("SIGINT while stopping: stopping at once")
            assert client.answer().status == 503
            assert process.ended() == 0

    def test_a_second_sigterm_does_not(self, folder: Path) -> None:
        with _running(folder) as (process, address), RawClient(address) as client:
            client.send(request("/long?0.3"))
            process.until("long begun")
            for _ in range(2):
                process.signal(signal.SIGTERM)
            assert client.answer().body == b"/long"
            assert process.ended() == 0
            assert process.text.count("stopping") == 1

    def test_sigint_after_sigterm_stops_at_once(self, folder: Path) -> None:
        with _running(folder) as (process, address), RawClient(address) as client:
            client.send(request("/long?1000"))
            process.until("long begun")
            process.signal(signal.SIGTERM)
            process.until("stopping")
            process.signal(signal.SIGINT)
            assert client.answer().status == 503
            assert process.ended() == 0

    def test_an_app_that_exits_ends_its_request_only(self, folder: Path) -> None:
        with _running(folder) as (process, address):
            assert ask(address, request("/exit")).status == 500
            assert ask(address, request("/a")).body == b"/a"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
            assert "SystemExit: 7" in process.text

    def test_the_number_of_os_threads_is_a_setting(self, folder: Path) -> None:
        for arguments, size in (((), b"20"), (("--threadpool-size", "3"), b"3")):
            with _running(folder, *arguments) as (process, address):
                assert ask(address, request("/threads")).body == size
                process.signal(signal.SIGTERM)
                assert process.ended() == 0


class TestRun:
    """greenserve.run(): the same from a program."""

    _PROGRAM = """
import signal
import greenserve
import web

before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
code = greenserve.run(web.app, bind="127.0.0.1:0", access_logfile="off")
assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
print("ended with", code)
"""

    def test_it_returns_when_a_signal_has_stopped_it(self, folder: Path) -> None:
        (folder / "program.py").write_text(self._PROGRAM)
        with command("program.py", folder=folder) as process:
            port = int(process.until(r"listening at http://127.0.0.1:(\d+)")[1])
            assert ask(("127.0.0.1", port), request("/a")).body == b"/a"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0, process.text
            assert process.process.stdout is not None
            assert process.process.stdout.read() == "ended with 0\n"

    def test_it_runs_again(self, folder: Path) -> None:
        (folder / "program.py").write_text(self._PROGRAM * 2)
        with command("program.py", folder=folder) as process:
            for _ in range(2):
                process.until("listening at")
                process.signal(signal.SIGINT)
                process.until("info: stopped")
            assert process.ended() == 0, process.text

    def test_its_errors_are_raised(self, folder: Path) -> None:
        (folder / "program.py").write_text(
            "import greenserve, web\n"
            "try:\n    greenserve.run(web.app, bind='192.0.2.1:80')\n"
            "except greenserve.ConfigError as error:\n    raise SystemExit(str(error))\n"
        )
        with command("program.py", folder=folder) as process:
            assert process.ended() == 1
            assert "cannot listen at 192.0.2.1:80" in process.text


def test_an_access_log_that_nobody_reads_any_more_harms_no_request(folder: Path) -> None:
    with _running(folder) as (process, address):
        assert process.process.stdout is not None
        process.process.stdout.close()
        for number in range(3):
            assert ask(address, request(f"/{number}")).status == 200
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert "access log" in process.text


class TestTLS:
    """In a program that is patched, as the command does."""

    @contextmanager
    def running(self, folder: Path, *arguments: str) -> Iterator[tuple[Command, tuple[str, int]]]:
        issue(folder / "server.pem", "localhost", "first.example")
        command_line = [
            "-m",
            "greenserve",
            "web:app",
            "--bind",
            "127.0.0.1:0",
            "--certfile",
            "server.pem",
            *arguments,
        ]
        with command(*command_line, folder=folder) as process:
            found = process.until(r"listening at https://(.*):(\d+)$")
            yield process, (found[1], int(found[2]))

    def names(self, address: tuple[str, int]) -> set[str]:
        with RawClient(address, tls=client_context()) as client:
            assert client.get("/x").body == b"/x"
            certificate = client.sock.getpeercert()  # type: ignore[attr-defined]
            return {entry[1] for entry in certificate["subjectAltName"]}

    def test_hangup_reads_the_certificates_anew(self, folder: Path) -> None:
        with self.running(folder) as (process, address):
            process.until("stop it with")
            assert "first.example" in self.names(address)
            with RawClient(address, tls=client_context()) as open_before:
                for number in range(3):
                    issue(folder / "server.pem", "localhost", f"n{number}.example")
                    process.signal(signal.SIGHUP)
                    process.until(rf"certificates reloaded: .*n{number}\.example.* until ")
                    assert f"n{number}.example" in self.names(address)
                (folder / "server.pem").write_text("nothing")
                process.signal(signal.SIGHUP)
                process.until(
                    "error: certificate reload failed, keeping the current ones: certfile: server.pem"
                )
                assert "n2.example" in self.names(address)
                assert open_before.get("/still").body == b"/still"
            process.signal(signal.SIGTERM)
            assert process.ended() == 0

    def test_a_changed_file_is_found(self, folder: Path) -> None:
        with self.running(folder) as (process, address):
            issue(folder / "server.pem", "localhost", "second.example")
            process.until("certificates reloaded")
            assert "second.example" in self.names(address)

    def test_a_redirecting_address(self, folder: Path) -> None:
        with self.running(folder, "--redirect-bind", "127.0.0.1:0") as (process, address):
            port = int(process.until(r"redirecting http://127\.0\.0\.1:(\d+) to https")[1])
            answer = ask(("127.0.0.1", port), request("/there"))
            assert (answer.status, answer["location"]) == (308, f"https://x:{address[1]}/there")

    def test_a_certificate_that_is_none(self, folder: Path) -> None:
        with command("-m", "greenserve", "web:app", "--certfile", "missing.pem", folder=folder) as process:
            assert process.ended() == 2
            assert process.text == "greenserve: certfile: missing.pem: No such file or directory\n"
