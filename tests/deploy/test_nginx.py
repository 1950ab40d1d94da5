"""deploy/nginx by nginx itself: `nginx -t`, then requests through it to a greenserve behind it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from tests.support.raw import RawClient
from tests.support.running import serving
from tests.support.times import PATIENCE

import greenserve
from greenserve import Config

CONF = Path(__file__).parents[2] / "deploy/nginx/greenserve.conf"
# Debian puts it where a user's PATH may not look.
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")

SHOWN = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED", "HTTP_HOST", "REMOTE_PORT")
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


@pytest.fixture(scope="module")
def release() -> threading.Event:
    """What the app of these tests waits for before it goes on."""
    return threading.Event()


@pytest.fixture(scope="module")
def address(tmp_path_factory, release) -> Iterator[tuple[str, int]]:
    """Where nginx listens. It takes over a socket that listens already, so that nobody can take the port between."""

    def wait() -> None:
        while not release.is_set():
            greenserve.sleep(0.005)

    def app(environ, start_response):
        kind = "text/event-stream" if environ["PATH_INFO"] == "/events" else "text/plain"
        start_response("200 OK", [("Content-Type", kind)])
        if environ["PATH_INFO"] == "/events":
            yield b"data: 1\n\n"
            wait()
            yield b"data: 2\n\n"
        elif environ["PATH_INFO"] == "/upload":
            first = environ["wsgi.input"].read(4)
            release.set()
            yield first + environ["wsgi.input"].read()
        else:
            for name in SHOWN:
                yield f"{name}={environ.get(name)}\n".encode()

    folder = tmp_path_factory.mktemp("nginx")
    with serving(app) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        where = listener.getsockname()
        command = write(folder, f"127.0.0.1:{where[1]}", f"127.0.0.1:{server.port}")
        fd = listener.fileno()
        process = subprocess.Popen(command, env={"NGINX": f"{fd};"}, pass_fds=[fd], stderr=subprocess.PIPE)
        try:
            yield where
        finally:
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE)
    assert b"[emerg]" not in said


@pytest.fixture
def url(address) -> str:
    return f"http://127.0.0.1:{address[1]}"


def test_nginx_takes_the_file(tmp_path):
    command = write(tmp_path, f"unix:{tmp_path}/socket", "127.0.0.1:8000")
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_tells_who_asked_whatever_the_client_claims(url):
    lies = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Forwarded": "for=192.0.2.1"}
    told = dict(
        line.split("=", 1) for line in requests.get(url, headers=lies, timeout=PATIENCE).text.splitlines()
    )
    assert told["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert told["HTTP_X_FORWARDED_PROTO"] == "http"
    assert told["HTTP_FORWARDED"] == "None"
    assert told["HTTP_HOST"] == "127.0.0.1"


def test_keeps_its_connection_to_greenserve(url):
    answers = {requests.get(url, timeout=PATIENCE).text.splitlines()[-1] for _ in range(5)}
    assert len(answers) == 1, "a new connection for each request"
    assert re.fullmatch(r"REMOTE_PORT=\d+", answers.pop())


def test_passes_an_event_on_as_it_comes(address, release):
    release.clear()
    with RawClient(address) as client:
        client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").head()
        assert client.chunk() == b"data: 1\n\n"
        release.set()
        assert client.chunk() == b"data: 2\n\n"


def test_passes_an_upload_on_while_it_is_sent(address, release):
    release.clear()
    with RawClient(address) as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
        assert release.wait(PATIENCE), "the app saw nothing before the upload was whole"
        assert client.send(b"more").answer().body == b"halfmore"


def test_its_limits_fit_greenserves():
    text = CONF.read_text()
    assert int(re.search(r"client_max_body_size (\d+)m;", text)[1]) * 2**20 == Config().limit_request_body
    assert int(re.search(r"proxy_read_timeout (\d+)s;", text)[1]) > Config().request_timeout
    assert int(re.search(r"\n    keepalive_timeout (\d+)s;", text)[1]) < Config().keep_alive
