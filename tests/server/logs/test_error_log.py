"""logs: the error log's form, and that the standard logger is given back as it was."""

import contextlib
import errno
import io
import json
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from greenserve.errors import ConfigError
from greenserve.logs import files as log_file
from greenserve.logs.error_log import ErrorLog, error_log, open_error_log

HEAD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \[(\d+)\] ([a-z]+): (.*)")


def opened(path: Path, level: str = "info") -> ErrorLog:
    return open_error_log(str(path), level)


def test_a_record_has_time_zone_pid_and_level(tmp_path: Path) -> None:
    with opened(tmp_path / "e.log"):
        error_log.warning("port %d is taken", 80)
    match = HEAD.fullmatch((tmp_path / "e.log").read_text().rstrip("\n"))
    assert match is not None
    assert match.groups() == (str(os.getpid()), "warning", "port 80 is taken")


def test_stderr_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with open_error_log("-", "info"):
        error_log.info("hello")
    assert stream.getvalue().endswith(f"[{os.getpid()}] info: hello\n")


@pytest.mark.parametrize(
    ("level", "said"), [("debug", "abc"), ("info", "bc"), ("warning", "c"), ("critical", "")]
)
def test_the_level_decides(tmp_path: Path, level: str, said: str) -> None:
    with opened(tmp_path / "e.log", level):
        error_log.debug("a")
        error_log.info("b")
        error_log.warning("c")
    assert "".join(line[-1] for line in (tmp_path / "e.log").read_text().splitlines()) == said


def test_only_a_record_begins_in_the_first_column(tmp_path: Path) -> None:
    with opened(tmp_path / "e.log"):
        try:
            raise ValueError("bad\n2026-01-01 00:00:00 +0000 [1] info: forged")
        except ValueError:
            error_log.exception("failed")
        error_log.info("a\n2026-01-01 00:00:00 +0000 [1] info: forged\r\x1b[2J\x85\u2028\x00end\ttab")
        error_log.info("stack", stack_info=True)
    text = (tmp_path / "e.log").read_text()
    heads = [line for line in text.split("\n") if line and not line.startswith("    ")]
    assert [HEAD.fullmatch(line) is not None for line in heads] == [True, True, True]
    assert "Traceback (most recent call last)" in text
    assert "\n    2026-01-01 00:00:00 +0000 [1] info: forged\\x0d\\x1b[2J\\x85\\u2028\\x00end\ttab\n" in text
    assert "Stack (most recent call last)" in text


def test_a_record_that_cannot_be_formatted_is_logged_all_the_same(tmp_path: Path) -> None:
    with opened(tmp_path / "e.log"):
        error_log.info("%d", "x")
        error_log.info("lone \udc80")
    text = (tmp_path / "e.log").read_text()
    assert "'%d' ('x',)" in text
    assert "lone \\udc80" in text


def test_the_logger_is_given_back_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = (error_log.level, error_log.propagate, list(error_log.handlers))
    log = opened(tmp_path / "e.log")
    assert not error_log.propagate
    log.close()
    log.close()
    assert (error_log.level, error_log.propagate, list(error_log.handlers)) == before
    error_log.error("to the program's own handlers")
    assert "to the program's own handlers" in caplog.text
    assert (tmp_path / "e.log").read_text() == ""


def test_nothing_is_set_up_by_importing() -> None:
    assert error_log.name == "greenserve.error"
    assert error_log.handlers == []
    assert error_log.propagate
    assert error_log.level == logging.NOTSET


def test_reopen_follows_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "e.log"
    with opened(path) as log:
        error_log.info("one")
        path.rename(tmp_path / "e.log.1")
        log.reopen()
        error_log.info("two")
    assert path.read_text().endswith("two\n")


def test_a_place_that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^error_logfile = '.*e\.log': can't be opened: No such file"):
        opened(tmp_path / "no" / "e.log")
    assert error_log.handlers == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's full disk")
def test_an_error_log_that_cannot_be_written_harms_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with open_error_log("/dev/full", "info"):
        error_log.error("lost")
    assert capfd.readouterr() == ("", "")


class TestWhenItCannotBeWritten:
    """The error log is the last one: what it loses it says itself, when it works again."""

    def test_the_loss_is_told_with_its_count_afterwards(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(fd: int, line: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with opened(tmp_path / "e.log") as log:
            monkeypatch.setattr(log_file, "_os_write", full)
            error_log.info("lost")
            error_log.info("lost")
            assert log.text_stream().write("lost\n") == 5
            monkeypatch.undo()
            error_log.info("kept")
        kept, told = (tmp_path / "e.log").read_text().splitlines()
        assert kept.endswith("info: kept")
        # Two lines, one of an app, and the one that would have told of it.
        assert told.endswith("logging works again, 4 lines were lost")

    def test_a_reopening_that_fails_is_told_in_the_old_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "logs"
        folder.mkdir()
        with opened(folder / "e.log") as log:
            folder.rename(tmp_path / "moved")
            log.reopen()
        assert "can't be reopened, keeping the old file" in (tmp_path / "moved" / "e.log").read_text()

    def test_apps_write_to_a_stderr_that_nobody_reads_without_standing_still(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, writing = os.pipe()
        with open(writing, "w") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            with open_error_log("-", "info") as log:
                errors = log.text_stream()
                waits: list[int] = []
                ready = log._file._ready
                assert ready is not None
                log._file._ready = lambda wait: waits.append(wait) or ready(wait)  # type: ignore[func-returns-value]
                for _ in range(1000):  # far more than a pipe holds
                    errors.write("x" * 999 + "\n")
                patient = waits.count(log_file.PATIENCE)
                assert patient < 500
                assert set(waits[patient:]) == {0}, "one wait in vain, not one for each line"
            monkeypatch.undo()
            os.set_blocking(reading, False)
            while len(os.read(reading, 1 << 16)) == 1 << 16:
                pass
        os.close(reading)

    @pytest.mark.parametrize("how", ["closed", "no reader", "never there"])
    def test_apps_write_to_a_stderr_that_is_gone(self, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
        reading, writing = os.pipe()
        stream = os.fdopen(writing, "w")
        monkeypatch.setattr(sys, "stderr", None if how == "never there" else stream)
        with open_error_log("-", "info") as log:
            if how == "closed":
                stream.close()
            if how == "no reader":
                os.close(reading)
            log.text_stream().write("text\n")
            log.text_stream().flush()
        if how != "no reader":
            os.close(reading)
        with contextlib.suppress(OSError):
            stream.close()


def test_what_apps_write_is_a_record_too_where_records_are_json(tmp_path: Path) -> None:
    place = tmp_path / "e.log"
    with open_error_log(str(place), "info", "json") as log:
        errors = log.text_stream()
        errors.write('one\x1b[2J\n{"level":"error"}\nbeg')
        errors.write("un\n")
        errors.write("left")
        errors.flush()
    records = [json.loads(line) for line in place.read_text().splitlines()]
    assert [one["message"] for one in records] == ["one\x1b[2J", '{"level":"error"}', "begun", "left"]
    assert {one["level"] for one in records} == {"app"}
    assert {one["pid"] for one in records} == {os.getpid()}
    assert "\x1b" not in place.read_text()
