"""Real databases for one test run: each in a folder of its own, at a unix socket, ended by its pid.

A fixture skips its tests only where the server's program is missing. PostgreSQL and MariaDB refuse root, so all run as
nobody then. None writes to disk what could be left in memory: they live for seconds.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.times import PATIENCE, eventually

CONNECTIONS = 250  # more than any test opens at once
DEBIAN = [
    "/usr/sbin",
    *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
]  # not on everybody's PATH


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *DEBIAN]))
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def unprivileged() -> dict[str, Any]:
    """Popen's keywords for a user that no server refuses."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def own_folder() -> Iterator[Path]:
    """A short path, as a socket's has to be, that nobody may write into."""
    with tempfile.TemporaryDirectory(prefix="greenserve-", ignore_cleanup_errors=True) as folder:
        if user := unprivileged():
            os.chown(folder, user["user"], user["group"])
        yield Path(folder)


@contextmanager
def running(command: list[str], path: Path, is_ready: Callable[[], object]) -> Iterator[None]:
    """A server until the block ends; what it says stands in the failure if it does not start."""
    log = path.with_name("log")
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, **unprivileged()
        )

    def started() -> object:
        assert process.poll() is None, log.read_text()
        return is_ready()

    try:
        eventually(started, command[0])
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def redis() -> Iterator[str]:
    """The path of its socket."""
    command = [program("redis-server"), "--port", "0", "--save", ""]
    with own_folder() as folder:
        path = folder / "socket"
        with running(
            [*command, "--dir", str(folder), "--unixsocket", str(path)], path, lambda: accepts(path)
        ):
            yield str(path)


@contextmanager
def postgres() -> Iterator[str]:
    """Its connection string, as psycopg and psycopg2 take it."""
    initdb, server = program("initdb"), program("postgres")
    with own_folder() as folder:
        data = folder / "data"
        create = [
            initdb,
            "-D",
            str(data),
            "-U",
            "tester",
            "-A",
            "trust",
            "-N",
            "--no-locale",
            "--no-instructions",
        ]
        made = subprocess.run(
            create, capture_output=True, text=True, check=False, cwd=folder, **unprivileged()
        )
        assert made.returncode == 0, made.stderr
        settings = {
            "listen_addresses": "",
            "max_connections": CONNECTIONS,
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        path = folder / ".s.PGSQL.5432"
        # A quick shutdown would wait for nobody here, and SIGTERM waits only for clients, which are gone.
        ready = [program("pg_isready"), "-h", str(folder), "-q"]
        with running(
            [server, "-D", str(data), "-k", str(folder), *options],
            path,
            lambda: accepts(path) and subprocess.run(ready, check=False).returncode == 0,
        ):
            yield f"host={folder} user=tester dbname=postgres"


@contextmanager
def mariadb() -> Iterator[str]:
    """The path of its socket. No tables, no users: anybody may log in, and there is nothing to see."""
    options = [
        "--no-defaults",
        "--skip-networking",
        "--skip-grant-tables",
        f"--max-connections={CONNECTIONS}",
    ]
    options += ["--innodb=OFF", "--default-storage-engine=MyISAM"]
    with own_folder() as folder:
        path = folder / "socket"
        command = [program("mariadbd"), *options, f"--datadir={folder}", f"--socket={path}"]
        with running([*command, f"--pid-file={folder}/pid"], path, lambda: accepts(path)):
            yield str(path)
