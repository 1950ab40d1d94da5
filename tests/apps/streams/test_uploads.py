"""apps/streams/uploads: what is refused before a byte of the body, what is kept, and what a broken upload leaves."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest
import requests
from apps.streams import uploads
from tests.support.clients.raw import RawClient, ask
from tests.support.servers.running import becomes_quiet, serving
from tests.support.times import MS, PATIENCE, eventually

BIG = 3 * uploads.PIECE + 1
TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def server(tmp_path):
    with serving(uploads.create_app(str(tmp_path), "secret"), body_timeout=2000 * MS) as running:
        yield running


def put(server, name, body, headers=TOKEN):
    return requests.put(f"{server.url}/files/{name}", data=body, headers=headers, timeout=PATIENCE)


def head(name, length, token="secret"):
    lines = [f"PUT /files/{name} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    lines += [f"Content-Length: {length}", "Expect: 100-continue", "", ""]
    return "\r\n".join(lines).encode()


def test_keeps_what_it_is_sent(server, tmp_path):
    body = bytes(range(256)) * (BIG // 256)
    answer = put(server, "a.bin", body)
    digest = hashlib.sha256(body).hexdigest()
    assert (answer.status_code, answer.json()) == (
        201,
        {"name": "a.bin", "bytes": len(body), "sha256": digest},
    )
    assert (tmp_path / "a.bin").read_bytes() == body
    assert put(server, "a.bin", b"").status_code == 201
    assert (tmp_path / "a.bin").read_bytes() == b"", "the second one replaces the first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_asks_before_it_sends(server, tmp_path):
    source = tmp_path / "big"
    source.write_bytes(bytes(2 * 2**20))
    for token, told in (("secret", "HTTP/1.1 100 "), ("wrong", "HTTP/1.1 401 ")):
        command = ["curl", "-sv", "-T", str(source), "-H", f"Authorization: Bearer {token}"]
        said = subprocess.run(
            [*command, f"{server.url}/files/"], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stderr
        answers = [line.removeprefix("< ") for line in said.splitlines() if line.startswith("< HTTP/")]
        assert answers[0].startswith(told)


@pytest.mark.parametrize(
    ("name", "length", "token", "status"),
    [
        ("a", 10**9, "wrong", 401),
        ("a", 10**9, "s\xe9cret", 401),
        (".hidden", 1, "secret", 400),
        ("..%5Cup", 1, "secret", 400),
        ("a%0Ab", 1, "secret", 400),
        ("x" * 201, 1, "secret", 400),
        ("%2E%2E", 1, "secret", 400),
        ("folder", 1, "secret", 409),
        ("a", uploads.MOST_BYTES + 1, "secret", 413),  # too much for any disk
        ("a", uploads.MOST_BYTES, "secret", 413),  # for this one
    ],
)
def test_refuses_before_the_body(tmp_path, monkeypatch, name, length, token, status):
    monkeypatch.setattr(uploads, "LEFT_FREE", 2**60)
    (tmp_path / "folder").mkdir()
    with serving(uploads.create_app(str(tmp_path), "secret"), limit_request_body=2**40) as server:
        answer = ask(server.address, head(name, length, token))
    assert answer.status == status
    assert b'"error":' in answer.body
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_refuses_what_names_a_folder(server):
    assert put(server, "..%2Fup", b"x").status_code == 404
    assert put(server, "a/b", b"x").status_code == 404


def test_a_body_in_chunks_has_no_length(server):
    assert put(server, "a", iter([b"x"])).status_code == 411


def test_a_broken_upload_leaves_nothing(server, tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    with RawClient(server.address) as client:
        assert client.send(head("a", BIG)).answer().status == 100
        client.send(bytes(uploads.PIECE))
        eventually(lambda: len(list(tmp_path.iterdir())) == 2, "the beginning")
    becomes_quiet(server)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"


def test_only_the_client_can_take_too_long(tmp_path):
    """Where an upload is welcome, request_timeout no longer holds for it."""
    app, told = uploads.create_app(str(tmp_path), "secret"), []

    def listening(environ, start_response):
        environ["greenserve.set_timeout"] = told.append
        return app(environ, start_response)

    with serving(listening) as server:
        assert put(server, "a", b"x", {"Authorization": "Bearer wrong"}).status_code == 401
        assert told == []
        assert put(server, "a", b"x").status_code == 201
    assert told == [None]


def test_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.delenv("UPLOAD_TOKEN", raising=False)
    monkeypatch.delenv("UPLOAD_FOLDER", raising=False)
    for folder, token in ((str(tmp_path), None), (None, "secret"), (str(tmp_path / "no"), "secret")):
        with pytest.raises(RuntimeError, match="Set UPLOAD_TOKEN to a secret and UPLOAD_FOLDER to a folder"):
            uploads.create_app(folder, token)
