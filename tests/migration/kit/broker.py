"""RabbitMQ for one script: a node of its own in a temporary folder, on loopback. Needs Debian's rabbitmq-server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.migration.kit.driving import free_port

# The one on PATH changes to a user of the system; this one runs as the user that calls it.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_PATIENCE = 120  # seconds


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """Start a broker, give its URL, and end it, with Erlang's port mapper."""
    if not SERVER.exists():
        sys.exit("RabbitMQ is needed: apt-get install rabbitmq-server")
    home = folder / "rabbitmq"
    home.mkdir()
    mapper, distribution, port = free_port(), free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": f"migration{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_ALLOW_INPUT": "1",  # the process is Erlang's, not a shell's that would outlive it
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput",
    }
    (home / "rabbitmq.conf").write_text("loopback_users = none\nlog.console = false\n")
    (home / "plugins").write_text("[].\n")
    ports = subprocess.Popen(["epmd"], env=environ)
    try:
        with (home / "out").open("wb") as out:
            node = subprocess.Popen(
                [SERVER], cwd=home, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            _wait_for(home / "out", node)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
        finally:
            node.send_signal(signal.SIGTERM)
            _end(node)
    finally:
        _end(ports)


def _wait_for(out: Path, node: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while "completed with" not in out.read_text(errors="replace"):
        if node.poll() is not None or time.monotonic() > until:
            sys.exit(f"RabbitMQ does not start: {out.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=30 if process.args != ["epmd"] else 0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
