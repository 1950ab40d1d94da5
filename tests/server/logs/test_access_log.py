"""access_log: one line for each request, and no harm whatever happens to the log."""

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.logs.access_log import AccessLog, open_access_log


def exchange(**changes: Any) -> Any:
    facts: dict[str, Any] = {
        "peer": "::1",
        "peer_port": 5,
        "method": "GET",
        "target": "/",
        "version": "HTTP/1.1",
        "status": 200,
        "bytes_sent": 12,
        "bytes_received": 0,
        "messages": None,
        "environ": {},
    }
    return SimpleNamespace(**{**facts, **changes})


def opened(**settings: Any) -> AccessLog:
    log = open_access_log(Config(**settings))
    assert log is not None
    return log


def test_off_is_none() -> None:
    assert open_access_log(Config(access_logfile="off")) is None
    assert open_access_log(Config.from_settings({})) is None


def test_one_line_for_each_request(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = opened(access_logfile=str(path), access_log_format="%h %s %b")
    log.log(exchange(), 1783220645.0, 0.5)
    log.log(exchange(status=404, bytes_sent=0), 1783220645.0, 0.5)
    assert path.read_text() == "::1 200 12\n::1 404 -\n"
    path.rename(tmp_path / "a.log.1")
    log.reopen()
    log.log(exchange(), 1783220645.0, 0.5)
    assert path.read_text() == "::1 200 12\n"
    log.close()
    log.log(exchange(), 1783220645.0, 0.5)
    assert path.read_text() == "::1 200 12\n"
    assert log.lost == 0


def test_stdout_and_combined_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    log = opened()
    log.log(exchange(), 1783220645.0, 0.5)
    assert stream.getvalue().startswith("::1 - - [")
    assert stream.getvalue().endswith('] "GET / HTTP/1.1" 200 12 "-" "-"\n')
    log.close()


def test_a_place_that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^access_logfile = '.*a\.log': can't be opened: No such file"):
        opened(access_logfile=str(tmp_path / "no" / "a.log"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's full disk")
def test_a_full_disk_is_warned_about_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log = opened(access_logfile="/dev/full")
    for _ in range(5):
        log.log(exchange(), 1783220645.0, 0.5)
    assert log.lost == 5
    assert [record.getMessage() for record in caplog.records] == [
        "access log: /dev/full: lines of this log are being lost: No space left on device"
    ]
    assert caplog.records[0].name == "greenserve.error"
    log.close()


def test_an_environ_that_cannot_be_printed_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

    log = opened(access_logfile=str(tmp_path / "a.log"))
    for _ in range(3):
        log.log(exchange(environ={"REMOTE_USER": Bad()}), 1783220645.0, 0.5)
    log.log(exchange(), 1783220645.0, 0.5)
    assert log.lost == 3
    assert len(caplog.records) == 1
    assert (tmp_path / "a.log").read_text().count("\n") == 1
    log.close()


def test_text_that_has_no_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    log = opened(
        access_logfile=str(tmp_path / "a.log"), access_log_format="é \udc80 %s".replace("\udc80", "ü")
    )
    log.log(exchange(status=200), 1783220645.0, 0.5)
    assert (tmp_path / "a.log").read_bytes() == "é ü 200\n".encode()
    log.close()
