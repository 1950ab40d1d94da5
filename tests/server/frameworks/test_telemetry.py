"""OpenTelemetry and Sentry behind the command: what they tell of a request is of that request, with many at once."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tests.server.frameworks.sites import Site, serving_app
from tests.support.servers.sentry import sink
from tests.support.times import PATIENCE

AT_ONCE = 20


def ask(site: Site, path: str, fields: dict[str, str]) -> requests.Response:
    with site.session() as session:
        return session.get(site.url + path, headers=fields, timeout=PATIENCE)


def ended_well(site: Site) -> str:
    site.program.signal(signal.SIGTERM)
    site.program.until("stopped")
    assert site.program.ended() == 0
    return site.program.text.partition("stopped")[0]


@pytest.mark.parametrize("app", ["app", "wsgi"])
def test_opentelemetry_spans_hang_together_as_the_requests_do(app, tmp_path):
    # W3C Trace Context: the client's trace and span, which the server's span goes on from.
    sent = {str(n): (0xABC000 + n, 0xDEF000 + n) for n in range(AT_ONCE)}
    with serving_app(f"tests.server.frameworks.opentelemetry_app:{app}", tmp_path) as site:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = pool.map(
                lambda n: (
                    ask(site, f"/work/{n}", {"traceparent": "00-{:032x}-{:016x}-01".format(*sent[n])}).text
                ),
                sent,
            )
            assert set(answers) == {"worked\nsent\n"}
        spans = site.get("/spans").json()
        told = ended_well(site)
    by_name = {span["name"]: span for span in spans}
    by_id = {span["id"]: span for span in spans}
    for number, (trace, client) in sent.items():
        for name in (f"worked {number}", f"sent {number}"):
            span = by_name[name]
            server = by_id[span["parent"]]
            assert span["trace"] == server["trace"] == trace
            assert server["parent"] == client
    assert "Failed to detach context" not in told
    assert "Traceback" not in told


def test_sentry_is_told_of_each_error_with_its_own_request(tmp_path, monkeypatch):
    with sink() as (dsn, items):
        monkeypatch.setenv("SENTRY_DSN", dsn)
        with serving_app("tests.server.frameworks.sentry_app:app", tmp_path) as site:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                statuses = pool.map(lambda n: ask(site, f"/fail/{n}", {}).status_code, range(AT_ONCE))
                assert set(statuses) == {500}
            assert site.get("/flush").text == "flushed"
            ended_well(site)
    errors = [item for header, item in items if header["type"] == "event"]
    assert len(errors) == AT_ONCE
    for error in errors:
        number = error["tags"]["number"]
        assert error["exception"]["values"][-1]["value"] == number
        assert error["request"]["url"].endswith(f"/fail/{number}")
        assert [one["message"] for one in error["breadcrumbs"]["values"]] == [f"began {number}"]
    requests_told = [item for header, item in items if header["type"] == "transaction"]
    for told in requests_told:
        naps = [span["description"] for span in told["spans"] if span["op"] == "nap"]
        assert (
            naps in ([f"nap {told['tags']['number']}"], []) if "number" in told.get("tags", {}) else not naps
        )
    assert len([told for told in requests_told if told["spans"]]) == AT_ONCE
