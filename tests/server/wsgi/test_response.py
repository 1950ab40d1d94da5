"""response: one head and no second, the length kept or the connection closed, nothing after the end."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from greenlet import GreenletExit
from tests.support.servers.links import FakeLink, body, exchange, fields, sent

from greenserve.errors import AppError, PeerGone
from greenserve.http1 import chunk

Start = Callable[..., Any]
_PLAIN = [("Content-Type", "text/plain")]

# Every way in which an app can give b"content", which the headers say how much of is wanted.
_WAYS: dict[str, Callable[[Path], Callable[[dict[str, Any], Any], Iterable[bytes]]]] = {}


def _way(
    function: Callable[[dict[str, Any], Any, Path], Iterable[bytes]],
) -> Callable[[dict[str, Any], Any, Path], Iterable[bytes]]:
    def bound(path: Path) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
        return lambda environ, write: function(environ, write, path)

    _WAYS[function.__name__] = bound
    return function


@_way
def _list_of_one(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    return [b"content"]


@_way
def _list(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    return [b"con", b"", b"tent"]


@_way
def _generator(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    return iter([b"", b"con", b"tent"])


@_way
def _written(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    write(b"con")
    write(b"tent")
    return []


@_way
def _written_and_returned(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    write(b"con")
    return [b"tent"]


@_way
def _file(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    path.write_bytes(b"content")
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
    return wrapped


@_way
def _file_by_hand(environ: dict[str, Any], write: Any, path: Path) -> Iterable[bytes]:
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"content"), 3)
    return wrapped


def _run(way: str, path: Path, status: str, line: str, *lines: str, headers: Any = ()) -> Any:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        write = start_response(status, [*_PLAIN, *headers])
        return _WAYS[way](path / "file")(environ, write)

    return exchange(app, line, *lines, validated=False)


def _whole(x: Any) -> bytes:
    """The content of a whole answer, read as its head says."""
    data = body(x)
    if "Transfer-Encoding: chunked" not in fields(x):
        return data
    content = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            assert data == b"\r\n"
            return content
        content += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]


@pytest.mark.parametrize("way", _WAYS)
class TestEveryWay:
    """What holds however the content comes."""

    @pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST / HTTP/1.1"])
    def test_arrives(self, way: str, line: str, tmp_path: Path) -> None:
        x = _run(way, tmp_path, "200 OK", line)
        assert (_whole(x), x.response.bytes_sent, x.response.keep_alive) == (b"content", 7, True)

    def test_9112_6_3_http_1_0_gets_no_chunks(self, way: str, tmp_path: Path) -> None:
        for asked in ("keep-alive", "Keep-Alive", "close"):
            x = _run(way, tmp_path, "200 OK", "GET / HTTP/1.0", f"Connection: {asked}")
            assert body(x) == b"content"
            assert not any(field.startswith("Transfer-Encoding") for field in fields(x))
            has_length = "Content-Length: 7" in fields(x)
            assert x.response.keep_alive is (has_length and asked != "close")
            assert fields(x)[-1] == "Connection: " + ("keep-alive" if x.response.keep_alive else "close")

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("HEAD / HTTP/1.1", "200 OK"),
            ("HEAD / HTTP/1.0", "404 Not Found"),
            ("GET / HTTP/1.1", "204 No Content"),
            ("GET / HTTP/1.1", "205 Reset Content"),
            ("GET / HTTP/1.1", "304 Not Modified"),
            ("GET / HTTP/1.0", "304 Not Modified"),
        ],
    )
    @pytest.mark.parametrize("headers", [[], [("Content-Length", "7")]])
    def test_9110_6_4_1_no_content_where_none_may_be(
        self, way: str, line: str, status: str, headers: Any, tmp_path: Path
    ) -> None:
        x = _run(way, tmp_path, status, line, "Connection: keep-alive", headers=headers)
        assert (body(x), x.response.bytes_sent, x.response.keep_alive) == (b"", 0, True)
        assert sent(x).count(b"HTTP/1.1") == 1
        lengths = [field for field in fields(x) if field.startswith(("Content-Length", "Transfer-Encoding"))]
        if status.startswith("205"):
            assert lengths == ["Content-Length: 0"]
        else:
            assert lengths == (["Content-Length: 7"] if headers and not status.startswith("204") else [])

    def test_9110_8_6_too_much_is_cut(
        self, way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        x = _run(way, tmp_path, "200 OK", "GET /a HTTP/1.1", headers=[("Content-Length", "4")])
        assert (body(x), x.response.bytes_sent) == (b"cont", 4)
        if "file" in way:  # to the end of the file or of the length: PEP 3333, "File Handling"
            assert (x.response.keep_alive, caplog.messages) == (True, [])
        else:
            assert x.response.keep_alive is False
            assert caplog.messages == [
                "GET /a: the app sent more than its Content-Length of 4: cut off, the connection closes"
            ]

    def test_9110_8_6_too_little_closes(
        self, way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        x = _run(way, tmp_path, "200 OK", "GET /a HTTP/1.1", headers=[("Content-Length", "9")])
        assert (body(x), x.response.bytes_sent, x.response.keep_alive) == (b"content", 7, False)
        assert "Content-Length: 9" in fields(x)
        (message,) = caplog.messages
        assert "GET /a: the app sent 7 bytes, less than its Content-Length of 9" in message

    def test_9110_8_6_what_head_declares_is_not_counted(
        self, way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for length in ("0", "4", "999"):
            x = _run(way, tmp_path, "200 OK", "HEAD / HTTP/1.1", headers=[("Content-Length", length)])
            assert f"Content-Length: {length}" in fields(x)
            assert x.response.keep_alive
        assert not caplog.records


class TestTheEnd:
    """Nothing follows it: it would be read as the next answer."""

    class _Closing:
        """Writes when it is closed, or fails."""

        def __init__(self, *pieces: bytes, last: Callable[[], object]) -> None:
            self.pieces = pieces
            self.close = last

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.pieces)

    @pytest.mark.parametrize("pieces", [(), (b"a",), (b"a", b"b")])
    @pytest.mark.parametrize("headers", [[], [("Content-Length", "9")]])
    @pytest.mark.parametrize("line", ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"])
    def test_write_in_close(
        self, pieces: tuple[bytes, ...], headers: Any, line: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def app(environ: dict[str, Any], start_response: Start) -> Any:
            write = start_response("200 OK", [*_PLAIN, *headers])
            return self._Closing(*pieces, last=lambda: write(b"late"))

        x = exchange(app, line, validated=False)
        assert b"late" not in sent(x)
        assert x.response.keep_alive is False
        assert "write() was called after the end of the response" in caplog.text

    @pytest.mark.parametrize("pieces", [[b"a"], iter([b"a", b"b"])])
    def test_write_in_a_posthook(self, pieces: Any, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: dict[str, Any], start_response: Start) -> Any:
            write = start_response("200 OK", _PLAIN)
            environ["greenserve.posthooks"].append((lambda environ: write(b"late"), (), {}))
            return pieces

        x = exchange(app, validated=False)
        assert b"late" not in sent(x)
        assert "write() was called after the end of the response" in caplog.text

    def test_a_whole_answer_is_not_cut_off_by_an_error_in_close(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        # Its client, of HTTP/1.0, takes the connection's end for the answer's: a reset would spoil it.
        def app(environ: dict[str, Any], start_response: Start) -> Any:
            start_response("200 OK", _PLAIN)
            return self._Closing(b"a", b"b", last=lambda: 1 / 0)

        x = exchange(app, "GET / HTTP/1.0", validated=False)
        assert (body(x), x.response.is_cut_off, x.response.keep_alive) == (b"ab", False, False)
        assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), GreenletExit(), PeerGone("x")])
@pytest.mark.parametrize(
    ("line", "headers", "out", "cut_off"),
    [
        ("GET / HTTP/1.1", [], chunk(b"part"), False),  # without the last chunk
        ("GET / HTTP/1.1", [("Content-Length", "9")], b"part", False),  # shorter than it says
        ("GET / HTTP/1.0", [("Content-Length", "9")], b"part", False),
        ("GET / HTTP/1.0", [], b"part", True),  # a reset has to say it
        ("HEAD / HTTP/1.1", [], b"", False),
    ],
)
@pytest.mark.parametrize("written", [True, False])
def test_9112_8_an_error_after_the_head_leaves_the_answer_incomplete(
    error: BaseException, line: str, headers: Any, out: bytes, cut_off: bool, written: bool
) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        write = start_response("200 OK", [*_PLAIN, *headers])
        if written:
            write(b"part")
        else:
            yield b"part"
        raise error

    class Failing:
        """A generator would not begin: of a HEAD's answer nothing more than the head is wanted."""

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            raise error

    def head_app(environ: dict[str, Any], start_response: Start) -> Any:
        start_response("200 OK", [*_PLAIN, *headers])(b"part")
        return Failing()

    x = exchange(head_app if line.startswith("HEAD") else app, line, validated=False)
    assert (x.response.status, body(x), x.response.keep_alive, x.response.is_cut_off) == (
        200,
        out,
        False,
        cut_off,
    )
    assert sent(x).count(b"HTTP/1.1") == 1


class TestBytes:
    """PEP 3333: bytes, and nothing that a class of its own makes of them."""

    class _Liar(bytes):
        def __len__(self) -> int:
            return 1

        def __add__(self, other: Any) -> bytes:
            return b"lie"

        __radd__ = __add__

        def __getitem__(self, key: Any) -> Any:
            return b"lie"

        def __bool__(self) -> bool:
            return False

    def test_a_class_of_its_own_is_its_bytes(self) -> None:
        liar = self._Liar(b"content")

        def written(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", _PLAIN)(liar)
            return []

        def returned(pieces: Any) -> Any:
            def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", _PLAIN)
                return pieces  # type: ignore[no-any-return]

            return app

        for app in (written, *map(returned, ([liar], [b"", liar], (liar,), iter([liar])))):
            x = exchange(app, validated=False)
            assert (_whole(x), x.response.bytes_sent, x.response.keep_alive) == (b"content", 7, True)

    @pytest.mark.parametrize("piece", [bytearray(b"x"), memoryview(b"x"), "x", 1, None, [b"x"]])
    def test_anything_else_is_the_apps_error_wherever_it_stands(
        self, piece: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        for pieces in ([piece], [b"a", piece], [piece, b"a"], (piece,), iter([piece])):

            def app(environ: dict[str, Any], start_response: Start, pieces: Any = pieces) -> Any:
                start_response("200 OK", _PLAIN)
                return pieces

            assert exchange(app, validated=False).response.status == 500
            assert "where PEP 3333 wants bytes" in caplog.text
            caplog.clear()

    def test_write_too(self) -> None:
        def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
            write = start_response("200 OK", _PLAIN)
            for wrong in (bytearray(b"x"), "x", None):
                with pytest.raises(AppError, match="wants bytes"):
                    write(wrong)
            return [b"x"]

        assert exchange(app, validated=False).response.status == 200


def test_a_client_that_goes_away_meanwhile_is_no_ones_fault(caplog: pytest.LogCaptureFixture) -> None:
    link = FakeLink()

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", _PLAIN)
        yield b"a"
        link.gone = True
        yield b"b"
        raise AssertionError("not reached")

    assert not exchange(app, link=link, validated=False).response.keep_alive
    assert not caplog.records


class TestFlush:
    def test_sends_the_head_once_and_the_rest_behind_it(self) -> None:
        def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
            write = start("200 OK", _PLAIN)
            write.__self__.flush()
            write.__self__.flush()
            return []

        done = exchange(app, validated=False)
        done.run()
        assert sent(done).endswith(b"\r\n\r\n0\r\n\r\n")
        assert sent(done).count(b"HTTP/1.1 200 OK") == 1
