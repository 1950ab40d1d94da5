"""app: every endpoint, a stranger's requests, and what a page of another site could try."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from tests.support.servers.masters import FakeMaster, fake_master
from webob import Request, Response

from greenserve.admin.access import Access
from greenserve.admin.app import AdminApp
from greenserve.admin.history import History
from greenserve.config.values.binds import parse_bind
from greenserve_hub.testing import FakeClock, fake_clock

TOKEN = "the-token-of-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAGES = ("/", "/metrics", "/stats.json", "/live.json", "/requests", "/threads")


class Pages(NamedTuple):
    master: FakeMaster
    history: History
    clock: FakeClock

    def ask(
        self, path: str, method: str = "GET", bind: str = "127.0.0.1:9000", token: str = TOKEN, **fields: str
    ) -> Response:
        app = AdminApp(self.master, self.history, Access(parse_bind(bind), token), has_open_metrics=False)
        request = Request.blank(path, method=method, base_url="http://127.0.0.1:9000")
        request.headers.update({name.replace("_", "-"): value for name, value in fields.items()})
        return request.get_response(app)


@pytest.fixture
def pages() -> Iterator[Pages]:
    with fake_clock() as clock, fake_master() as master:
        master.answers = {
            1: {"count": 0, "requests": [], "text": "a tree"},
            2: {"count": 0, "requests": [], "text": "b"},
        }
        yield Pages(master, History(master, clock), clock)


class TestAccess:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_health_is_for_everybody(self, pages, path):
        assert pages.ask(path).status_code == 200
        assert pages.ask(path, token="", Host="any.example").status_code == 200

    @pytest.mark.parametrize("path", PAGES)
    def test_all_else_needs_the_token(self, pages, path):
        refused = pages.ask(path)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert "token" in refused.text
        assert TOKEN not in refused.text
        assert pages.ask(path, **BEARER).status_code == 200

    @pytest.mark.parametrize(
        "given",
        [
            "Bearer",
            "Bearer ",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Token {TOKEN}",
            "Basic",
            "Basic %%%",
            "Basic " + base64.b64encode(TOKEN.encode()).decode(),
            "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode(),
            "Bearer \xff\xfe",
        ],
    )
    def test_what_is_not_the_token(self, pages, given):
        assert pages.ask("/metrics", Authorization=given).status_code == 401

    def test_the_token_as_a_password(self, pages):
        given = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
        assert pages.ask("/metrics", Authorization=f"basic {given}").status_code == 200

    @pytest.mark.parametrize("bind", ["127.0.0.1:9000", "unix:@admin"])
    @pytest.mark.parametrize("path", PAGES)
    def test_without_a_token_what_every_user_reaches_gives_health_only(self, pages, path, bind):
        refused = pages.ask(path, token="", bind=bind)
        assert refused.status_code == 403
        assert "--admin-token-file" in refused.text
        assert pages.ask("/healthz", token="", bind=bind).status_code == 200

    @pytest.mark.parametrize("path", PAGES)
    def test_a_unix_socket_needs_no_token_but_asks_for_one_that_is_set(self, pages, path):
        assert pages.ask(path, token="", bind="unix:/run/admin").status_code == 200
        assert pages.ask(path, bind="unix:/run/admin").status_code == 401

    @pytest.mark.parametrize(
        ("host", "bind", "status"),
        [
            ("127.0.0.1:9000", "127.0.0.1:9000", 200),
            ("localhost:1234", "127.0.0.1:9000", 200),
            ("[::1]:9000", "[::1]:9000", 200),
            ("LOCALHOST", "localhost:9000", 200),
            ("rebound.example:9000", "127.0.0.1:9000", 403),
            ("localhost.evil.example", "127.0.0.1:9000", 403),
            ("127.0.0.1.evil.example", "127.0.0.1:9000", 403),
            ("admin.example", "0.0.0.0:9000", 200),
        ],
    )
    def test_at_a_loopback_address_a_name_of_a_pages_own_choice_is_refused(self, pages, host, bind, status):
        answer = pages.ask("/stats.json", bind=bind, Host=host, **BEARER)
        assert answer.status_code == status
        assert status == 200 or "rebinding" in answer.text

    def test_metrics_may_be_opened(self, pages):
        app = AdminApp(
            pages.master, pages.history, Access(parse_bind("0.0.0.0:1"), ""), has_open_metrics=True
        )
        assert Request.blank("/metrics").get_response(app).status_code == 200
        assert Request.blank("/stats.json").get_response(app).status_code == 403

    def test_open_metrics_at_a_loopback_address_are_for_no_page_of_another_name(self, pages):
        app = AdminApp(
            pages.master, pages.history, Access(parse_bind("127.0.0.1:1"), ""), has_open_metrics=True
        )
        ask = Request.blank("/metrics", base_url="http://rebound.example:9000")
        assert ask.get_response(app).status_code == 403
        assert Request.blank("/metrics", base_url="http://127.0.0.1:1").get_response(app).status_code == 200


class TestReload:
    def test_by_a_program(self, pages):
        answer = pages.ask("/reload", "POST", **BEARER)
        assert (answer.status_code, answer.text) == (202, "reload: 2 workers are replaced\n")
        assert pages.master.reloads == 1

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"Origin": "http://127.0.0.1:9000", "Sec-Fetch-Site": "same-origin"}, 202),
            ({"Origin": "http://127.0.0.1:9000"}, 202),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://127.0.0.1:8000"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
        ],
    )
    @pytest.mark.parametrize("bind", ["127.0.0.1:9000", "unix:/run/admin"])
    def test_not_by_a_page_of_another_site(self, pages, fields, status, bind):
        assert pages.ask("/reload", "POST", bind=bind, **fields, **BEARER).status_code == status
        assert pages.master.reloads == (status == 202)

    def test_not_without_the_token(self, pages):
        assert pages.ask("/reload", "POST").status_code == 401
        assert pages.master.reloads == 0

    def test_one_that_can_not_be_says_why(self, pages):
        pages.master.refusal = "the last one is still under way"
        answer = pages.ask("/reload", "POST", **BEARER)
        assert (answer.status_code, answer.text) == (409, "Not reloaded: the last one is still under way\n")


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [("/reload", "GET", "POST"), ("/metrics", "POST", "GET, HEAD"), ("/", "DELETE", "GET, HEAD")],
)
def test_a_wrong_method(pages, path, method, allowed):
    answer = pages.ask(path, method, **BEARER)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/nothing", "//", "/metrics/", "/..", "/%00", "/page.html", "/admin.py"])
def test_no_such_page(pages, path):
    answer = pages.ask(path, **BEARER)
    assert answer.status_code == 404
    assert "/metrics" in answer.text


@pytest.mark.parametrize("path", [*PAGES, "/healthz", "/nothing"])
def test_no_response_is_kept_or_run_or_framed(pages, path):
    for answer in (pages.ask(path), pages.ask(path, **BEARER)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


class TestHealth:
    @pytest.mark.parametrize(
        ("states", "health", "ready"),
        [
            (["ready", "ready"], 200, 200),
            (["stuck", "ready"], 200, 200),
            (["draining", "starting"], 200, 503),
            (["stuck", "stuck"], 503, 503),
            (["stuck", "draining"], 200, 503),
        ],
    )
    def test_by_the_states_of_the_workers(self, pages, states, health, ready):
        pages.master.states = dict(enumerate(states, 1))
        assert pages.ask("/healthz").status_code == health
        assert pages.ask("/readyz").status_code == ready

    def test_without_workers(self, pages):
        pages.master.rows.clear()
        assert (pages.ask("/healthz").status_code, pages.ask("/readyz").status_code) == (503, 503)
        assert "no worker" in pages.ask("/readyz").text


class TestMetrics:
    @pytest.mark.parametrize(
        ("accept", "is_open"),
        [
            ("", False),
            ("*/*", False),
            ("text/html", False),
            ("text/plain;version=0.0.4", False),
            ("application/openmetrics-text", True),
            ("application/openmetrics-text;version=1.0.0", True),
            ("application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.5", False),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",  # Prometheus 2.42
                True,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                "application/openmetrics-text;version=0.0.1;q=0.4,"
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                True,
            ),
            ("what;;is,this", False),
        ],
    )
    def test_in_the_format_that_is_accepted(self, pages, accept, is_open):
        fields = {"Accept": accept} if accept else {}
        answer = pages.ask("/metrics", **fields, **BEARER)
        assert answer.status_code == 200, "Prometheus takes no other"
        kind = "application/openmetrics-text; version=1.0.0" if is_open else "text/plain; version=0.0.4"
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        if is_open:
            assert list(parse_open(answer.text))


class TestQuestions:
    def test_a_worker_that_is_stuck_is_named_and_the_others_answer(self, pages):
        del pages.master.answers[2]
        pages.master.states[2] = "stuck"
        found = pages.ask("/requests", **BEARER).json["workers"]
        assert [(one["number"], one["pid"], one["state"]) for one in found] == [
            (1, 1001, "ready"),
            (2, 1002, "stuck"),
        ]
        assert found[0]["requests"] == []
        assert found[1]["error"] == "does not answer: its hub has not turned for 1 s"
        text = pages.ask("/threads", **BEARER).text
        assert "worker 1, process 1001\na tree" in text
        assert "worker 2, process 1002\ndoes not answer" in text

    def test_stacks_can_be_left_out(self, pages):
        assert pages.ask("/requests?stacks=no", **BEARER).status_code == 200
        assert pages.master.asked == [(1, "routes"), (2, "routes")]

    def test_all_that_are_stuck_cost_one_second_in_all(self, pages):
        pages.master.answers.clear()
        before = pages.clock.now
        assert pages.ask("/requests", **BEARER).status_code == 200
        assert pages.clock.now - before == pytest.approx(1, abs=0.1)

    def test_health_and_metrics_ask_no_worker(self, pages):
        pages.master.answers.clear()
        for path in ("/healthz", "/readyz", "/metrics", "/stats.json", "/live.json", "/"):
            pages.ask(path, **BEARER)
        assert not pages.master.asked

    def test_many_who_ask_cost_a_worker_one_question(self, pages, monkeypatch):
        app = AdminApp(pages.master, pages.history, Access(parse_bind("unix:/a"), ""), has_open_metrics=False)
        now = [0.0]
        monkeypatch.setattr("greenserve.admin.asking.time", _Time(now))
        for _ in range(5):
            assert Request.blank("/requests").get_response(app).status_code == 200
        assert pages.master.asked == [(1, "requests"), (2, "requests")]
        now[0] = 1.5
        Request.blank("/requests").get_response(app)
        assert len(pages.master.asked) == 4


class _Time:
    def __init__(self, now: list[float]) -> None:
        self._now = now

    def monotonic(self) -> float:
        return self._now[0]


def test_stats_are_all_numbers(pages):
    pages.master.works(1, 7, 0.02)
    pages.master.rows[1]["shed_limit_queue"] = 2
    pages.master.rows[1]["connections_parked"] = 5
    found: Any = pages.ask("/stats.json", **BEARER).json
    assert found["totals"]["requests"] == 7
    assert found["totals"]["shed"]["limit_queue"] == 2
    assert found["workers"][0]["gauges"]["connections"]["parked"] == 5
    assert found["percentiles_ms"]["p50"] == pytest.approx(20, rel=0.1)
    assert found["histograms"]["request_duration_seconds"] == {"count": 7, "sum": pytest.approx(0.14)}


def test_the_live_page_gets_what_it_has_not_got_yet(pages):
    for _ in range(3):
        pages.clock.advance(2)
        pages.history.sample()
    found = json.loads(pages.ask("/live.json?fine=2&coarse=0", **BEARER).text)
    assert [one["n"] for one in found["history"]["fine"]] == [3]
    assert found["history"]["coarse"] == []
    assert [one["number"] for one in found["now"]["workers"]] == [1, 2]
    assert pages.ask("/live.json", **BEARER).json["history"] == {"fine": [], "coarse": []}


@pytest.mark.parametrize(
    "page", ["/live.json?fine=%ff", "/live.json?%ff=1", "/requests?stacks=%ff", "/requests?%ff=1"]
)
def test_a_query_that_is_no_text(pages, page):
    answer = pages.ask(page, **BEARER)
    assert (answer.status_code, answer.text) == (400, "The query is no text in UTF-8.\n")


def test_a_name_that_utf_8_can_not_hold_is_escaped_and_hides_no_worker(pages):
    pages.master.answers[1] = {"count": 0, "requests": [{"route": "GET /\udcff"}], "text": "thread \udcff"}
    text = pages.ask("/threads", **BEARER).text
    assert "thread \\udcff" in text
    assert "worker 2" in text
    assert b"GET /\\udcff" in pages.ask("/requests", **BEARER).body
    pages.master.refusal = "no module \udcff"
    assert pages.ask("/reload", "POST", **BEARER).text == "Not reloaded: no module \\udcff\n"


@pytest.mark.parametrize("query", ["fine=x", "fine=-1", "coarse=99999999999999999", "fine=%D9%A1"])
def test_a_number_that_is_none(pages, query):
    assert pages.ask(f"/live.json?{query}", **BEARER).status_code == 400
