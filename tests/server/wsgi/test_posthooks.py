"""exchange: environ["greenserve.posthooks"], called when the answer is out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from tests.support.servers.links import FakeLink, exchange

_PLAIN = [("Content-Type", "text/plain")]


def test_run_in_order_after_the_answer_is_out() -> None:
    link = FakeLink()
    called: list[Any] = []

    def hook(environ: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        called.append((environ["PATH_INFO"], args, kwargs, link.out.endswith(b"\r\n\r\nx")))

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["greenserve.posthooks"] += [(hook, (1, 2), {"a": 3}), (hook, (), {})]
        start_response("200 OK", [("Content-Length", "1"), *_PLAIN])
        return [b"x"]

    assert exchange(app, "GET /p HTTP/1.1", link=link).response.keep_alive
    assert called == [("/p", (1, 2), {"a": 3}, True), ("/p", (), {}, True)]


def test_run_when_the_app_failed_too(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["greenserve.posthooks"].append((lambda environ: called.append("yes"), (), {}))
        raise ValueError

    assert exchange(app).response.status == 500
    assert called == ["yes"]


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit("hook")])
def test_one_that_fails_harms_nobody(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def fail(environ: dict[str, Any]) -> None:
        raise error

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["greenserve.posthooks"] += [
            (fail, (), {}),
            "nonsense",
            (lambda environ: called.append("yes"), (), {}),
        ]
        start_response("200 OK", _PLAIN)
        return [b"x"]

    assert exchange(app, validated=False).response.keep_alive
    assert called == ["yes"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "post-hook" in caplog.text
