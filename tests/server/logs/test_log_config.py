"""log_config: files that configure logging, and how both logs reach handlers of the user's own."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock, Timer

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command
from tests.support.servers.apps import path as path_app
from tests.support.servers.running import own_hub, serving
from tests.support.times import PATIENCE, eventually

from greenserve import sleep
from greenserve.errors import ConfigError
from greenserve.logs import log_config
from greenserve.logs.access_log import open_access_log
from greenserve.logs.error_log import error_log, open_error_log
from greenserve.logs.log_config import Relay, access_logger, configure_logging

_TOML = """
[formatters.plain]
format = "%(name)s|%(request_id)s|%(message)s"
[handlers.error]
class = "logging.FileHandler"
filename = "own-error.log"
formatter = "plain"
[handlers.access]
class = "logging.FileHandler"
filename = "own-access.log"
formatter = "plain"
[loggers."greenserve.error"]
handlers = ["error"]
level = "INFO"
[loggers."greenserve.access"]
handlers = ["access"]
level = "INFO"
"""
_INI = """
[loggers]
keys=root,access
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
handlers=file
level=INFO
[logger_access]
qualname=greenserve.access
handlers=file
propagate=0
[handler_file]
class=FileHandler
args=("own.log",)
formatter=plain
[formatter_plain]
format=%(name)s|%(message)s
"""


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        sleep(0.05)  # a handler may wait
        self.told.append(record.getMessage())


@pytest.fixture
def keeping() -> Iterator[Keeping]:
    handler = Keeping()
    before = access_logger.level
    access_logger.addHandler(handler)
    access_logger.setLevel(logging.INFO)
    yield handler
    access_logger.removeHandler(handler)
    access_logger.setLevel(before)


class TestTheCommand:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "web.py").write_text(
            "import logging\nlogging.getLogger('app').info('imported')\n"
            "def app(environ, start_response):\n    if environ['PATH_INFO'] == '/fails':\n        raise ValueError\n"
            "    start_response('200 OK', [])\n    return [b'fine']\n"
        )
        return tmp_path

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_gives_both_logs_to_the_handlers_of_the_file(self, workers: str, folder: Path) -> None:
        (folder / "log.toml").write_text(_TOML)
        options = ("--bind", "unix:socket", "--log-config", "log.toml", "--workers", workers)
        options += ("--access-log-format", "%r", "--request-id-header", "X-Request-ID")
        with command("-m", "greenserve", "web:app", *options, folder=folder) as process:
            error, access = folder / "own-error.log", folder / "own-access.log"
            _until(lambda: error.exists() and "stop it with" in error.read_text())
            assert ask(str(folder / "socket"), request("/one")).body == b"fine"
            answer = ask(str(folder / "socket"), request("/fails"))
            assert answer.status == 500
            known = answer["X-Request-ID"]
            _until(lambda: "/fails" in access.read_text() and "ValueError" in error.read_text())
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
        assert process.text == ""
        assert f"greenserve.access|{known}|GET /fails HTTP/1.1\n" in access.read_text()
        assert f"greenserve.error|{known}|GET /fails: error in the app\nTraceback" in error.read_text()
        assert error.read_text().rstrip().endswith("stopped")  # what comes last is handed over too

    def test_takes_an_ini_file_and_handlers_of_the_root(self, folder: Path) -> None:
        (folder / "log.ini").write_text(_INI)
        options = ("--bind", "unix:socket", "--log-config", "log.ini", "--error-logfile", "logging")
        with command(
            "-m", "greenserve", "web:app", *options, "--access-log-format", "%U", folder=folder
        ) as process:
            own = folder / "own.log"
            _until(lambda: own.exists() and "stop it with" in own.read_text())
            assert ask(str(folder / "socket"), request("/one")).body == b"fine"
            _until(lambda: "greenserve.access|/one\n" in own.read_text())
            process.signal(signal.SIGTERM)
            assert process.ended() == 0
        assert own.read_text().startswith("app|imported\n")
        assert "greenserve.error|stopped\n" in own.read_text()

    def test_goes_on_and_ends_while_a_handler_waits(self, folder: Path) -> None:
        (folder / "slow.py").write_text(
            "import logging, os, time\nclass Slow(logging.Handler):\n    def emit(self, record):\n"
            "        if 'stop it with' in record.getMessage():\n            os.close(os.open('waits', os.O_CREAT))\n"
            "            time.sleep(1000)\n"
        )
        (folder / "log.toml").write_text(
            '[handlers.slow]\nclass = "slow.Slow"\n[loggers."greenserve.error"]\nhandlers = ["slow"]\n'
        )
        (folder / "greenserve.toml").write_text(
            'app = "web:app"\nbind = ["unix:socket"]\nlog_config = "log.toml"\nworkers = 2\n'
            'admin_bind = "unix:admin"\n'
        )
        with command("-m", "greenserve", folder=folder) as process:
            _until(lambda: (folder / "waits").exists())
            assert ask(str(folder / "socket"), request("/one")).body == b"fine"
            assert ask(str(folder / "admin"), request("/healthz")).status == 200
            process.signal(signal.SIGTERM)
            assert process.ended() == 0


def _until(condition: Callable[[], bool]) -> None:
    eventually(condition, "the lines")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("none.toml", None, "No such file"),
        ("none.ini", None, "No such file"),
        ("a.toml", "x = ", "Invalid value"),
        ("a.json", "[1]", "it has no table at the top"),
        ("a.json", "{", "Expecting property name"),
        (
            "a.toml",
            '[handlers.h]\nclass = "no.such.Handler"',
            "Unable to configure handler 'h': Cannot resolve",
        ),
        (
            "a.toml",
            '[root]\nhandlers = ["none"]',
            "Unable to configure root logger: Unable to add handler 'none'",
        ),
        ("a.ini", "nonsense", "no section headers"),
        ("a.ini", "[loggers]\nkeys=root", "formatters"),
    ],
)
def test_a_bad_file_is_one_line(name: str, text: str | None, why: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        configure_logging(str(tmp_path / name))
    assert str(caught.value).startswith("log_config = '")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_is_read_and_loggers_stay_enabled(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps({"loggers": {"tests.other": {"level": "ERROR"}}}))
    configure_logging(str(tmp_path / "log.json"))
    assert logging.getLogger("tests.other").level == logging.ERROR
    assert not error_log.disabled


def test_a_program_only_adds_a_handler_to_have_the_access_log(keeping: Keeping) -> None:
    settings = {"access_logfile": "logging", "access_log_format": "%U"}
    with serving(path_app, **settings) as server, RawClient(server.address) as client:
        client.get("/a")
        client.get("/b")
    assert keeping.told == ["/a", "/b"]


def test_no_handler_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(ConfigError, match=r"access_logfile = logging: no handler for greenserve\.access"):
        open_access_log("logging", "combined")
    with pytest.raises(ConfigError, match=r"error_logfile = logging: no handler for greenserve\.error"):
        open_error_log("logging", "info")


class TestRelay:
    def test_hands_over_in_order_from_a_green_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_config, "is_monkey_patched", lambda module: True)
        told: list[str] = []

        def deliver(record: logging.LogRecord) -> None:
            sleep()
            told.append(record.getMessage())

        with own_hub() as hub:
            relay = Relay(deliver)
            for text in "abc":
                hub.call_soon(relay.put, error_log.makeRecord("x", logging.INFO, "", 0, text, (), None))
            for _ in range(20):
                sleep()
            assert told == ["a", "b", "c"]
            relay.close()

    def test_keeps_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_config, "MOST", 5)
        told: list[str] = []
        with own_hub():
            relay = Relay(lambda record: told.append(record.getMessage()))
            assert relay.pause()  # or the OS thread takes some between two of these
            for number in range(8):
                relay.put(error_log.makeRecord("x", logging.INFO, "", 0, str(number), (), None))
            relay.go_on()
            assert relay.lost == 3
            relay.settle()
            assert told == list("01234")
            relay.close()

    def test_a_handler_that_waits_holds_no_hub_that_is_not_patched(self) -> None:
        goes_on, told = Event(), []

        def deliver(record: logging.LogRecord) -> None:
            goes_on.wait()
            told.append(record.getMessage())

        with own_hub():
            relay = Relay(deliver)
            for text in "abc":
                relay.put(error_log.makeRecord("x", logging.INFO, "", 0, text, (), None))
            sleep()
            assert told == []
            goes_on.set()
            relay.close()
        assert told == ["a", "b", "c"]

    def test_a_fork_waits_until_no_handler_has_a_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_config, "_FORK_PATIENCE", PATIENCE)
        begun, goes_on, lock = Event(), Event(), Lock()

        def deliver(record: logging.LogRecord) -> None:
            with lock:
                begun.set()
                goes_on.wait()

        relay = Relay(deliver)
        relay.put(error_log.makeRecord("x", logging.INFO, "", 0, "a", (), None))
        begun.wait()
        later = Timer(0.01, goes_on.set)
        later.start()
        pid = os.fork()
        if pid == 0:
            os._exit(0 if lock.acquire(timeout=0) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        later.join()
        relay.close()

    def test_a_handler_that_wants_to_end_the_process_is_told_once(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told: list[str] = []

        def deliver(record: logging.LogRecord) -> None:
            if record.getMessage() == "bad":
                raise SystemExit("the end")
            told.append(record.getMessage())

        with own_hub():
            relay = Relay(deliver)
            for text in ("bad", "bad", "good"):
                relay.put(error_log.makeRecord("x", logging.INFO, "", 0, text, (), None))
            relay.close()
        assert told == ["good"]
        assert capsys.readouterr().err.count("SystemExit: the end") == 1

    def test_a_handler_that_fails_loses_its_record_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        told: list[str] = []

        def deliver(record: logging.LogRecord) -> None:
            if record.getMessage() == "bad":
                raise RuntimeError("a handler's own")
            told.append(record.getMessage())

        with own_hub():
            relay = Relay(deliver)
            for text in ("bad", "good"):
                relay.put(error_log.makeRecord("x", logging.INFO, "", 0, text, (), None))
            relay.close()
            for _ in range(3):
                sleep()
        assert told == ["good"]
        assert "a handler's own" in capsys.readouterr().err
