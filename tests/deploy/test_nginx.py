"""deploy/nginx by nginx itself: `nginx -t`, then requests through it to a greenserve behind it."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
from tests.support.clients.raw import RawClient
from tests.support.servers.nginx import AROUND, CONF, NGINX, listening, nginx, write
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

import greenserve
from greenserve import Config
from greenserve.proxies.request_start import parse_request_start

pytestmark = [pytest.mark.repository, pytest.mark.skipif(NGINX is None, reason="needs nginx")]

CLIENT = "127.0.0.77"  # Linux's loopback is a whole network, so a client can be told from the proxy
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
SHOWN = (
    *(
        "REMOTE_ADDR",
        "wsgi.url_scheme",
        "SCRIPT_NAME",
        "PATH_INFO",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
    ),
    *("HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_HOST", "greenserve.peer"),
    *("HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START"),
)


@pytest.fixture(scope="module")
def release() -> threading.Event:
    """What the app of these tests waits for before it goes on."""
    return threading.Event()


def shown(environ: dict[str, Any]) -> Iterator[bytes]:
    for name in SHOWN:
        yield f"{name}={environ.get(name)}\n".encode()


def show(environ, start_response):
    """Answers with what it is told of the request."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return shown(environ)


@pytest.fixture(scope="module")
def address(tmp_path_factory, release) -> Iterator[tuple[str, int]]:
    """Where nginx listens, with the file as it is shipped."""

    def wait() -> None:
        while not release.is_set():
            greenserve.sleep(0.005)

    def app(environ, start_response):
        kind = "text/event-stream" if environ["PATH_INFO"] == "/events" else "text/plain"
        if environ["PATH_INFO"] != "/ws":
            start_response("200 OK", [("Content-Type", kind)])
        if environ["PATH_INFO"] == "/events":
            yield b"data: 1\n\n"
            wait()
            yield b"data: 2\n\n"
        elif environ["PATH_INFO"] == "/ws":
            ws = greenserve.accept_websocket(environ)
            for message in ws:
                ws.send(message)
        elif environ["PATH_INFO"] == "/upload":
            first = environ["wsgi.input"].read(4)
            release.set()
            yield first + environ["wsgi.input"].read()
        else:
            yield from shown(environ)

    folder = tmp_path_factory.mktemp("nginx")
    with (
        serving(app) as server,
        listening() as (where, fd),
        nginx(write(folder, f"127.0.0.1:{where[1]}", f"127.0.0.1:{server.port}"), fd),
    ):
        yield where


@pytest.fixture
def url(address) -> str:
    return f"http://127.0.0.1:{address[1]}"


def test_nginx_takes_the_file(tmp_path):
    command = write(tmp_path, f"unix:{tmp_path}/socket", "127.0.0.1:8000")
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


LIES = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "192.0.2.1",
    "X-Request-Start": "t=1700000000",
    "X-Queue-Start": "t=1700000000",
    "Forwarded": "for=192.0.2.1",
}


def told(address: tuple[str, int], path: str = "/") -> dict[str, str]:
    """What the app is told of a request from CLIENT that lies about itself."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE, source_address=(CLIENT, 0))
    with contextlib.closing(connection):
        connection.request("GET", path, headers=LIES)
        lines = connection.getresponse().read().decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_tells_who_asked_whatever_the_client_claims(address):
    environ = told(address)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["SCRIPT_NAME"]) == (
        CLIENT,
        "http",
        "",
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == CLIENT
    assert environ["HTTP_X_FORWARDED_PROTO"] == "http"
    assert (
        environ["HTTP_X_FORWARDED_HOST"] == environ["HTTP_FORWARDED"] == environ["HTTP_X_REAL_IP"] == "None"
    )
    assert environ["HTTP_HOST"] == f"127.0.0.1:{address[1]}"
    assert environ["greenserve.peer"].startswith("Peer(address='127.0.0.1', port=")
    assert parse_request_start(environ["HTTP_X_REQUEST_START"]) == pytest.approx(time.time(), abs=PATIENCE)
    assert environ["HTTP_X_QUEUE_START"] == "None"


def test_an_app_below_a_prefix_as_the_readme_has_it(tmp_path):
    text = CONF.read_text()
    table = "\n".join(re.findall(r"map .*?\n}", text, re.DOTALL))
    fields = "".join(re.findall(r"proxy_set_header (?!X-Forwarded-Prefix)[^\n]*\n", text))
    location = re.search(r"```\n(location .*?)```", (CONF.parent / "README.md").read_text(), re.DOTALL)[1]
    believed = "x-forwarded-for,x-forwarded-proto,x-forwarded-prefix"
    with serving(show, forwarded_headers=believed) as server, listening() as (where, fd):
        location = location.replace("}", fields + "}").replace("//greenserve/", f"//127.0.0.1:{server.port}/")
        (tmp_path / "site.conf").write_text(f"{table} server {{ listen 127.0.0.1:{where[1]}; {location} }}")
        (tmp_path / "nginx.conf").write_text(AROUND.format(conf=tmp_path / "site.conf"))
        with nginx([str(NGINX), "-p", str(tmp_path), "-c", "nginx.conf"], fd):
            environ = told(where, "/app/a")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["REMOTE_ADDR"]) == ("/app", "/a", CLIENT)


@pytest.mark.skipif(not STREAM_MODULE.exists(), reason="needs nginx's stream module")
def test_passing_bytes_it_sends_a_proxy_header(tmp_path):
    text = """
    load_module {module};
    daemon off;
    pid nginx.pid;
    error_log stderr warn;
    events {{ worker_connections 64; }}
    stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{server}; proxy_protocol on; }} }}
    """
    for versions in ("v1", "auto"):
        with serving(show, proxy_protocol=versions) as server, listening() as (where, fd):
            conf = text.format(module=STREAM_MODULE, port=where[1], server=server.port)
            (tmp_path / "nginx.conf").write_text(conf)
            with nginx([str(NGINX), "-p", str(tmp_path), "-c", "nginx.conf"], fd):
                environ = told(where)
        assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (CLIENT, "http")
        assert environ["HTTP_X_FORWARDED_FOR"] == "None"


def test_passes_the_websocket_of_its_own_page_and_of_no_other(url):
    """The library says Origin as a browser would: with the port."""
    where = url.replace("http", "ws", 1) + "/ws"
    ws = websocket.create_connection(where, timeout=PATIENCE)
    ws.send("hello")
    assert ws.recv() == "hello"
    ws.close()
    for other in ("http://127.0.0.1", "https://evil.example"):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(where, timeout=PATIENCE, origin=other)
        assert refused.value.status_code == 403


def test_http_1_0_without_a_host_gets_the_servers_name(address):
    with RawClient(address) as client:
        answer = client.send(b"GET / HTTP/1.0\r\n\r\n").answer()
    assert answer.status == 200
    assert b"HTTP_HOST=_\n" in answer.body


def test_keeps_its_connection_to_greenserve(url):
    answers = {
        line
        for _ in range(5)
        for line in requests.get(url, timeout=PATIENCE).text.splitlines()
        if line.startswith("greenserve.peer=")
    }
    assert len(answers) == 1, "a new connection for each request"
    assert re.fullmatch(r"greenserve.peer=Peer\(address='127.0.0.1', port='\d+'.*", answers.pop())


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
        half = bytes(20_000)  # a shorter body has come whole before the app begins
        client.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 20004\r\n\r\n" + half)
        assert release.wait(PATIENCE), "the app saw nothing before the upload was whole"
        assert client.send(b"more").answer().body == half + b"more"


def test_its_limits_fit_greenserves():
    text = CONF.read_text()
    assert int(re.search(r"client_max_body_size (\d+)m;", text)[1]) * 2**20 == Config().limit_request_body
    assert int(re.search(r"proxy_read_timeout (\d+)s;", text)[1]) > Config().request_timeout
    assert int(re.search(r"\n    keepalive_timeout (\d+)s;", text)[1]) < Config().keep_alive
