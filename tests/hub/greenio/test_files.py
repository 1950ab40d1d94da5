"""files: pipes and terminals that let others run, and regular files that are as ever."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.hubs import descriptors
from tests.support.times import MS

from greenserve_hub import kill, sleep, socketpair, spawn
from greenserve_hub.greenio.files import GreenFileIO, open_descriptor, open_pipe, read, write

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


# FIFOs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def copied(file: Any) -> int:
    with file:
        return os.dup(file.fileno())


OPENERS: dict[str, Callable[[Path], int]] = {
    "os.open": lambda path: open_descriptor(path, os.O_RDONLY),
    "FileIO": lambda path: copied(GreenFileIO(path)),
    "open": lambda path: copied(open_pipe(path, "rb")),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_opening_a_fifo_waits_for_the_other_end(opener: str, fifo: Path):
    opening = spawn(OPENERS[opener], fifo)
    sleep(10 * MS)
    assert not opening.dead
    writer = open_descriptor(fifo, os.O_WRONLY)  # who comes second does not wait
    fd = opening.wait()
    assert not os.get_inheritable(fd)
    reading = spawn(read, fd, 10)
    sleep(MS)
    assert not reading.dead
    write(writer, b"hello")
    assert reading.wait() == b"hello"
    os.close(writer)
    assert read(fd, 10) == b""
    os.close(fd)


def test_a_fifo_in_a_folder_that_is_a_descriptor(fifo: Path):
    folder = os.open(fifo.parent, os.O_RDONLY)
    opening = spawn(open_descriptor, "fifo", os.O_RDONLY, dir_fd=folder)
    sleep(10 * MS)
    assert not opening.dead
    os.close(open_descriptor("fifo", os.O_WRONLY, dir_fd=folder))
    os.close(opening.wait())
    os.close(folder)


def test_in_nonblocking_mode_and_for_both_ends_nobody_waits(fifo: Path):
    with pytest.raises(OSError, match="No such device"):
        open_descriptor(fifo, os.O_WRONLY | os.O_NONBLOCK)
    for flags in (os.O_RDONLY | os.O_NONBLOCK, os.O_RDWR, os.O_PATH):
        os.close(open_descriptor(fifo, flags))


def test_twenty_readers_and_then_their_writers(tmp_path: Path):
    # As many as threads.execute() has OS threads, so that the writers would wait for them in vain.
    paths = [tmp_path / str(number) for number in range(25)]
    for path in paths:
        os.mkfifo(path)
    readers = [spawn(open_descriptor, path, os.O_RDONLY) for path in paths]
    sleep(10 * MS)
    for path in paths:
        os.close(open_descriptor(path, os.O_WRONLY))
    for reader in readers:
        os.close(reader.wait())


def test_who_is_killed_leaves_no_descriptor(fifo: Path):
    before = set(os.listdir("/proc/self/fd"))
    opening = spawn(open_descriptor, fifo, os.O_RDONLY)
    sleep(10 * MS)
    kill(opening)
    writer = open_descriptor(fifo, os.O_WRONLY)  # the OS thread has waited for it
    with pytest.raises(BrokenPipeError):  # noqa: PT012  # as soon as that has closed it
        while True:
            os.write(writer, b"x")
            sleep(MS)
    os.close(writer)
    sleep(MS)
    assert set(os.listdir("/proc/self/fd")) <= before


# As open() ------------------------------------------------------------------------------------------------


def described(make: Callable[[], Any]) -> Any:
    """What open() gives, or how it fails."""
    try:
        file = make()
    except Exception as error:
        return type(error), str(error)
    with file:
        layers = []
        layer = file
        while layer is not None:
            kind = io.FileIO if isinstance(layer, io.FileIO) else type(layer)
            names = (
                "name",
                "mode",
                "closefd",
                "encoding",
                "errors",
                "newlines",
                "line_buffering",
                "write_through",
            )
            layers.append((kind, [getattr(layer, name, None) for name in names]))
            layer = getattr(layer, "buffer", None) or getattr(layer, "raw", None)
        return layers, file.readable(), file.writable(), file.seekable(), file.isatty(), file.fileno()


MODES = [
    "r",
    "rb",
    "rt",
    "w",
    "wb",
    "a",
    "ab",
    "r+",
    "r+b",
    "+r",
    "w+b",
    "x",
    "xb",
    "",
    "b",
    "rw",
    "rbt",
    "rr",
    "r++",
    "q",
]
WAYS = [
    {},
    {"buffering": 0},
    {"buffering": 1},
    {"buffering": 100},
    {"encoding": "ascii", "errors": "replace", "newline": "\n"},
    {"encoding": "nowhere"},
    {"newline": "x"},
    {"closefd": False},
]


@pytest.mark.parametrize("what", ["pipe", "terminal", "device", "file", "folder", "nothing", "number"])
@pytest.mark.filterwarnings("ignore:line buffering:RuntimeWarning")
def test_it_gives_what_open_gives(what: str, tmp_path: Path):
    def made() -> tuple[Any, list[int]]:
        if what in ("pipe", "number"):
            ends = os.pipe()
            return (ends[0] if what == "pipe" else 1000), list(ends)
        if what == "terminal":
            ends = pty.openpty()
            return os.ttyname(ends[1]), list(ends)
        if what == "file":
            (tmp_path / "file").write_text("x")
        return {"device": "/dev/null", "file": tmp_path / "file", "folder": tmp_path, "nothing": ""}[what], []

    for mode in MODES:
        for way in WAYS:
            seen = []
            for one in (open_pipe, io.open):
                file, ends = made()
                seen.append(described(partial(one, file, mode, **way)))
                for fd in ends:
                    with suppress(OSError):
                        os.close(fd)
                (tmp_path / "file").unlink(missing_ok=True)
            assert str(seen[0]) == str(seen[1]), (mode, way)


def test_a_terminal_is_read_and_written_green():
    master, slave = pty.openpty()
    with open_pipe(os.ttyname(slave), "r+b", 0) as terminal:
        reading = spawn(terminal.readline)
        sleep(MS)
        assert not reading.dead
        os.write(master, b"in\n")
        assert reading.wait() == b"in\n"
        assert terminal.write(b"out") == 3
        seen = b""
        while len(seen) < len(b"in\r\nout"):  # the kernel hands on what was written when it comes to it
            seen += read(master, 100)
        assert seen == b"in\r\nout"
    os.close(master)
    os.close(slave)


def test_a_green_sockets_number_is_read_green():
    one, other = socketpair()
    with one, other, open_pipe(one.fileno(), "rb", closefd=False) as file:
        for ask in (file.readline, lambda: file.read(6), lambda: file.raw.read(100)):
            reading = spawn(ask)
            sleep(MS)
            assert not reading.dead
            other.sendall(b"hello\n")
            assert reading.wait() == b"hello\n"


def test_what_only_an_os_thread_can_wait_for_is_read_into_buffers():
    fault = descriptors.UserFault()
    touching = threading.Thread(target=fault.touch)
    with open_pipe(fault.fd, "rb", closefd=False) as file:
        reading = spawn(file.read1)
        sleep(MS)
        assert not reading.dead
        touching.start()
        assert len(reading.wait()) == 32  # struct uffd_msg
    fault.resolve()
    touching.join()
    os.close(fault.fd)


def test_the_warning_of_a_default_encoding_is_the_callers(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    script = (
        "from greenserve_hub.greenio.files import open_pipe; import warnings; warnings.simplefilter('error')\n"
        "for file in sys.argv[1], 0:\n"
        "    with warnings.catch_warnings(record=True) as told:\n"
        "        warnings.simplefilter('always')\n"
        "        open_pipe(file).close()\n"
        "    print(told[0].category.__name__, told[0].filename)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "warn_default_encoding",
            "-c",
            "import sys; " + script,
            str(tmp_path / "file"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("EncodingWarning <string>\n" * 2, "")
