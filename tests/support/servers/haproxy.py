"""haproxy with a file of deploy/haproxy, or another one, at a socket that it takes over."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.times import PATIENCE

FOLDER = Path(__file__).parents[3] / "deploy/haproxy"
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


@contextmanager
def haproxy(text: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Where haproxy listens with this configuration, whose `bind` has FD for an address: it takes over a socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        file = folder / "haproxy.cfg"
        file.write_text(text.replace("FD", f"fd@{listener.fileno()}"))
        check(file, listener.fileno())
        process = subprocess.Popen(
            [str(HAPROXY), "-db", "-f", str(file)],
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield listener.getsockname()
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=PATIENCE)
    assert b"ALERT" not in said, said


def check(file: Path, *fds: int) -> None:
    done = subprocess.run(
        [str(HAPROXY), "-c", "-f", str(file)],
        pass_fds=fds,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr


def shipped(name: str, old: str, backend: str) -> str:
    """A file as it is shipped but for its two addresses."""
    text = (FOLDER / name).read_text()
    assert text.count(f"\n    bind {old}\n") == 1
    text, count = re.subn(r"server one 127\.0\.0\.1:\d+", f"server one {backend}", text)
    assert count == 1
    return text.replace(f"\n    bind {old}\n", "\n    bind FD\n")
