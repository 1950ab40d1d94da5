"""files: pipes and terminals that let others run, and regular files that are as ever."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserve_hub import sleep, spawn
from greenserve_hub.files import GreenFileIO, open_pipe, read, write

MANY = bytes(range(256)) * 1024  # more than a pipe holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has


def test_reading_waits_and_lets_others_run(pipe: tuple[int, int]):
    reading = spawn(read, pipe[0], 10)
    sleep()
    assert not reading.dead
    os.write(pipe[1], b"hello")
    assert reading.wait() == b"hello"


def test_writing_all_of_it_waits_for_room(pipe: tuple[int, int]):
    writing = spawn(write, pipe[1], MANY)
    got = b""
    while len(got) < len(MANY):
        got += read(pipe[0], 10_000)
    assert (got, writing.wait()) == (MANY, len(MANY))


def test_two_may_read_one_pipe(pipe: tuple[int, int]):
    both = [spawn(read, pipe[0], 1) for _ in range(2)]
    sleep()
    os.write(pipe[1], b"ab")
    assert sorted(one.wait() for one in both) == [b"a", b"b"]


def test_in_nonblocking_mode_nothing_waits(pipe: tuple[int, int]):
    for end in pipe:
        os.set_blocking(end, False)
    with pytest.raises(BlockingIOError):
        read(pipe[0], 1)
    assert 0 < write(pipe[1], MANY) < len(MANY)
    with pytest.raises(BlockingIOError):
        write(pipe[1], MANY)
    with GreenFileIO(pipe[0], closefd=False) as raw:
        os.read(pipe[0], 1 << 20)
        assert raw.read(10) is None
        assert raw.readall() is None


def test_the_wrong_end_is_an_error_at_once(pipe: tuple[int, int]):
    with pytest.raises(OSError, match="Bad file descriptor"):
        write(pipe[0], b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        read(pipe[1], 1)


def test_a_regular_file_is_as_ever(tmp_path: Path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        assert write(fd, b"text") == 4
        os.lseek(fd, 0, os.SEEK_SET)
        assert read(fd, 10) == b"text"
        with open_pipe(fd, "rb", closefd=False) as file:
            assert not isinstance(file.raw, GreenFileIO)
    finally:
        os.close(fd)
    with open_pipe(tmp_path / "file") as file:
        assert file.read() == "text"


def test_buffered_and_text_over_a_pipe(pipe: tuple[int, int]):
    with (
        open_pipe(pipe[1], "w", encoding="utf-8", newline="\n") as writer,
        open_pipe(pipe[0], "rb") as reader,
    ):
        assert isinstance(reader.raw, GreenFileIO)
        assert isinstance(writer, io.TextIOWrapper)
        reading = spawn(reader.readline)
        sleep()
        writer.write("grün\nrest")
        writer.flush()
        assert reading.wait() == "grün\n".encode()
        writer.close()
        assert reader.read() == b"rest"


def test_line_buffered_text_comes_line_by_line(pipe: tuple[int, int]):
    with open_pipe(pipe[1], "w", 1) as writer, open_pipe(pipe[0], "r") as reader:
        writer.write("one\n")
        assert reader.readline() == "one\n"


def test_unbuffered_writes_all(pipe: tuple[int, int]):
    with open_pipe(pipe[1], "wb", 0) as writer, open_pipe(pipe[0], "rb", 0) as reader:
        writing = spawn(lambda: (writer.write(MANY), writer.close()))
        assert reader.read() == MANY
        assert writing.wait() == (len(MANY), None)


def test_errors_are_those_of_open(pipe: tuple[int, int]):
    with pytest.raises(ValueError, match="unbuffered text"):
        open_pipe(pipe[0], "r", 0, closefd=False)
    with pytest.raises(ValueError, match="encoding"):
        open_pipe(pipe[0], "rb", encoding="utf-8")
    with pytest.raises(OSError, match="Bad file descriptor"):
        open_pipe(-1, "rb")
