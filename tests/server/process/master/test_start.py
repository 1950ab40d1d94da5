"""start: the command with workers as a program, on each kind of socket and as another user."""

from __future__ import annotations

import os
import pwd
import signal
import socket
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command
from tests.support.programs.workers import Load, catches, children, say, workers
from tests.support.servers.certificates import client_context, issue
from tests.support.times import eventually

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


def test_the_file_of_a_unix_socket_stays_until_the_master_ends(tmp_path):
    path = tmp_path / "socket"
    with workers(tmp_path, "--bind", f"unix:{path}") as server:
        server.address = str(path)
        with Load(server.address) as load:
            load.goes_on()
            os.kill(server.pids[0], signal.SIGKILL)
            server.until("another one starts now")
            server.signal(signal.SIGHUP)
            server.until("reloaded")
            load.goes_on()
        assert [one for one in load.lost if " again: " not in one] == []
        assert path.is_socket()
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    assert not path.exists()


def test_a_socket_that_was_handed_over_is_served_by_all(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as given:
        arguments = ("--bind", f"fd://{given.fileno()}")
        with workers(tmp_path, *arguments, pass_fds=(given.fileno(),)) as server:
            server.address = given.getsockname()
            with Load(server.address) as load:
                load.goes_on()
                server.signal(signal.SIGHUP)
                server.until("reloaded")
                load.goes_on()
            assert load.lost == []


def test_shared_sockets_lose_nothing_in_a_reload_either(tmp_path):
    with workers(tmp_path, "--worker-sockets", "shared") as server, Load(server.address) as load:
        load.goes_on()
        server.signal(signal.SIGHUP)
        server.until("reloaded")
        load.goes_on()
        assert load.lost == []


def test_tls_and_a_redirect_from_the_plain_port(tmp_path):
    issue(tmp_path / "all.pem", "127.0.0.1")
    with workers(tmp_path, "--certfile", "all.pem", "--redirect-bind", "127.0.0.1:0") as server:
        plain = ("127.0.0.1", int(server_port(server.text, "redirecting")))
        for _ in range(3):
            with RawClient(server.address, tls=client_context(), server_name="127.0.0.1") as client:
                assert client.get("/", "Connection: close").status == 200
            with RawClient(plain) as client:
                answer = client.get("/x", "Connection: close")
                assert answer["location"].startswith(f"https://x:{server.address[1]}/x")
            server.signal(signal.SIGHUP)
            server.until("reloaded")


def server_port(text: str, what: str) -> str:
    (line,) = (line for line in text.splitlines() if what in line)
    return line.partition("http://")[2].partition(" ")[0].rpartition(":")[2]


def _may_all_read(path: str) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in Path(path).parents)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not _may_all_read(os.__file__), reason="this Python is root's own")
def test_workers_run_as_another_user_with_a_key_that_only_root_can_read(tmp_path):
    issue(tmp_path / "all.pem", "127.0.0.1")
    (tmp_path / "all.pem").chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):  # the app must be readable
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with workers(tmp_path, "--certfile", "all.pem", "--user", "nobody") as server:
        owners = {os.stat(f"/proc/{pid}").st_uid for pid in server.pids}
        assert owners == {pwd.getpwnam("nobody").pw_uid}
        assert os.stat(f"/proc/{server.process.pid}").st_uid == 0
        with RawClient(server.address, tls=client_context(), server_name="127.0.0.1") as client:
            assert client.get("/file?/etc/hostname").status == 200
            assert client.get(f"/file?{tmp_path / 'all.pem'}").status == 500
        before = set(server.pids)
        server.signal(signal.SIGHUP)
        eventually(lambda: len(server.pids) == 2 and not before & set(server.pids), "new workers")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not _may_all_read(os.__file__), reason="this Python is root's own")
def test_logs_in_a_folder_of_root_are_reopened_by_workers_of_another_user(tmp_path):
    for folder in (tmp_path, *tmp_path.parents):  # the app must be readable
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    say(tmp_path, "one")
    options = ("--bind", f"unix:{tmp_path}/socket", "--workers", "2", "--user", "nobody")
    options += ("--error-logfile", "e.log", "--access-logfile", "a.log", "--access-log-format", "%U")
    logs = [tmp_path / "e.log", tmp_path / "a.log"]
    with command("-m", "greenserve", "web:app", *options, folder=tmp_path) as process:
        eventually(lambda: logs[0].exists() and "stop it with" in logs[0].read_text(), "the start")
        eventually(
            # SIGTERM is handled last; a handler of SIGUSR1 that ignores it is there from the beginning.
            lambda: [catches(pid, signal.SIGTERM) for pid in children(process.process.pid)] == [True] * 2,
            "workers",
        )
        ask(f"{tmp_path}/socket", request("/before"))
        for log in logs:
            log.rename(log.with_suffix(".old"))
        process.signal(signal.SIGUSR1)
        eventually(lambda: logs[0].exists() and logs[0].read_text().count("are reopened") == 2, "both")
        ask(f"{tmp_path}/socket", request("/after"))
        eventually(lambda: logs[1].read_text() == "/after\n", "the line")
        assert {log.stat().st_uid for log in logs} == {pwd.getpwnam("nobody").pw_uid}
        assert "can't be reopened" not in logs[0].with_suffix(".old").read_text()


def test_umask_env_and_the_number_of_workers_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    (tmp_path / "web.py").write_text(
        "import os\n"
        "umask = os.umask(0)\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [f'{umask:o} {os.environ[\"COLOUR\"]}'.encode()]\n"
    )
    with workers(tmp_path, "--umask", "027", "--env", "COLOUR=a,b=c", count=3, asks=False) as server:
        assert server.ask() == ["27", "a,b=c"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_a_variable_that_is_taken_out_of_the_settings_is_as_it_was_before(tmp_path, monkeypatch, number):
    monkeypatch.setenv("COLOUR", "white")
    monkeypatch.delenv("SHAPE", raising=False)
    (tmp_path / "web.py").write_text(
        "import os\n"
        "umask = os.umask(0)\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        '    return [f\'{umask:o} {os.environ["COLOUR"]} {os.environ.get("SHAPE")}\'.encode()]\n'
    )
    settings = tmp_path / "greenserve.toml"
    settings.write_text('umask = "027"\nenv = ["COLOUR=red", "SHAPE=round"]\n')
    before = os.umask(0o22)
    os.umask(before)
    with workers(tmp_path) as server:
        assert server.ask() == ["27", "red", "round"]
        settings.write_text("")
        server.signal(number)
        server.until("reloaded")
        server.becomes(f"{before:o}", 2)
        assert server.ask() == [f"{before:o}", "white", "None"]
