"""request_ids: the id of a request in environ, the response, both logs, and what an app logs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import Answer, RawClient, ask, request
from tests.support.servers.running import serving

import greenserve
from greenserve import Server
from greenserve.logs.error_log import open_error_log
from greenserve.logs.request_ids import RequestIds

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FIELD = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
MADE = re.compile(r"[0-9a-f]{32}")

log = logging.getLogger("tests.app")


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise RuntimeError("the app fails")
    if path == "/logs":
        log.warning("from the request")
        greenserve.spawn(log.warning, "from a green thread").wait()
        greenserve.threads.execute(log.warning, "from an OS thread")
    own = [("x-REQUEST-id", "its-own")] if path == "/own" else []
    start_response("200 OK", [("Content-Type", "text/plain"), *own])
    keys = ("greenserve.request_id", "greenserve.trace_id", "greenserve.parent_id", "HTTP_X_REQUEST_ID")
    told = [str(environ.get(key)) for key in (*keys, "HTTP_TRACEPARENT")]
    return [" ".join(told).encode()]


def ask_at(server: Server, path: str, *fields: str) -> Answer:
    return ask(server.address, request(path, "GET", b"", *fields))


@contextmanager
def with_ids(tmp_path: Path, **settings: Any) -> Iterator[tuple[Server, Path]]:
    log = tmp_path / "access.log"
    settings = {"request_id_header": "X-Request-ID", "access_log_format": "json", **settings}
    with serving(app, access_logfile=str(log), **settings) as server:
        yield server, log


def field_of(answer: Answer) -> list[str]:
    return [value for name, value in answer.fields if name.lower() == "x-request-id"]


def test_ids_are_random_and_none_comes_twice() -> None:
    ids = RequestIds("X-Request-ID", True)
    made = {ids.make() for _ in range(1000)}
    assert len(made) == 1000
    assert all(MADE.fullmatch(one) for one in made)


def test_without_the_setting_there_are_none(tmp_path: Path) -> None:
    with with_ids(tmp_path, request_id_header="off") as (server, log):
        answer = ask_at(server, "/", "X-Request-ID: theirs", FIELD)
        assert answer.body.decode().split()[:4] == ["None", TRACE, "00f067aa0ba902b7", "theirs"]
        assert field_of(answer) == []
    line = json.loads(log.read_text())
    assert "request_id" not in line
    assert line["trace_id"] == TRACE


def test_one_that_is_made(tmp_path: Path) -> None:
    with with_ids(tmp_path) as (server, log), RawClient(server.address) as client:
        told = []
        for _ in range(2):
            answer = client.get("/")
            known = answer.body.decode().split()[0]
            assert MADE.fullmatch(known)
            assert field_of(answer) == [known]
            told.append(known)
        assert told[0] != told[1]
    assert [json.loads(line)["request_id"] for line in log.read_text().splitlines()] == told


def test_one_of_a_trusted_proxy(tmp_path: Path) -> None:
    with with_ids(tmp_path) as (server, log):
        answer = ask_at(server, "/", "X-Request-ID: from-the-proxy", FIELD)
        known, trace, parent, field, came = answer.body.decode().split()
        assert (known, field) == ("from-the-proxy", "from-the-proxy")
        assert (trace, parent) == (TRACE, "00f067aa0ba902b7")
        assert came == FIELD.partition(" ")[2]
        assert field_of(answer) == ["from-the-proxy"]
    assert json.loads(log.read_text())["request_id"] == "from-the-proxy"


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        (["X-Request-ID: a b"], {}),
        (["X-Request-ID: " + "a" * 129], {}),
        (['X-Request-ID: a"'], {}),
        (["X-Request-ID: one", "X-Request-ID: two"], {}),
        (["X-Request-ID: from-a-client"], {"forwarded_allow_ips": "192.0.2.1"}),
    ],
)
def test_one_that_is_not_believed_is_replaced(
    fields: list[str], settings: dict[str, str], tmp_path: Path
) -> None:
    with with_ids(tmp_path, **settings) as (server, _):
        answer = ask_at(server, "/", *fields)
        known, _, _, field, _ = answer.body.decode().split()
        assert MADE.fullmatch(known)
        assert field == "None"  # an app that reads it there gets none that a client made up
        assert field_of(answer) == [known]


def test_the_response_need_not_have_it(tmp_path: Path) -> None:
    with with_ids(tmp_path, request_id_response=False) as (server, log):
        assert field_of(ask_at(server, "/")) == []
    assert MADE.fullmatch(json.loads(log.read_text())["request_id"])


def test_a_field_of_the_apps_own_stays_alone(tmp_path: Path) -> None:
    with with_ids(tmp_path) as (server, _):
        assert field_of(ask_at(server, "/own")) == ["its-own"]


def test_a_malformed_traceparent_is_the_apps_to_see_and_nothing_else(tmp_path: Path) -> None:
    with with_ids(tmp_path) as (server, log):
        words = ask_at(server, "/", "Traceparent: zz-1").body.decode().split()
        assert words[1:] == ["None", "None", "None", "zz-1"]
    assert "trace_id" not in json.loads(log.read_text())


def test_a_refused_request_has_one_too(tmp_path: Path) -> None:
    with with_ids(tmp_path, limit_request_body=1) as (server, log):
        body = request("/", "POST", b"12", "X-Request-ID: known")
        assert field_of(ask(server.address, body)) == ["known"]
        (made,) = field_of(ask(server.address, b"nonsense\r\n\r\n"))
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["status"], first["request_id"]) == (413, "known")
    assert (second["status"], second["request_id"]) == (400, made)
    assert MADE.fullmatch(made)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_error_log_has_it(form: str, tmp_path: Path) -> None:
    place = tmp_path / "error.log"
    with open_error_log(str(place), "info", form), with_ids(tmp_path) as (server, _):
        answer = ask_at(server, "/fails", FIELD)
        assert answer.status == 500
        (known,) = field_of(answer)
        assert MADE.fullmatch(known)
    text = place.read_text()
    if form == "text":
        assert re.search(rf"\[\d+\] error \[{known}\]: GET /fails: error in the app\n    Traceback", text)
    else:
        line = json.loads(text)
        assert (line["request_id"], line["trace_id"], line["level"]) == (known, TRACE, "error")
        assert line["message"] == "GET /fails: error in the app"
        assert line["traceback"].endswith("RuntimeError: the app fails")


def test_lines_that_the_app_logs_can_have_it(tmp_path: Path) -> None:
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Handler()
    handler.setFormatter(logging.Formatter("%(request_id)s %(trace_id)s %(message)s"))
    handler.addFilter(greenserve.RequestContext())
    log.addHandler(handler)
    try:
        with with_ids(tmp_path) as (server, _):
            (known,) = field_of(ask_at(server, "/logs", FIELD))
        log.warning("outside")
    finally:
        log.removeHandler(handler)
    assert lines[-1] == "- - outside"
    assert lines[:-1] == [
        f"{known} {TRACE} from {where}" for where in ("the request", "a green thread", "an OS thread")
    ]
