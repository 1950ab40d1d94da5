"""hooks.requests: the hooks around each request, alone and in a real server."""

from __future__ import annotations

import os
import re
import threading
from typing import Any

import pytest
from tests.support.clients.raw import ask, request
from tests.support.servers.links import FakeLink, exchange
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

from greenserve.config import Config
from greenserve.config.hooks import Hook
from greenserve.hooks import Hooks, Process
from greenserve.loading.frameworks import reads_by_length

HERE = Process(os.getpid(), Config())


def around(app: Any, **hooks: Any) -> Any:
    return Hooks([Hook(name, call, "conf.py:1") for name, call in hooks.items()]).around(app, HERE)


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise ValueError("the app's own")


def test_both_see_the_request_and_the_second_the_response() -> None:
    link = FakeLink(b"xyz")
    seen: list[Any] = []

    def before(worker: Process, req: Any) -> None:
        seen.append((worker, req.method, req.uri, req.path, req.query, len(link.sent)))
        assert ("USER-AGENT", "me") in req.headers
        assert ("CONTENT-TYPE", "text/x") in req.headers
        assert ("CONTENT-LENGTH", "3") in req.headers
        req.began = "then"  # as hooks of gunicorn do

    def after(worker: Process, req: Any, environ: dict[str, Any], resp: Any) -> None:
        assert environ is req.environ
        seen.append((worker, req.began, resp.status_code, resp.sent, link.out.endswith(b"\r\n\r\nhello")))

    fields = "User-Agent: me", "Content-Type: text/x", "Content-Length: 3"
    exchange(
        around(hello, pre_request=before, post_request=after),
        "POST /a%20b?c=d HTTP/1.1",
        *fields,
        link=link,
        validated=False,
    )
    assert seen == [(HERE, "POST", "/a%20b?c=d", "/a%20b", "c=d", 0), (HERE, "then", 200, 5, True)]


def test_post_request_is_called_when_the_app_failed(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    app = around(failing, post_request=lambda worker, req, environ, resp: seen.append(resp.status_code))
    exchange(app, validated=False)
    assert seen == [500]


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(3)])
@pytest.mark.parametrize("name", ["pre_request", "post_request"])
def test_an_error_is_logged_and_the_request_goes_on(
    name: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(*arguments: object) -> None:
        raise error

    link = FakeLink()
    assert exchange(around(hello, **{name: hook}), link=link, validated=False).response.keep_alive
    assert link.out.endswith(b"\r\n\r\nhello")
    (record,) = caplog.records
    assert re.fullmatch(
        rf"the hook {name} \(conf.py:1\) failed at GET /; the request goes on: mend the hook, or take it out: "
        rf"{type(error).__name__}: {error} \(.*test_requests.py:\d+\)",
        record.getMessage(),
    )


def test_a_hook_that_always_fails_is_no_flood_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    app = around(hello, pre_request=lambda worker, req: 1 / 0)
    for _ in range(100):
        exchange(app, validated=False)
    assert len(caplog.records) == 1


def test_the_framework_inside_is_found() -> None:
    bottle = pytest.importorskip("bottle")
    assert reads_by_length(around(bottle.Bottle(), pre_request=lambda worker, req: None))


@pytest.mark.parametrize("bodies", ["stream", "buffer"])
def test_in_a_server(bodies: str) -> None:
    seen: list[Any] = []
    told = threading.Event()

    def after(worker: Process, req: Any, environ: dict[str, Any], resp: Any) -> None:
        seen.append((req.path, resp.status_code, resp.sent))
        told.set()

    with serving(around(hello, post_request=after), chunked_bodies=bodies) as server:
        assert ask(server.address, request("/p")).body == b"hello"
        assert told.wait(PATIENCE)
    assert seen == [("/p", 200, 5)]
