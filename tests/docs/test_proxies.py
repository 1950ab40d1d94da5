"""The configurations of Apache and Caddy that stand on pages, by these programs, with greenserve behind them.

Those of nginx and HAProxy are files of deploy/, which tests/deploy/ runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import websocket
from tests.docs.blocks import DOCS, Block, blocks_of
from tests.docs.checks import apache_conf
from tests.docs.reader import is_open
from tests.support.servers.ports import free_port
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

import greenserve

pytestmark = [pytest.mark.repository, pytest.mark.no_hub]

APACHE = shutil.which("apache2", path="/usr/sbin:/usr/local/sbin:/usr/bin")
CADDY = shutil.which("caddy")


@greenserve.WebSocketWSGI
def echo(ws: greenserve.WebSocket) -> None:
    for message in ws:
        ws.send(message)


def app(environ, start_response):
    """Tells what it is told, first a piece and then, when the client has it, the rest."""
    if environ["PATH_INFO"] == "/ws":
        return echo(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return _pieces(environ)


def _pieces(environ) -> Iterator[bytes]:
    names = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "HTTP_X_FORWARDED_HOST")
    yield "|".join(str(environ.get(name)) for name in names).encode() + b"\n"
    greenserve.sleep(PATIENCE)  # the client leaves before that
    yield b"late\n"


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        eventually(lambda: is_open(port) or process.poll() is not None, command[0])
        assert process.poll() is None, process.communicate()[0]
        yield
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def block_of(page: str, language: str) -> Block:
    return next(one for one in blocks_of(DOCS / page) if one.language == language)


def through(port: int) -> None:
    """A client that lies about itself, an event stream and a WebSocket."""
    url = f"http://localhost:{port}"
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    with requests.get(url, headers=lies, stream=True, timeout=PATIENCE) as answer:
        address, scheme, host, forwarded_host = next(answer.iter_lines()).decode().split("|")
    assert address in ("127.0.0.1", "::1")
    assert (scheme, host, forwarded_host) == ("http", f"localhost:{port}", "None")
    ws = websocket.create_connection(f"ws://localhost:{port}/ws", origin=url, timeout=PATIENCE)
    ws.send("hi")
    assert ws.recv() == "hi"
    ws.close()


@pytest.mark.skipif(APACHE is None, reason="needs apache2 (Debian: apache2-bin)")
def test_apache(tmp_path: Path) -> None:
    port = free_port()
    with serving(app) as server:
        text = block_of("deploy/apache.md", "apache").text
        text = text.replace("*:80", f"127.0.0.1:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        conf = tmp_path / "apache.conf"
        conf.write_text(apache_conf(tmp_path, f"Listen 127.0.0.1:{port}\nPidFile {tmp_path}/pid\n{text}"))
        assert APACHE is not None
        with running([APACHE, "-X", "-f", str(conf)], port, tmp_path):
            through(port)


@pytest.mark.skipif(CADDY is None, reason="needs caddy")
def test_caddy(tmp_path: Path) -> None:
    port = free_port()
    with serving(app) as server:
        text = block_of("deploy/caddy.md", "caddy").text
        text = re.sub(r"^www\.example\.org", f"http://localhost:{port}", text, flags=re.MULTILINE)
        text = "{\n\tadmin off\n}\n" + text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        (tmp_path / "Caddyfile").write_text(text)
        assert CADDY is not None
        with running([CADDY, "run", "--config", "Caddyfile"], port, tmp_path):
            through(port)
