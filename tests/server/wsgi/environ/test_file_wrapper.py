"""file_wrapper: what the kernel may send by itself, and what it may not (PEP 3333, "File Handling")."""

from __future__ import annotations

import errno
import gzip
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.links import FakeLink, body, exchange, fields

from greenserve.errors import PeerGone
from greenserve.wsgi import FileWrapper

_OF_SYSFS = Path("/sys/class/net/lo/mtu")
_CONTENT = b"0123456789" * 20_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(_CONTENT)
    return path


def _serve(
    file: Any, *lines: str, headers: Any = (), link: FakeLink | None = None, sendfile: bool = True
) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "x/y"), *headers])
        return environ["wsgi.file_wrapper"](file)

    return exchange(app, *lines, link=link, sendfile=sendfile, validated=False)


class TestByTheKernel:
    def test_a_file_goes_out_whole_and_is_counted(self, path: Path) -> None:
        link = FakeLink()
        file = path.open("rb")
        x = _serve(file, link=link)
        assert (body(x), x.response.bytes_sent, x.response.keep_alive, link.files) == (
            _CONTENT,
            len(_CONTENT),
            True,
            1,
        )
        assert f"Content-Length: {len(_CONTENT)}" in fields(x)
        assert file.closed

    def test_from_where_it_stands(self, path: Path) -> None:
        file = path.open("rb")
        file.seek(len(_CONTENT) - 3)
        assert body(_serve(file)) == b"789"

    def test_from_behind_what_was_read_through_the_buffer(self, path: Path) -> None:
        file = path.open("rb")
        file.read(10)
        assert body(_serve(file)) == _CONTENT[10:]

    def test_unbuffered(self, path: Path) -> None:
        link = FakeLink()
        assert body(_serve(path.open("rb", buffering=0), link=link)) == _CONTENT
        assert link.files == 1

    def test_no_more_than_the_apps_content_length(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        x = _serve(path.open("rb"), headers=[("Content-Length", "5")])
        assert (body(x), x.response.bytes_sent, x.response.keep_alive) == (b"01234", 5, True)

    def test_less_than_the_apps_content_length_closes(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        x = _serve(path.open("rb"), headers=[("Content-Length", str(len(_CONTENT) + 1))])
        assert (body(x), x.response.keep_alive) == (_CONTENT, False)
        assert "less than its Content-Length" in caplog.text

    def test_a_file_that_shrinks_meanwhile_closes(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        class Shrinking(FakeLink):
            def send_file(self, fd: int, offset: int, count: int) -> int:
                os.truncate(path, 7)
                return super().send_file(fd, offset, count)

        x = _serve(path.open("rb"), link=Shrinking())
        assert (body(x), x.response.keep_alive) == (_CONTENT[:7], False)
        assert caplog.records

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        x = _serve((tmp_path / "empty").open("rb"))
        assert (body(x), x.response.keep_alive) == (b"", True)
        assert "Content-Length: 0" in fields(x)

    def test_head_sends_nothing_of_it(self, path: Path) -> None:
        link = FakeLink()
        file = path.open("rb")
        x = _serve(file, "HEAD / HTTP/1.1", link=link)
        assert (body(x), link.files, file.closed, x.response.keep_alive) == (b"", 0, True, True)

    def test_http_1_0(self, path: Path) -> None:
        x = _serve(path.open("rb"), "GET / HTTP/1.0", "Connection: keep-alive")
        assert (body(x), x.response.keep_alive) == (_CONTENT, True)

    def test_a_client_that_goes_away(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        link = FakeLink()
        link.file_error = PeerGone("reset")
        file = path.open("rb")
        x = _serve(file, link=link)
        assert (x.response.keep_alive, file.closed) == (False, True)
        assert not caplog.records


class TestByHand:
    """Where sendfile(2) is not to be had, the same comes out in blocks."""

    def test_what_has_no_descriptor(self) -> None:
        file = io.BytesIO(_CONTENT)
        x = _serve(file, headers=[("Content-Length", str(len(_CONTENT)))])
        assert (body(x), x.response.keep_alive, file.closed) == (_CONTENT, True, True)

    def test_what_only_has_read(self) -> None:
        class Reader:
            left = 2

            def read(self, size: int) -> bytes:
                self.left -= 1
                return b"x" if self.left >= 0 else b""

        assert body(_serve(Reader())) == b"1\r\nx\r\n1\r\nx\r\n0\r\n\r\n"

    def test_when_it_is_switched_off(self, path: Path) -> None:
        link = FakeLink()
        x = _serve(
            path.open("rb"), link=link, sendfile=False, headers=[("Content-Length", str(len(_CONTENT)))]
        )
        assert (body(x), link.files) == (_CONTENT, 0)

    @pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOVERFLOW])
    def test_when_the_kernel_refuses(self, path: Path, number: int) -> None:
        link = FakeLink()
        link.file_error = OSError(number, "no")
        file = path.open("rb")
        file.seek(5)
        x = _serve(file, link=link)
        assert (body(x), x.response.bytes_sent, x.response.keep_alive) == (
            _CONTENT[5:],
            len(_CONTENT) - 5,
            True,
        )

    def test_after_write(self, path: Path) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", [("Content-Length", str(len(_CONTENT) + 1))])(b"<")
            return environ["wsgi.file_wrapper"](path.open("rb"), 999)

        assert body(exchange(app, validated=False)) == b"<" + _CONTENT

    def test_below_a_middleware(self, path: Path) -> None:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", [("Content-Type", "x/y"), ("Content-Length", str(len(_CONTENT)))])
            return environ["wsgi.file_wrapper"](path.open("rb"))

        assert body(exchange(app)) == _CONTENT  # the checker is one


class TestRegion:
    """What of a file is the kernel's to send: only what the descriptor holds is what read() would give."""

    def test_a_binary_file(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(9)
            assert FileWrapper(file).region() == (file.fileno(), 9, len(_CONTENT) - 9)
            file.seek(len(_CONTENT) + 9)
            region = FileWrapper(file).region()
            assert region is not None
            assert region[2] == 0

    def test_a_text_file(self, path: Path) -> None:
        with path.open() as file:
            assert FileWrapper(file).region() is None

    def test_a_compressed_file(self, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "z", "wb") as file:
            file.write(b"x")
        with gzip.open(tmp_path / "z", "rb") as file:
            assert FileWrapper(file).region() is None

    @pytest.mark.skipif(not _OF_SYSFS.exists(), reason="needs sysfs")
    def test_a_file_of_sysfs_whose_size_is_a_page(self) -> None:
        with _OF_SYSFS.open("rb") as file:
            assert os.fstat(file.fileno()).st_size > len(_OF_SYSFS.read_bytes())
            assert FileWrapper(file).region() is None
            assert b"".join(FileWrapper(file)) == _OF_SYSFS.read_bytes()

    def test_a_large_file_of_holes(self, tmp_path: Path) -> None:
        with (tmp_path / "holes").open("wb+") as file:
            file.truncate(1_000_000)
            assert FileWrapper(file).region() == (file.fileno(), 0, 1_000_000)

    def test_a_pipe_and_a_socket(self) -> None:
        read, write = os.pipe()
        with open(read, "rb") as file, open(write, "wb"):
            assert FileWrapper(file).region() is None
        one, other = socket.socketpair()
        with one, other, one.makefile("rb") as stream:
            assert FileWrapper(stream).region() is None

    def test_a_closed_file_and_no_file(self, path: Path) -> None:
        file = path.open("rb")
        file.close()
        assert FileWrapper(file).region() is None
        assert FileWrapper(object()).region() is None

    def test_a_file_in_disguise(self, path: Path) -> None:
        class Upper(io.BufferedReader):
            def read(self, size: int | None = -1) -> bytes:
                return super().read(size).upper()

        with Upper(io.FileIO(path)) as file:
            assert FileWrapper(file).region() is None


def test_iterates_over_blocks_and_closes() -> None:
    file = io.BytesIO(b"abcdefg")
    wrapper = FileWrapper(file, 3)
    assert list(wrapper) == [b"abc", b"def", b"g"]
    wrapper.close()
    assert file.closed
    FileWrapper(object()).close()


def test_is_its_own_iterator() -> None:
    # Werkzeug and WebOb keep iter() of it for a range, and close that.
    file = io.BytesIO(b"abc")
    iterator = iter(FileWrapper(file, 2))
    assert [next(iterator), next(iterator)] == [b"ab", b"c"]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert file.closed


def test_a_range_can_be_had_without_reading_what_is_before_it() -> None:
    wrapper = FileWrapper(io.BytesIO(b"abcdef"), 2)
    assert wrapper.seekable()
    wrapper.seek(3)
    assert (wrapper.tell(), next(wrapper)) == (3, b"de")
    assert not FileWrapper(object()).seekable()
