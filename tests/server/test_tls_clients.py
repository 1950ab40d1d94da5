"""TLS as the clients of this world see it: curl, requests, urllib, and Python's own ssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import requests
from tests.support.servers.apps import Environ, Routes, Start, echo, mirror
from tests.support.servers.certificates import authority_file, client_context, issue
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

from greenserve import Server

_LARGE = bytes(range(256)) * 20_000


class _App(Routes):
    def mirror(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return mirror(environ, start_response)

    def echo(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return echo(environ, start_response)

    def name(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [
            f"{environ['SSL_TLS_SNI']} {environ['SSL_PROTOCOL']} {environ.get('SSL_CLIENT_S_DN')}".encode()
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    issue(folder / "localhost.pem", "localhost", "127.0.0.1")
    issue(folder / "a.pem", "a.example", "*.wild.example")
    issue(folder / "b.pem", "b.example")
    issue(folder / "client.pem", "ada@example.org", common_name="Ada")
    authority_file(folder / "ca.pem")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    files = [str(folder / f"{name}.pem") for name in ("localhost", "a", "b")]
    settings = {"ca_certs": str(folder / "ca.pem"), "client_cert": "optional"}
    with serving(_App(), certfile=files, redirect_bind="127.0.0.1:0", **settings) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    @pytest.fixture(autouse=True)
    def _setup(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def curl(self, *arguments: str, data: bytes | None = None, code: int = 0) -> bytes:
        command = [
            "curl",
            "-sS",
            "--max-time",
            str(PATIENCE),
            "--cacert",
            str(self.folder / "ca.pem"),
            *arguments,
        ]
        ran = subprocess.run(command, input=data, capture_output=True, check=False)
        assert ran.returncode == code, ran.stderr
        return ran.stdout

    def of_name(self, name: str, path: str) -> list[str]:
        port = self.server.port
        return ["--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}{path}"]

    @pytest.mark.parametrize("options", [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"]])
    def test_versions(self, options: list[str]) -> None:
        got = self.curl(*options, f"https://localhost:{self.server.port}/name").decode()
        assert got == f"localhost TLSv{options[-1].removeprefix('--tlsv')} None"

    def test_old_versions_are_refused(self) -> None:
        self.curl("--tls-max", "1.1", "--tlsv1.0", "--ciphers", "ALL:@SECLEVEL=0", self.server.url, code=35)

    @pytest.mark.parametrize("name", ["a.example", "b.example", "some.wild.example", "localhost"])
    def test_names(self, name: str) -> None:
        assert self.curl(*self.of_name(name, "/name")).decode().startswith(f"{name} ")

    def test_a_name_that_nobody_has(self) -> None:
        self.curl(*self.of_name("c.example", "/"), code=60)

    def test_a_client_certificate(self) -> None:
        file = str(self.folder / "client.pem")
        got = self.curl("--cert", file, f"{self.server.url}/name").decode()
        assert "CN=Ada" in got

    def test_uploads_and_downloads(self) -> None:
        got = self.curl("-H", "Expect:", "--data-binary", "@-", f"{self.server.url}/mirror", data=_LARGE)
        assert got == _LARGE
        assert self.curl("--data-binary", "@-", f"{self.server.url}/mirror", data=_LARGE) == _LARGE

    def test_several_requests_on_one_connection(self) -> None:
        before = self.server.stats.accepted
        assert self.curl(f"{self.server.url}/a", f"{self.server.url}/b") == b"/a/b"
        assert self.server.stats.accepted == before + 1

    def test_plain_http_to_this_port(self) -> None:
        got = self.curl(f"http://127.0.0.1:{self.server.port}/")
        assert b"use https://" in got

    def test_the_redirect_is_followed(self) -> None:
        (redirecting,) = self.server.redirect_urls
        assert self.curl("-L", f"{redirecting}/there?x") == b"/there"
        assert self.curl("-L", "-X", "POST", "--data-binary", "body", f"{redirecting}/mirror") == b"body"


def test_requests(server: Server, folder: Path) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for number in range(3):
            answer = session.get(f"{server.url}/{number}", verify=str(folder / "ca.pem"))
            assert answer.text == f"/{number}"
        upload = session.post(
            f"{server.url}/echo", data=iter([_LARGE, _LARGE]), verify=str(folder / "ca.pem")
        )
        assert upload.content == _LARGE * 2
    with requests.Session() as session, pytest.raises(requests.exceptions.SSLError):
        session.get(server.url)


def test_urllib(server: Server) -> None:
    with urllib.request.urlopen(f"https://localhost:{server.port}/x", context=client_context()) as answer:
        assert answer.read() == b"/x"


def test_a_client_that_trusts_nobody_here(server: Server) -> None:
    before = server.stats.handshake_errors
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(server.url, context=ssl.create_default_context(cafile=None))
    eventually(lambda: server.stats.handshake_errors == before + 1)
