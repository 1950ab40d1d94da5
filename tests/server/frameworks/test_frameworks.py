"""Flask, Django, Bottle, Pyramid and WebOb, each with an app of its own, through real clients: what their users do.

Each is served twice: bare, and below PEP 3333's own checker where the framework itself keeps to it.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
import requests
from tests.server.frameworks.probes import CONTENT, Probe
from tests.support.clients.raw import RawClient
from tests.support.programs.commands import ROOT, command
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

_UPLOAD = random.Random(4).randbytes(3_000_000)
_DIGEST = {"size": len(_UPLOAD), "sha256": hashlib.sha256(_UPLOAD).hexdigest()}


@dataclass
class Framework:
    """What differs, and why."""

    name: str
    ranges: bool = True
    if_range: bool = True
    own_500: bool = True  # else an error of the app is the server's to answer
    # What the checker finds in the framework itself, by test.
    trips: dict[str, str] = field(default_factory=dict)
    # Files that the framework leaves to the garbage collector.
    leaves: str = ""


_FRAMEWORKS = [
    Framework(
        "flask",
        trips=dict.fromkeys(
            ["test_form", "test_a_form_in_chunks"],
            "Werkzeug reads a form by read() without a size, which PEP 3333 has not",
        ),
    ),
    Framework("django", ranges=False, if_range=False),
    Framework("bottle", if_range=False, leaves="BufferedReader"),  # of a range that it refuses
    Framework("pyramid", own_500=False, leaves="BufferedRandom"),  # WebOb's copy of an upload
    Framework("webob", own_500=False, leaves="BufferedRandom"),
]


def _params() -> Iterator[Any]:
    for framework in _FRAMEWORKS:
        marks = []
        if framework.leaves:
            marks.append(
                pytest.mark.filterwarnings(f"ignore:unclosed file <_io.{framework.leaves}:ResourceWarning")
            )
        yield pytest.param((framework, False), id=framework.name, marks=marks)
        yield pytest.param((framework, True), id=f"{framework.name}-checked", marks=marks)


@dataclass
class Site:
    """One framework's app, being served."""

    framework: Framework
    url: str
    address: Any
    probe: Probe
    session: requests.Session

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=PATIENCE, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=PATIENCE, **options)

    def head(self, path: str, **options: Any) -> requests.Response:
        return self.session.head(self.url + path, timeout=PATIENCE, **options)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "file.bin"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture(scope="module", params=_params())
def served(request: pytest.FixtureRequest, file: Path) -> Iterator[tuple[Site, bool]]:
    framework, checked = request.param
    probe = Probe(file)
    app = importlib.import_module(f"tests.server.frameworks.{framework.name}_app").make(probe)
    with (
        serving(validator(app) if checked else app) as server,
        requests.Session() as session,
    ):
        yield Site(framework, server.url, server.address, probe, session), checked
    gc.collect()  # what the framework leaves, while its mark holds


@pytest.fixture
def site(served: tuple[Site, bool], request: pytest.FixtureRequest) -> Iterator[Site]:
    site, checked = served
    name = request.node.originalname
    if checked and name in site.framework.trips:
        request.node.add_marker(pytest.mark.xfail(reason=site.framework.trips[name]))
    site.session.cookies.clear()
    yield site
    if site.framework.leaves:
        site.get(
            "/nothing"
        )  # when it is answered the server's thread has dropped the files, while the mark holds


class TestUploads:
    def test_multipart(self, site: Site) -> None:
        answer = site.post("/upload", files={"file": ("n.bin", _UPLOAD)}, data={"note": "grün"})
        assert answer.json() == {"name": "n.bin", "note": "grün", **_DIGEST}

    def test_raw(self, site: Site) -> None:
        for _ in range(2):
            assert site.post("/raw", data=_UPLOAD).json() == _DIGEST

    def test_chunked(self, site: Site) -> None:
        pieces = (_UPLOAD[at : at + 70_000] for at in range(0, len(_UPLOAD), 70_000))
        assert site.post("/raw", data=pieces).json() == _DIGEST

    def test_a_form_in_chunks(self, site: Site) -> None:
        form = b"b=2&a=zw%C3%B6lf"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = site.post("/form", data=iter([form[:3], form[3:]]), headers=kind)
        assert answer.json() == {"a": ["zwölf"], "b": "2"}

    def test_form(self, site: Site) -> None:
        answer = site.post("/form", data=[("a", "1"), ("a", "zwölf & mehr"), ("b", "=")])
        assert answer.json() == {"a": ["1", "zwölf & mehr"], "b": "="}


class TestAnswers:
    def test_stream(self, site: Site) -> None:
        with site.get("/stream", stream=True) as answer:
            lines = answer.iter_lines(1)
            assert next(lines) == b"first"
            site.probe.gate.reached()  # the app is about to make the second, which nobody has
            site.probe.gate.open()
            assert list(lines) == [b"second"]
        assert answer.headers["Transfer-Encoding"] == "chunked"

    def test_close_when_the_client_goes(self, site: Site) -> None:
        site.probe.closed.clear()
        with RawClient(site.address) as client:
            client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").head()
            client.chunk()
            client.reset()
        eventually(lambda: site.probe.closed == ["endless"], "close()")

    def test_unicode(self, site: Site) -> None:
        answer = site.get("/echo/ä/日本 +%25?q=ü%26&x")
        assert answer.json() == {"path": "ä/日本 +%", "q": "ü&"}

    def test_redirect(self, site: Site) -> None:
        answer = site.get("/old")
        assert [one.status_code for one in answer.history] == [302]
        assert answer.json() == {"path": "new", "q": "1"}

    def test_not_found(self, site: Site) -> None:
        for _ in range(2):
            assert site.get("/nowhere").status_code == 404

    def test_error(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        answer = site.get("/fail")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        if not site.framework.own_500:
            assert "secret" in caplog.text
        assert site.get("/echo/a?q=1").status_code == 200


class TestRanges:
    def test_whole(self, site: Site) -> None:
        answer = site.get("/file")
        assert (answer.status_code, answer.content) == (200, CONTENT)
        assert answer.headers["Content-Length"] == str(len(CONTENT))

    @pytest.mark.parametrize(
        ("asked", "begin", "end"),
        [("0-9", 0, 10), ("1000-70000", 1000, 70001), ("-5", len(CONTENT) - 5, len(CONTENT))],
    )
    def test_part(self, asked: str, begin: int, end: int, site: Site) -> None:
        answer = site.get("/file", headers={"Range": f"bytes={asked}"})
        if site.framework.ranges:
            assert (answer.status_code, answer.content) == (206, CONTENT[begin:end])
            assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(CONTENT)}"
        else:
            assert (answer.status_code, answer.content) == (200, CONTENT)

    def test_behind_the_end(self, site: Site) -> None:
        answer = site.get("/file", headers={"Range": f"bytes={len(CONTENT)}-"})
        assert answer.status_code == (416 if site.framework.ranges else 200)
        assert site.get("/echo/a?q=1").status_code == 200

    def test_if_range(self, site: Site) -> None:
        first = site.head("/file")
        known = first.headers.get("ETag") or first.headers.get("Last-Modified")
        for condition, applies in ((known, True), ("Sun, 06 Nov 1994 08:49:37 GMT", False)):
            if condition is None:
                assert not site.framework.if_range
                continue
            answer = site.get("/file", headers={"Range": "bytes=0-4", "If-Range": condition})
            if not site.framework.if_range:
                applies = site.framework.ranges
            assert (answer.status_code, answer.content) == ((206, CONTENT[:5]) if applies else (200, CONTENT))

    def test_not_modified(self, site: Site) -> None:
        etag = site.head("/file").headers.get("ETag")
        if etag is not None:
            answer = site.get("/file", headers={"If-None-Match": etag})
            assert (answer.status_code, answer.content) == (304, b"")


class TestHead:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/file", 200),
            ("/stream", 200),
            ("/echo/a?q=1", 200),
            ("/set-cookies", 200),
            ("/old", 302),
            ("/nowhere", 404),
        ],
    )
    def test_is_get_without_content(self, path: str, status: int, site: Site) -> None:
        with RawClient(site.address) as client:
            client.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = client.answer("HEAD")
            assert answer.status == status
            assert "transfer-encoding" not in answer
            if path == "/file":
                assert answer["content-length"] == str(len(CONTENT))
            # Not a byte follows: what comes next is the next answer.
            assert client.get("/echo/b?q=2").status == 200

    def test_of_a_part(self, site: Site) -> None:
        answer = site.head("/file", headers={"Range": "bytes=0-9"})
        assert answer.status_code in (200, 206)
        assert answer.content == b""
        assert site.get("/echo/a?q=1").status_code == 200


class TestCookies:
    def test_are_set_each_in_a_line_of_its_own(self, site: Site) -> None:
        with RawClient(site.address) as client:
            answer = client.get("/set-cookies")
        lines = [value for name, value in answer.fields if name.lower() == "set-cookie"]
        assert [line.partition("=")[0] for line in sorted(lines)] == ["a", "b", "c"]
        assert "HttpOnly" in sorted(lines)[1]

    def test_come_back(self, site: Site) -> None:
        site.get("/set-cookies")
        assert site.get("/cookies").json() == {"a": "1", "b": "2", "c": "x-y"}

    def test_in_several_fields_too(self, site: Site) -> None:
        with RawClient(site.address) as client:
            answer = client.get("/cookies", "Cookie: a=1", "Cookie: b=2; c=3")
        assert requests.compat.json.loads(answer.body) == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def _curl(self, *arguments: str) -> bytes:
        return subprocess.run(
            ["curl", "-sS", "--max-time", str(PATIENCE), *arguments], capture_output=True, check=True
        ).stdout

    def test_upload_and_range(self, site: Site, tmp_path: Path) -> None:
        (tmp_path / "n.bin").write_bytes(_UPLOAD)
        found = self._curl(
            "-F",
            f"file=@{tmp_path}/n.bin",
            "-F",
            "note=x",
            f"{site.url}/upload",
            "-H",
            "Expect: 100-continue",
        )
        assert _DIGEST["sha256"].encode() in found
        part = self._curl("-r", "100-199", f"{site.url}/file")
        assert part == (CONTENT[100:200] if site.framework.ranges else CONTENT)

    def test_cookie_jar(self, site: Site, tmp_path: Path) -> None:
        jar = str(tmp_path / "jar")
        found = self._curl(
            "-c", jar, f"{site.url}/set-cookies", "--next", "-sS", "-b", jar, f"{site.url}/cookies"
        )
        assert found.startswith(b"set")


def test_the_command_serves_one_of_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_FILE", str(file))
    with command(
        "-m", "greenserve", "tests.server.frameworks.flask_command:app", "--bind", "127.0.0.1:0", folder=ROOT
    ) as program:
        url = program.until(r"(http://127\.0\.0\.1:\d+)")[1]
        with requests.Session() as session:
            answer = session.post(
                f"{url}/upload", files={"file": ("n", _UPLOAD)}, data={"note": "x"}, timeout=PATIENCE
            )
            assert answer.json() == {"name": "n", "note": "x", **_DIGEST}
            pieces = (_UPLOAD[at : at + 70_000] for at in range(0, len(_UPLOAD), 70_000))
            assert session.post(f"{url}/raw", data=pieces, timeout=PATIENCE).json() == _DIGEST
            part = session.get(f"{url}/file", headers={"Range": "bytes=5-9"}, timeout=PATIENCE)
            assert (part.status_code, part.content) == (206, CONTENT[5:10])
            session.get(f"{url}/set-cookies", timeout=PATIENCE)
            assert session.get(f"{url}/cookies", timeout=PATIENCE).json()["c"] == "x-y"
