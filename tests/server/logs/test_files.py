"""files: lines go out whole, or are counted; nothing is raised and nothing stalls."""

import contextlib
import errno
import fcntl
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserve.logs import files as log_file
from greenserve.logs.files import LogFile


class Troubles(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still, so no file is looked for: see test_rotated_files.py."""
    monkeypatch.setattr(log_file, "_monotonic", lambda: 100.0)


@contextlib.contextmanager
def piped_stdout() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Make sys.stdout a pipe; gives the reading end and the stream.

    No fixture: pytest puts its own sys.stdout back between a fixture and its test.
    """
    reading, writing = os.pipe()
    with open(writing, "w") as stream, contextlib.redirect_stdout(stream):
        yield reading, stream
    os.close(reading)


def test_lines_are_appended_to_the_file(tmp_path: Path, troubles: Troubles) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    log = LogFile(str(path), "stdout", troubles)
    log.write(b"one\n")
    assert path.read_bytes() == b"old\none\n"  # at once: nothing is buffered
    log.close()
    log.close()
    log.write(b"late\n")
    assert path.read_bytes() == b"old\none\n"
    assert (log.lost, troubles) == (0, [])


def test_a_new_file_is_not_for_everyone(tmp_path: Path, troubles: Troubles) -> None:
    before = os.umask(0)
    try:
        LogFile(str(tmp_path / "a.log"), "stdout", troubles).close()
    finally:
        os.umask(before)
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o640


def test_lines_of_two_logs_on_one_file_never_overwrite_each_other(tmp_path: Path, troubles: Troubles) -> None:
    path = tmp_path / "a.log"
    logs = [LogFile(str(path), "stdout", troubles) for _ in range(2)]
    for number in range(100):
        logs[number % 2].write(b"%d\n" % number)
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(100))
    for log in logs:
        log.close()


def test_a_file_that_cannot_be_opened_is_the_callers_to_report(tmp_path: Path, troubles: Troubles) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(str(tmp_path / "no" / "a.log"), "stdout", troubles)


def test_a_fifo_without_a_reader_does_not_block(tmp_path: Path, troubles: Troubles) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError) as caught:  # noqa: PT011  (the errno is what matters)
        LogFile(str(tmp_path / "fifo"), "stdout", troubles)
    assert caught.value.errno == errno.ENXIO


def test_reopen_follows_a_rotation(tmp_path: Path, troubles: Troubles) -> None:
    path, old = tmp_path / "a.log", tmp_path / "a.log.1"
    log = LogFile(str(path), "stdout", troubles)
    log.write(b"one\n")
    path.rename(old)
    log.write(b"two\n")
    log.reopen()
    log.write(b"three\n")
    log.close()
    log.reopen()  # closed: nothing to follow
    assert (old.read_bytes(), path.read_bytes()) == (b"one\ntwo\n", b"three\n")


def test_many_lines_are_one_write(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    monkeypatch.setattr(log_file, "_os_write", lambda fd, data: writes.append(data) or len(data))
    log = LogFile(str(tmp_path / "a.log"), "stdout", troubles)
    log.write_all([b"%d\n" % number for number in range(3)])
    log.close()
    assert writes == [b"0\n1\n2\n"]


def test_many_lines_go_into_a_pipe_in_pieces_that_cannot_block(
    troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    with piped_stdout() as (reading, _):
        monkeypatch.setattr(
            log_file, "_os_write", lambda fd, data: writes.append(len(data)) or os.write(fd, data)
        )
        log = LogFile("-", "stdout", troubles)
        lines = [b"x" * 999 + b"\n"] * 100
        log.write_all(lines)  # more than the pipe holds: the rest is lost, and nothing blocks
        log.close()
        assert set(writes) == {4000}
        assert log.lost == 100 - 4 * len(writes)
        assert len(os.read(reading, 1 << 20)) == 4000 * len(writes)


def test_lines_that_went_out_in_part_are_counted(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "a.log"), "stdout", troubles)
    monkeypatch.setattr(log_file, "_os_write", lambda fd, data: os.write(fd, data[:9]))
    log.write_all([b"one\n", b"two\n", b"three\n", b"four\n"])  # up to "one\ntwo\nt"
    monkeypatch.undo()
    assert log.lost == 2
    log.write(b"five\n")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo\nt\nfive\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_makes_again_has_the_owner_of_before(tmp_path: Path, troubles: Troubles) -> None:
    path = tmp_path / "a.log"
    log = LogFile(str(path), "stdout", troubles)
    os.chown(path, 12345, 54321)
    path.rename(tmp_path / "old")
    assert log.reopen()
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)
    path.unlink()
    path.touch()  # by logrotate's create, which knows what it does
    assert log.reopen()
    assert path.stat().st_uid == 0
    log.close()


def test_a_reopen_that_fails_keeps_the_old_file(tmp_path: Path, troubles: Troubles) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = LogFile(str(folder / "a.log"), "stdout", troubles)
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.write(b"one\n")
    log.close()
    assert (tmp_path / "moved" / "a.log").read_bytes() == b"one\n"
    assert len(troubles) == 1
    assert "can't be reopened" in troubles[0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's full disk")
def test_a_full_disk_costs_lines_and_is_said_once(troubles: Troubles) -> None:
    log = LogFile("/dev/full", "stdout", troubles)
    for _ in range(3):
        log.write(b"line\n")
    assert log.lost == 3
    assert troubles == ["/dev/full: log lines are being lost: No space left on device"]
    log.close()


def test_when_writing_works_again_the_loss_is_said_with_its_count(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "a.log"), "stdout", troubles)

    def full(fd: int, line: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for round_ in (1, 2):
        monkeypatch.setattr(log_file, "_os_write", full)
        log.write(b"lost\n")
        log.write(b"lost\n")
        monkeypatch.undo()
        log.write(b"kept\n")
        assert len(troubles) == 2 * round_
        assert troubles[-1].endswith("works again, 2 lines were lost")
    assert log.lost == 4
    assert (tmp_path / "a.log").read_bytes() == b"kept\n" * 2
    log.close()


def test_a_line_that_went_out_in_part_does_not_spoil_the_next(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "a.log"), "stdout", troubles)
    monkeypatch.setattr(log_file, "_os_write", lambda fd, line: os.write(fd, line[:3]))
    log.write(b"torn line\n")
    monkeypatch.undo()
    log.write(b"whole\n")
    log.write(b"whole\n")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"tor\nwhole\nwhole\n"
    assert log.lost == 1


def test_stdout_gets_each_line_at_once(troubles: Troubles) -> None:
    with piped_stdout() as (reading, stream):
        stream.write("printed before\n")
        log = LogFile("-", "stdout", troubles)
        log.write(b"one\n")
        assert os.read(reading, 100) == b"printed before\none\n"
        log.reopen()
        log.write(b"two\n")
        assert os.read(reading, 100) == b"two\n"
        log.close()


def test_a_closed_stdout_never_sends_lines_to_whoever_gets_its_number(
    troubles: Troubles, tmp_path: Path
) -> None:
    with piped_stdout() as (reading, stream):
        log = LogFile("-", "stdout", troubles)
        number = stream.fileno()
        stream.close()
        with open(tmp_path / "other", "wb") as other:
            assert other.fileno() == number
            log.write(b"one\n")
        assert (tmp_path / "other").read_bytes() == b""
        assert os.read(reading, 100) == b"one\n"
        log.close()


def test_a_stdout_that_nobody_reads_costs_lines_not_time(troubles: Troubles) -> None:
    with piped_stdout() as (reading, _):
        log = LogFile("-", "stdout", troubles)
        line = b"x" * 999 + b"\n"
        waits: list[int] = []
        ready = log._ready
        assert ready is not None
        log._ready = lambda wait: waits.append(wait) or ready(wait)  # type: ignore[func-returns-value]
        for _ in range(1000):  # far more than a pipe holds
            log.write(line)
        assert log.lost > 500
        patient = 1000 - log.lost + 1
        assert waits == [log_file.PATIENCE] * patient + [0] * (1000 - patient)  # once, not for each line
        assert len(troubles) == 1
        assert "does not read" in troubles[0]
        lost = log.lost
        _drain(reading)
        log.write(b"again\n")
        assert log.lost == lost
        assert troubles[1].endswith(f"{lost} lines were lost")
        log.close()


def test_a_stdout_whose_reader_is_gone_costs_lines(troubles: Troubles) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stream, contextlib.redirect_stdout(stream):
        log = LogFile("-", "stdout", troubles)
    os.close(reading)
    log.write(b"one\n")
    assert log.lost == 1
    assert troubles == ["stdout: log lines are being lost: Broken pipe"]
    log.close()


def test_the_child_of_a_fork_writes_to_the_stream_itself_and_waits_no_longer_than_its_parent(
    troubles: Troubles,
) -> None:
    reader, writer = os.pipe()
    with contextlib.closing(os.fdopen(writer, "w")) as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        log = LogFile("-", "stdout", troubles.append)
        child = os.fork()
        if child == 0:
            copy = log.duplicate()
            os.write(copy, b"from C\n")
            log.write(b"a line\n")
            for _ in range(3000):  # more than a pipe takes
                log.write(b"x" * 100 + b"\n")
            os._exit(log.lost > 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert os.read(reader, 14) == b"from C\na line\n"
        log.close()
    os.close(reader)


def test_a_stream_without_a_descriptor_is_written_as_text(
    monkeypatch: pytest.MonkeyPatch, troubles: Troubles
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log = LogFile("-", "stderr", troubles)
    log.write("é\n".encode())
    assert stream.getvalue() == "é\n"
    stream.close()
    log.write(b"x\n")
    assert log.lost == 1
    log.close()


def test_a_program_without_stdout_has_a_log_that_swallows(
    monkeypatch: pytest.MonkeyPatch, troubles: Troubles
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    log = LogFile("-", "stdout", troubles)
    log.write(b"x\n")
    log.close()
    assert (log.lost, troubles) == (0, [])


@pytest.mark.parametrize("place", ["-", "file"])
def test_no_descriptor_is_left_or_inherited(place: str, tmp_path: Path, troubles: Troubles) -> None:
    with piped_stdout():
        before = _open_descriptors()
        log = LogFile("-" if place == "-" else str(tmp_path / "a.log"), "stdout", troubles)
        (number,) = _open_descriptors() - before
        assert fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        log.reopen()
        log.close()
        assert _open_descriptors() == before


def _open_descriptors() -> set[int]:
    found = set()
    for number in range(256):
        with contextlib.suppress(OSError):
            os.fstat(number)
            found.add(number)
    return found


def _drain(fd: int) -> None:
    os.set_blocking(fd, False)
    try:
        while os.read(fd, 65536):
            pass
    except BlockingIOError:
        pass
