"""datagrams: syslog and the journal get each line in their form; what they don't take is lost and counted."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient
from tests.support.servers.apps import path as path_app
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

from greenserve.errors import ConfigError
from greenserve.logs import datagrams
from greenserve.logs.access_log import open_access_log
from greenserve.logs.datagrams import DatagramLog, Place, parse_place
from greenserve.logs.error_log import error_log, open_error_log
from greenserve.logs.files import reopen_all


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def daemon(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        yield sock
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("syslog:", Place("unix", "/dev/log")),
        ("syslog:/run/other", Place("unix", "/run/other")),
        ("syslog:logs.example", Place("udp", host="logs.example")),
        ("syslog:10.0.0.1:1514", Place("udp", host="10.0.0.1", port=1514)),
        ("syslog:[::1]:1514", Place("udp", host="::1", port=1514)),
        ("syslog:?facility=local7&tag=shop", Place("unix", "/dev/log", facility=23, tag="shop")),
        ("journald", Place("journal", "/run/systemd/journal/socket")),
        ("/var/log/x", None),
        ("-", None),
        ("journald.log", None),
    ],
)
def test_places(text: str, place: Place | None) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("syslog:a:b", "not a place of syslog: write syslog:"),
        ("syslog:a:0", "a port is 1 to 65535"),
        ("syslog:a:70000", "a port is 1 to 65535"),
        ("syslog:relative/path", "not a place"),
        ("syslog:?facility=mine", "is not an option"),
        ("syslog:?tag=a b", "is not an option"),
        ("syslog:?color=red", "is not an option"),
    ],
)
def test_what_is_no_place(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_place(text)


def test_the_machines_syslog_gets_what_syslog_3_sends(tmp_path: Path) -> None:
    with daemon(tmp_path / "log") as sock, open_error_log(f"syslog:{tmp_path}/log", "info"):
        error_log.error("one\ntwo %d", 3)
        got = sock.recv(1000).decode()
    # 3 is daemon, the facility: 3 * 8 + 3
    assert re.fullmatch(
        rf"<27>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d greenserve\[{os.getpid()}\]: one\n    two 3", got
    )


def test_a_syslog_of_the_network_gets_rfc_5424() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        place = f"syslog:127.0.0.1:{sock.getsockname()[1]}?facility=local0&tag=shop"
        with open_error_log(place, "info"):
            error_log.warning("é")
        got = sock.recv(1000).decode()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
    assert re.fullmatch(rf"<132>1 {time} \S+ shop {os.getpid()} - - é", got)


def test_the_journal_gets_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "JOURNAL", str(tmp_path / "journal"))
    with daemon(tmp_path / "journal") as sock, open_error_log("journald", "info"):
        error_log.critical("one", extra={"request_id": "a1", "trace_id": "b2"})
        assert sock.recv(1000).decode().splitlines() == [
            "MESSAGE=one",
            "PRIORITY=2",
            "SYSLOG_IDENTIFIER=greenserve",
            "LOGGER=greenserve.error",
            "REQUEST_ID=a1",
            "TRACE_ID=b2",
        ]
        error_log.info("one\ntwo")
        text = b"one\n    two"
        assert sock.recv(1000).startswith(
            b"MESSAGE\n" + bytes([len(text)]) + bytes(7) + text + b"\nPRIORITY=6\n"
        )


def test_each_line_of_the_access_log_is_a_datagram(tmp_path: Path) -> None:
    with daemon(tmp_path / "log") as sock:
        settings = {"access_logfile": f"syslog:{tmp_path}/log", "access_log_format": "%U"}
        with serving(path_app, **settings) as server, RawClient(server.address) as client:
            client.get("/a")
            client.get("/b")
        assert [sock.recv(1000).partition(b"]: ")[2] for _ in range(2)] == [b"/a", b"/b"]


def test_lines_of_the_access_log_have_the_requests_id_as_a_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "JOURNAL", str(tmp_path / "journal"))
    with daemon(tmp_path / "journal") as sock:
        settings = {
            "access_logfile": "journald",
            "access_log_format": "%U",
            "request_id_header": "X-Request-ID",
        }
        with serving(path_app, **settings) as server, RawClient(server.address) as client:
            known = client.get("/a")["X-Request-ID"]
        assert sock.recv(1000).decode().endswith(f"\nREQUEST_ID={known}\n")


def test_a_client_cannot_make_two_messages_of_one(tmp_path: Path) -> None:
    with daemon(tmp_path / "log") as sock:
        log = DatagramLog(Place("unix", str(tmp_path / "log")), "x", print)
        log.write(b"x" * 100_000 + b"\n")
        assert len(sock.recv(200_000)) < 8300
        log.close()
        log.write(b"late\n")
        log.close()


def test_a_daemon_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^access_logfile = 'syslog:.*': can't be opened: No such file"
    ) as caught:
        open_access_log(f"syslog:{tmp_path}/none", "combined")
    assert caught.value.exit_code == 4  # systemd tries again, and by then it may run


class TestADaemonThatRestarts:
    def test_loses_what_it_could_not_take_and_gets_the_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        monkeypatch.setattr(datagrams.time, "monotonic", clock)
        troubles: list[str] = []
        path = tmp_path / "log"
        with daemon(path) as sock:
            log = DatagramLog(Place("unix", str(path)), "syslog:", troubles.append)
            log.write(b"one\n")
            assert sock.recv(1000).endswith(b"one")
        for _ in range(3):
            log.write(b"lost\n")
        assert log.lost == 3
        assert troubles == ["syslog:: log lines are being lost: No such file or directory"]
        with daemon(path) as sock:
            log.write(b"lost too\n")  # it was tried a moment ago
            clock.now += 1
            log.write(b"two\n")
            assert sock.recv(1000).endswith(b"two")
        assert troubles[1:] == ["syslog:: logging works again, 4 lines were lost"]
        log.close()

    def test_is_asked_again_at_once_after_a_reopen(self, tmp_path: Path) -> None:
        troubles: list[str] = []
        path = tmp_path / "log"
        with daemon(path):
            log = DatagramLog(Place("unix", str(path)), "syslog:", troubles.append)
        log.write(b"lost\n")
        with daemon(path) as sock:
            reopen_all()
            log.write(b"two\n")
            assert sock.recv(1000).endswith(b"two")
        log.close()


def test_a_daemon_that_does_not_read_costs_lines_not_time(tmp_path: Path) -> None:
    troubles: list[str] = []
    path = tmp_path / "log"
    with daemon(path) as sock:
        log = DatagramLog(Place("unix", str(path)), "syslog:", troubles.append)
        log.write_all([b"line %d\n" % number for number in range(5000)])
        assert log.lost > 1000
        assert troubles == ["syslog:: log lines are being lost: its reader does not read"]
        taken = 0
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sock.recv(1000)
                taken += 1
        assert taken + log.lost == 5000
        log.write(b"again\n")
        assert troubles[1].endswith(f"{log.lost} lines were lost")
        log.close()


def test_a_closed_udp_port_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    troubles: list[str] = []
    log = DatagramLog(Place("udp", host="127.0.0.1", port=port), "syslog:", troubles.append)
    for _ in range(10):
        log.write(b"into the void\n", logging.INFO)
    log.close()
    assert all(
        os.strerror(errno.ECONNREFUSED) in one or "nobody" in one or "works again" in one for one in troubles
    )


_FORM = "%syslogfacility-text%.%syslogseverity-text% %programname% %procid%:%msg:::sp-if-no-1st-sp%%msg%\\n"
_RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" UsePIDFromSystem="off")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="t" type="string" string="{form}")
*.* action(type="omfile" file="{folder}/out" template="t")
"""


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="needs rsyslogd")
def test_rsyslog_itself_reads_both_forms(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (tmp_path / "conf").write_text(_RSYSLOG.format(folder=tmp_path, port=port, form=_FORM))
    arguments = ["-n", "-f", str(tmp_path / "conf"), "-i", str(tmp_path / "pid")]
    with subprocess.Popen(["rsyslogd", *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            eventually((tmp_path / "log").exists, "its socket")
            out = tmp_path / "out"
            for place in (f"syslog:{tmp_path}/log", f"syslog:127.0.0.1:{port}?facility=local0&tag=shop"):
                with open_error_log(place, "info"):
                    error_log.error("bad\nthing")
                eventually(lambda: out.exists() and "\n" in out.read_text(), "the line")
            eventually(lambda: out.read_text().count("\n") == 2, "the other line")
            pid = os.getpid()
            assert out.read_text().splitlines() == [
                f"daemon.err greenserve {pid}: bad#012    thing",
                f"local0.err shop {pid}: bad#012    thing",
            ]
        finally:
            process.terminate()
            process.wait(PATIENCE)
