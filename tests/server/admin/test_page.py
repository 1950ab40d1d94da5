"""The live page, in headless Chromium: it draws, updates itself, and runs nothing but its own script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.clients.browsers import MISSING, REASON, Browser, browsers
from tests.support.servers.masters import FakeMaster, fake_master
from tests.support.servers.running import serving

from greenserve.admin.access import Access
from greenserve.admin.app import AdminApp
from greenserve.admin.history import History
from greenserve.admin.page import Page
from greenserve.config.values.binds import parse_bind
from greenserve.errors import ConfigError
from greenserve_hub.testing import FakeClock

TOKEN = "a-token-of-the-test"
EVIL = "GET /<img src=x onerror=alert(1)><script>alert(1)</script>"


def one(route: str, age: float, client: str = "192.0.2.1:5000", **more: Any) -> dict[str, Any]:
    return {
        **{"route": route, "client": client, "state": "in the app", "is_websocket": False, "age": age},
        **{"began": 1.0, "waits_for": "read fd 9", "waited": age, "stack": "  File x\n    rows = query()\n"},
        **more,
    }


def test_its_policy_runs_its_own_code_only():
    response = Page().response()
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='", policy)
    text = response.text
    assert len(re.findall(r"<script|<style", text)) == 2
    assert not re.search(r'\b(src|href)="(?!data:,"|threads"|stats.json"|metrics")', text), (
        "nothing from outside"
    )
    assert not re.search(r"\bon\w+=|style=|innerHTML|insertAdjacentHTML|eval\(", text)


def test_a_frozen_program_without_it_is_told_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("greenserve.admin.page.resources.files", lambda _: tmp_path)
    with pytest.raises(ConfigError, match="--collect-data greenserve"):
        Page()


in_a_browser = pytest.mark.skipif(MISSING, reason=REASON)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers(1) as (made,):
        yield made


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with fake_master() as master:
        master.answers = {
            1: {"count": 2, "requests": [one(EVIL, 75), one("/chat", 7000, is_websocket=True)]},
            2: {"count": 1, "requests": [one("POST /orders", 0.1)]},
        }
        yield master


class Shown:
    """The page of a master, in a browser."""

    def __init__(
        self, browser: Browser, master: FakeMaster, url: str, history: History, clock: FakeClock
    ) -> None:
        self.browser, self.master, self._history, self._clock = browser, master, history, clock
        browser.complaints()
        browser.open(url.replace("http://", f"http://any:{TOKEN}@"))

    def passes(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.master.works(1, 20, 0.02)
            self._clock.advance(2)
            self._history.sample()

    def until(self, css: str, wanted: str) -> None:
        self.browser.until_true(
            "return [...document.querySelectorAll(arguments[0])].some((e) => e.textContent.includes(arguments[1]))",
            css,
            wanted,
            or_else=lambda: f"{css} is {self.browser.texts(css)}, without {wanted}",
        )


@pytest.fixture
def page(browser: Browser, master: FakeMaster) -> Iterator[Shown]:
    clock = FakeClock()
    history = History(master, clock)
    app = AdminApp(master, history, Access(parse_bind("127.0.0.1:1"), TOKEN), has_open_metrics=False)
    with serving(app) as server:
        shown = Shown(browser, master, server.url, history, clock)
        yield shown
        browser.open("about:blank")


@in_a_browser
class TestInABrowser:
    def test_it_draws_and_updates_itself(self, page):
        page.passes(40)
        page.until("#tiles dd", "10")
        page.until("#workers-ready", "2 of 2 workers ready")
        page.browser.until_true(
            "return document.querySelectorAll('svg path').length > 15"
            " && document.querySelector('svg path').getAttribute('d').length > 200",
            or_else=lambda: str(page.browser.texts("svg text")),
        )
        labels = page.browser.script(
            "return [...document.querySelectorAll('svg')].map((e) => e.getAttribute('aria-label'))"
        )
        assert labels[0].startswith("Requests per second: requests 10, 5xx 0")
        assert "p50 20" in labels[1]
        assert "p99.9" in labels[1]
        page.master.states[2] = "stuck"
        page.master.rows[1]["shed_limit_queue"] = 7
        page.until("#workers td", "stuck")
        page.until("#sums", "shed: limit_queue 7")
        page.browser.click("#coarse")
        page.until("svg text", "6 h")
        assert page.browser.complaints() == []

    def test_what_is_open_stays_open_and_no_text_becomes_code(self, page):
        page.passes()
        page.until("summary .route", EVIL)
        assert page.browser.texts("summary .route") == [EVIL, "POST /orders", "/chat"], (
            "WebSockets are the last"
        )
        page.browser.click("details:nth-child(2) summary")
        page.browser.script("window.kept = document.querySelector('details[open]')")
        page.master.answers[2]["requests"][0] |= {"age": 2.5, "stack": "  File y\n    later()\n"}
        page.until("details[open] pre", "later()")
        assert page.browser.script("return window.kept === document.querySelector('details[open]')")
        page.until("details[open] .age.warn", "2.5 s")
        del page.master.answers[1]["requests"][0]
        page.browser.until(".route", "POST /orders", "/chat")
        assert page.browser.texts("img") == page.browser.texts("body script + script") == []
        assert page.browser.complaints() == []

    def test_a_dead_and_a_stuck_worker(self, page):
        page.passes()
        page.until("#workers-ready", "2 of 2")
        del page.master.answers[2]
        page.until("#silent p", "Worker 2, process 1002, does not answer: its hub has not turned for 1 s")
        page.master.dies(2)
        page.until("#workers-ready", "1 of 1")
        page.until("#sums", "workers that have ended: 1")
        page.browser.until("#silent p")

    def test_reload_asks_first_and_says_what_came_of_it(self, page):
        page.until("#workers-ready", "2 of 2")
        page.browser.script("window.confirm = () => false; document.getElementById('reload').click()")
        page.browser.script("window.confirm = () => true; document.getElementById('reload').click()")
        page.until("#state", "reload: 2 workers are replaced")
        assert page.master.reloads == 1

    @pytest.mark.parametrize(("width", "is_dark"), [(320, False), (390, True), (1300, False)])
    def test_on_a_phone_nothing_sticks_out(self, page, width, is_dark):
        page.passes(5)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        page.browser.devtools("Emulation.setEmulatedMedia", features=[scheme])
        page.browser.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        page.until("summary .route", "POST /orders")
        assert page.browser.script("return document.documentElement.scrollWidth") <= width
        colour = page.browser.script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", colour))) < 200) is is_dark
        page.browser.devtools("Emulation.clearDeviceMetricsOverride")

    def test_it_says_when_nobody_answers(self, page):
        page.until("#workers-ready", "2 of 2")
        page.browser.devtools("Network.enable")
        offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.browser.devtools("Network.emulateNetworkConditions", offline=True, **offline)
        page.until("#state", "No answer since")
        page.browser.devtools("Network.emulateNetworkConditions", offline=False, **offline)
        page.browser.until("#state", "")
