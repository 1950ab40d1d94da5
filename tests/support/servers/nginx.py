"""nginx with the file of deploy/nginx, at a socket that the test has made."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.times import PATIENCE

CONF = Path(__file__).parents[3] / "deploy/nginx/greenserve.conf"
# Debian puts it where a user's PATH may not look.
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
AROUND = """
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {conf};
}}
"""


def write(folder: Path, listen: str, upstream: str) -> list[str]:
    """The file as it is shipped but for its two addresses, inside an nginx.conf; the command that uses it."""
    text = CONF.read_text()
    for old, new in {
        "listen 80;": f"listen {listen};",
        "listen [::]:80;": "",
        "server 127.0.0.1:8000;": f"server {upstream};",
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "greenserve.conf").write_text(text)
    (folder / "nginx.conf").write_text(AROUND.format(conf=folder / "greenserve.conf"))
    return [str(NGINX), "-p", str(folder), "-c", "nginx.conf"]


@contextlib.contextmanager
def listening() -> Iterator[tuple[tuple[str, int], int]]:
    """A socket that listens already, so that nobody can take its port before nginx does: its name and descriptor."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname(), listener.fileno()


@contextlib.contextmanager
def nginx(command: list[str], fd: int) -> Iterator[None]:
    process = subprocess.Popen(command, env={"NGINX": f"{fd};"}, pass_fds=[fd], stderr=subprocess.PIPE)
    try:
        yield
    finally:
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
    assert b"[emerg]" not in said, said
