"""Every way in which an app and the server meet, under PEP 3333's own checker, through a real socket.

The checker stands on both sides: it fails an app's misuse and a server's alike, with an AssertionError that makes the
answer a 500 and the log loud.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.support.clients.raw import RawClient
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import serving
from tests.support.times import eventually

from greenserve import Server

_PLAIN = [("Content-Type", "text/plain")]
_UPLOAD = b"one\ntwo\n\nthree"

App = Callable[[Environ, Start], Iterable[bytes]]
_ANSWERS: dict[str, App] = {}  # each answers "one,two"
_READERS: dict[str, Callable[[Any], bytes]] = {}  # each gives the whole body


def _answer(app: App) -> App:
    _ANSWERS[app.__name__.strip("_")] = app
    return app


@_answer
def _list(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN])
    return [b"one,two"]


@_answer
def _list_with_a_length(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN, ("Content-Length", "7")])
    return [b"one,", b"two"]


@_answer
def _tuple(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN])
    return (b"one,", b"two")


@_answer
def _iterator(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN])
    return iter([b"one,", b"", b"two"])


@_answer
def _generator(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [*_PLAIN])
    return (piece for piece in (b"one,", b"two"))


@_answer
def _class_with_close(environ: Environ, start_response: Start) -> Iterable[bytes]:
    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            return iter((b"one,", b"two"))

        def close(self) -> None:
            environ["wsgi.errors"].write("closed\n")

    start_response("200 OK", [*_PLAIN])
    return Pieces()


@_answer
def _write(environ: Environ, start_response: Start) -> Iterable[bytes]:
    write = start_response("200 OK", [*_PLAIN])
    write(b"one")
    write(b",")
    return [b"two"]


@_answer
def _write_alone(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN, ("Content-Length", "7")])(b"one,two")
    return []


@_answer
def _exc_info_first(environ: Environ, start_response: Start) -> Iterable[bytes]:
    try:
        raise ValueError
    except ValueError:
        start_response("200 OK", [*_PLAIN], sys.exc_info())
    return [b"one,two"]


@_answer
def _exc_info_replaces(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("500 Sorry", [*_PLAIN, ("X-Replaced", "yes")])
    try:
        raise ValueError
    except ValueError:
        start_response("200 OK", [*_PLAIN], sys.exc_info())
    return [b"one,two"]


@_answer
def _file_wrapper(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"one,two"), 3)
    return wrapped


@_answer
def _file_wrapper_on_disk(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN, ("Content-Length", "7")])
    path = Path(environ["test.folder"], "file")
    path.write_bytes(b"one,two")
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
    return wrapped


@_answer
def _errors(environ: Environ, start_response: Start) -> Iterable[bytes]:
    errors = environ["wsgi.errors"]
    errors.write("one\n")
    errors.writelines(["two\n", "three\n"])
    errors.flush()
    start_response("200 OK", [*_PLAIN])
    return [b"one,two"]


@_answer
def _early_hints(environ: Environ, start_response: Start) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    environ["wsgi.early_hints"]([("Link", "</b.css>; rel=preload")])
    start_response("200 OK", [*_PLAIN])
    return [b"one,two"]


@_answer
def _posthooks(environ: Environ, start_response: Start) -> Iterable[bytes]:
    environ["greenserve.posthooks"].append((environ["test.hook"], ("ran",), {}))
    start_response("200 OK", [*_PLAIN])
    return [b"one,two"]


@_answer
def _client_disconnected(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_PLAIN])
    return [b"" if environ["greenserve.client_disconnected"]() else b"one,two"]


def _reader(function: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    _READERS[function.__name__.strip("_")] = function
    return function


@_reader
def _read(body: Any) -> bytes:
    pieces = []
    while piece := body.read(4):
        pieces.append(piece)
    return b"".join(pieces)


@_reader
def _read_all(body: Any) -> bytes:
    found: bytes = body.read(-1)
    return found


@_reader
def _readline(body: Any) -> bytes:
    lines = []
    while line := body.readline():
        lines.append(line)
    assert lines == _UPLOAD.splitlines(keepends=True)
    return b"".join(lines)


@_reader
def _readline_with_a_size(body: Any) -> bytes:
    parts = []
    while part := body.readline(2):
        assert len(part) <= 2
        parts.append(part)
    return b"".join(parts)


@_reader
def _readlines(body: Any) -> bytes:
    lines = body.readlines()
    assert lines == _UPLOAD.splitlines(keepends=True)
    return b"".join(lines)


@_reader
def _readlines_with_a_hint(body: Any) -> bytes:
    lines = []
    while some := body.readlines(5):
        lines += some
    return b"".join(lines)


@_reader
def _iteration(body: Any) -> bytes:
    return b"".join(body)


@_reader
def _a_bit_of_each(body: Any) -> bytes:
    return b"".join([body.read(2), body.readline(), next(iter(body)), *body.readlines(1), body.read(100)])


class _App:
    """One server for all of them: the path is the name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hooked: list[str] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        name = environ["PATH_INFO"][1:]
        environ["test.folder"] = str(self.folder)
        environ["test.hook"] = lambda environ, word: self.hooked.append(word)
        if name in _READERS:
            body = _READERS[name](environ["wsgi.input"])
            start_response("200 OK", [*_PLAIN])
            return [body]
        return _ANSWERS[name](environ, start_response)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> _App:
    return _App(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(app: _App) -> Iterator[Server]:
    with serving(validator(app)) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]


# As a browser asks for a page: from others a connection is kept by no answer that had a 103.
_PAGE = "Sec-Fetch-Mode: navigate\r\n"


@pytest.mark.parametrize("name", _ANSWERS)
class TestAnswers:
    def test_1_1(self, name: str, server: Server) -> None:
        with RawClient(server.address) as client:
            for _ in range(2):  # and the connection is of use afterwards
                client.send(f"GET /{name} HTTP/1.1\r\nHost: x\r\n{_PAGE}\r\n".encode())
                while (answer := client.answer()).status == 103:
                    assert name == "early_hints"
                assert (answer.status, answer.body) == (200, b"one,two")
                assert "x-replaced" not in answer

    def test_head(self, name: str, server: Server) -> None:
        with RawClient(server.address) as client:
            for _ in range(2):
                client.send(f"HEAD /{name} HTTP/1.1\r\nHost: x\r\n{_PAGE}\r\n".encode())
                while (answer := client.answer("HEAD")).status == 103:
                    assert name == "early_hints"
                assert answer.status == 200
            client.send(b"GET /list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.answer().body == b"one,two"
            assert client.rest() == b""

    def test_1_0(self, name: str, server: Server) -> None:
        with RawClient(server.address) as client:
            answer = client.send(f"GET /{name} HTTP/1.0\r\n\r\n".encode()).answer()
            assert (answer.status, answer.body, answer.closes) == (200, b"one,two", True)
            assert "transfer-encoding" not in answer
            assert client.rest() == b""


@pytest.mark.parametrize("name", _READERS)
class TestInput:
    @pytest.mark.parametrize("expects", ["", "Expect: 100-continue\r\n"])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_1_1(self, name: str, chunked: bool, expects: str, server: Server) -> None:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(_UPLOAD)}"
        pieces = [_UPLOAD[:5], _UPLOAD[5:9], _UPLOAD[9:]]
        if chunked:
            pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
        with RawClient(server.address) as client:
            for _ in range(2):
                client.send(f"POST /{name} HTTP/1.1\r\nHost: x\r\n{framing}\r\n{expects}\r\n".encode())
                if expects:
                    assert client.answer().status == 100
                for piece in pieces:
                    client.send(piece)
                answer = client.answer()
                assert (answer.status, answer.body) == (200, _UPLOAD)

    def test_1_0_has_no_expect(self, name: str, server: Server) -> None:
        head = f"POST /{name} HTTP/1.0\r\nContent-Length: {len(_UPLOAD)}\r\nExpect: 100-continue\r\n\r\n"
        with RawClient(server.address) as client:
            answer = client.send(head.encode() + _UPLOAD).answer()
            assert (answer.status, answer.body) == (200, _UPLOAD)


@pytest.mark.parametrize(
    "name", ["read", "read_all", "iteration", "readline_with_a_size", "readlines_with_a_hint"]
)
def test_a_request_without_a_body(name: str, server: Server) -> None:
    with RawClient(server.address) as client:
        assert [client.get(f"/{name}").body for _ in range(2)] == [b"", b""]


def test_trailers() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        before = [*environ["greenserve.trailers"]]
        _read(environ["wsgi.input"])
        start_response("200 OK", [*_PLAIN])
        return [repr((before, [*environ["greenserve.trailers"]])).encode()]

    with serving(validator(app)) as server, RawClient(server.address) as client:
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"3\r\none\r\n0\r\nX-Sum: 7\r\n\r\n")
            assert b"X-Sum" in client.answer().body
            assert client.get().body == b"([], [])"


def test_hooks_have_run(app: _App, server: Server) -> None:
    app.hooked.clear()
    with RawClient(server.address) as client:
        client.get("/posthooks")
    eventually(lambda: app.hooked == ["ran"])


def test_exc_info_after_the_head(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [*_PLAIN])

        def pieces() -> Iterator[bytes]:
            yield b"one"
            try:
                raise ValueError("the cause")
            except ValueError:
                start_response("500 Sorry", [*_PLAIN], sys.exc_info())

        return pieces()

    with serving(validator(app)) as server, RawClient(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").head()
        assert client.chunk() == b"one"
        assert client.rest() == b""  # no last chunk, no second head
        eventually(lambda: "the cause" in caplog.text)
    caplog.clear()


def test_close_when_the_client_has_gone() -> None:
    closed: list[str] = []

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 10_000

        def close(self) -> None:
            closed.append("yes")

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [*_PLAIN])
        return Endless()

    with serving(validator(app)) as server:
        client = RawClient(server.address)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").head()
        client.reset()
        eventually(lambda: closed == ["yes"])
