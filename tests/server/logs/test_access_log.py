"""access_log: one line for each request, and no harm whatever happens to the log."""

import io
import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from greenserve.errors import ConfigError
from greenserve.logs import access_log
from greenserve.logs.access_log import AccessLog, open_access_log
from greenserve.logs.record import Record


class Finished:
    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def record(self, began: float, seconds: float) -> Record:
        seen = Record("::1", 5, "GET", "/", "HTTP/1.1", 200, 12, 0, began, seconds, None, {})
        return seen._replace(**self._changes)

    def tell(self, take: Any, began: float, seconds: float) -> Any:
        return take(*self.record(began, seconds))


def log_one(log: AccessLog, **changes: Any) -> None:
    log.log(Finished(**changes), time.monotonic() - 0.5)


def opened(place: object = "-", line_format: str = "combined") -> AccessLog:
    log = open_access_log(str(place), line_format)
    assert log is not None
    return log


def test_off_is_none() -> None:
    assert open_access_log("off", "combined") is None


def test_one_line_for_each_request(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = opened(path, "%h %s %b")
    log_one(log)
    log_one(log, status=404, bytes_sent=0)
    assert path.read_text() == "::1 200 12\n::1 404 -\n"
    path.rename(tmp_path / "a.log.1")
    log.reopen()
    log_one(log)
    assert path.read_text() == "::1 200 12\n"
    log.close()
    log_one(log)
    assert path.read_text() == "::1 200 12\n"
    assert log.lost == 0


def test_stdout_and_combined_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    log = opened()
    log_one(log)
    assert stream.getvalue().startswith("::1 - - [")
    assert stream.getvalue().endswith('] "GET / HTTP/1.1" 200 12 "-" "-"\n')
    log.close()


def test_a_place_that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^access_logfile = '.*a\.log': can't be opened: No such file"
    ) as caught:
        opened(tmp_path / "no" / "a.log")
    assert caught.value.exit_code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's full disk")
def test_a_full_disk_is_warned_about_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log = opened("/dev/full")
    for _ in range(5):
        log_one(log)
    assert log.lost == 5
    assert [record.getMessage() for record in caplog.records] == [
        "access log: /dev/full: log lines are being lost: No space left on device"
    ]
    assert caplog.records[0].name == "greenserve.error"
    log.close()


def test_an_environ_that_cannot_be_printed_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

    log = opened(tmp_path / "a.log")
    for _ in range(3):
        log_one(log, environ={"REMOTE_USER": Bad()})
    log_one(log)
    assert log.lost == 3
    assert len(caplog.records) == 1
    assert (tmp_path / "a.log").read_text().count("\n") == 1
    log.close()


def test_an_exchange_that_has_no_record_costs_its_line(tmp_path: Path) -> None:
    log = opened(tmp_path / "a.log")
    log_one(log, nonsense=3)
    assert log.lost == 1
    log.close()


def test_text_that_has_no_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    log = opened(tmp_path / "a.log", "é ü %s")
    log_one(log, status=200)
    assert (tmp_path / "a.log").read_bytes() == "é ü 200\n".encode()
    log.close()


class Hub:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_soon(self, fn: Any) -> None:
        self.calls.append(fn)


def test_the_requests_of_a_turn_share_their_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "a.log", iter([1000.5, 2000.5])
    monkeypatch.setattr(access_log.time, "time", lambda: next(asked))
    now = [5.0]
    log = open_access_log(str(path), "json", (), None, lambda: now[0])
    assert log is not None
    for began in (5.0, 5.0, 5.25):
        log.log(Finished(environ={}), began)
        now[0] += 0.5
    times = [datetime.fromisoformat(json.loads(line)["time"]) for line in path.read_text().splitlines()]
    assert [time.timestamp() for time in times] == [1000.5, 1000.5, 1999.75]
    assert [json.loads(line)["seconds"] for line in path.read_text().splitlines()] == [0, 0.5, 0.75]


def test_the_child_of_a_fork_writes_nothing(tmp_path: Path) -> None:
    hub, path = Hub(), tmp_path / "a.log"
    log = open_access_log(str(path), "%s", (), hub.call_soon)
    assert log is not None
    log_one(log)
    log.leave_behind()
    log_one(log)
    for call in hub.calls:
        call()
    log.close()
    assert path.read_text() == ""


class TestLinesOfOneTurn:
    def test_are_written_together_in_the_next(self, tmp_path: Path) -> None:
        hub = Hub()
        path = tmp_path / "a.log"
        log = open_access_log(str(path), "%s", (), hub.call_soon)
        assert log is not None
        for status in (200, 201, 202):
            log_one(log, status=status)
        assert path.read_text() == ""
        (flush,) = hub.calls
        flush()
        assert path.read_text() == "200\n201\n202\n"
        log_one(log)
        assert len(hub.calls) == 2
        log.close()  # loses nothing
        assert path.read_text() == "200\n201\n202\n200\n"
        hub.calls[1]()
        assert path.read_text().count("\n") == 4

    def test_are_not_kept_beyond_a_bound(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        log = open_access_log(str(path), "%s", (), Hub().call_soon)
        assert log is not None
        for _ in range(access_log.MOST + 1):
            log_one(log)
        assert path.read_text().count("\n") == access_log.MOST
        log.close()


@pytest.mark.parametrize(
    ("target", "status", "is_logged"),
    [
        ("/healthz", 200, False),
        ("/healthz?verbose", 404, False),
        ("/healthz", 500, True),
        ("/healthz", 503, True),
        ("/healthz/", 200, True),
        ("/health", 200, True),
        ("/static/", 200, False),
        ("/static/a/b.css", 304, False),
        ("/static", 200, True),
        ("", 400, True),
    ],
)
def test_paths_that_are_left_out(tmp_path: Path, target: str, status: int, is_logged: bool) -> None:
    path = tmp_path / "a.log"
    log = open_access_log(str(path), "%r", ("/healthz", "/static/*"))
    assert log is not None
    log_one(log, target=target, status=status)
    log.close()
    assert bool(path.read_text()) is is_logged
    assert log.lost == 0
