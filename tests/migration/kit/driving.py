"""What the scripts with a server have in common: a free port, a program that runs until it is asked no more."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from tests.migration.kit.installing import Installed

_PATIENCE = 60  # seconds


def free_port() -> int:
    """A port that nothing listens at, below those that the kernel gives to clients."""
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port


@contextmanager
def running(
    here: Installed, port: int, *command: object, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that listens at `port`, and end it with SIGTERM. Its exit code is 0 or that of the signal."""
    program = subprocess.Popen(list(map(str, command)), cwd=here.folder, env=here.environ(**environ))
    try:
        _wait_for(port, program)
        yield program
        program.terminate()
        code = program.wait(timeout=_PATIENCE)
        assert code in (0, -signal.SIGTERM), code
    finally:
        # A program with processes of its own ends them only if it is asked.
        program.terminate()
        with suppress(subprocess.TimeoutExpired):
            program.wait(timeout=_PATIENCE)
        program.kill()
        program.wait()


def ask(here: Installed, code: str, *arguments: object, python: str = "") -> None:
    """Run a client in Python, which knows nothing of greenserve."""
    command = [python or str(here.python), "-c", code, *map(str, arguments)]
    subprocess.run(command, cwd=here.folder, env=here.environ(), timeout=180, check=True)


def _wait_for(port: int, program: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if program.poll() is not None:
                sys.exit(f"the program has ended with {program.returncode}")
            time.sleep(0.1)
        else:
            return
    sys.exit(f"nothing listens at port {port}")
