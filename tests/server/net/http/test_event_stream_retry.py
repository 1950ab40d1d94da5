"""refusals: an EventSource for which there is no slot is told to come back, where event_stream_retry says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import browsers
from tests.support.clients.raw import Answer, RawClient, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import Gate, in_one_hub, serving
from tests.support.times import MS

from greenserve import Event, sleep, spawn

pytestmark = pytest.mark.over_tls_too

_STREAM = "Accept: text/event-stream"


class _Full:
    """A server whose only slot is taken, and a request in line."""

    def __init__(self) -> None:
        self.gate = Event()

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.gate.wait()
        return path(environ, start_response)

    def refused(self, folder: Path, data: bytes, **settings: Any) -> tuple[Answer, bytes]:
        settings = {"pool": 1, "queue_timeout": 10, **settings}
        with (
            in_one_hub(self, folder, **settings) as (server, _),
            RawClient(server.address, green=True) as first,
            RawClient(server.address, green=True) as second,
        ):
            first.send(request("/first"))
            sleep(1)
            answer = second.send(data).answer()
            rest = second.rest()
            assert server.stats.refused == 1
            self.gate.send()
            assert first.answer().body == b"/first"
            return answer, rest


@pytest.mark.parametrize("settings", [{}, {"limit_queue": 0}])
def test_it_gets_an_empty_stream_that_says_when(tmp_path: Path, settings: dict[str, Any]) -> None:
    data = request("/events", "GET", b"", "Cache-Control: no-cache", _STREAM)
    answer, rest = _Full().refused(tmp_path, data, event_stream_retry="4s", **settings)
    assert (answer.status, answer["content-type"], answer["cache-control"]) == (
        200,
        "text/event-stream",
        "no-store",
    )
    assert (answer.closes, rest) == (True, b"")
    found = re.fullmatch(rb"retry: (\d+)\n\n", answer.body)
    assert found
    assert 2000 <= int(found[1]) <= 6000


def test_they_do_not_come_back_all_at_once(tmp_path: Path) -> None:
    data = request("/events", "GET", b"", _STREAM)
    bodies = {_Full().refused(tmp_path, data, event_stream_retry="100s")[0].body for _ in range(4)}
    assert len(bodies) > 1


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (request("/events", "GET", b"", _STREAM), {}),  # as long as nobody asks for it
        (request("/events"), {"event_stream_retry": 4}),
        (request("/events", "GET", b"", "Accept: */*"), {"event_stream_retry": 4}),
        # Programs that read streams by fetch(), which see the status.
        (
            request("/events", "GET", b"", "Accept: application/json, text/event-stream"),
            {"event_stream_retry": 4},
        ),
        (request("/events", "POST", b"x", _STREAM), {"event_stream_retry": 4}),
    ],
)
def test_all_others_get_503(tmp_path: Path, data: bytes, settings: dict[str, Any]) -> None:
    answer, _ = _Full().refused(tmp_path, data, **settings)
    assert (answer.status, answer["retry-after"], answer.closes) == (503, "1", True)


def test_a_stop_is_no_end_for_good_either(tmp_path: Path) -> None:
    full = _Full()
    with (
        in_one_hub(full, tmp_path, pool=1, event_stream_retry=1, graceful_timeout=5) as (server, _),
        RawClient(server.address, green=True) as first,
        RawClient(server.address, green=True) as second,
    ):
        first.send(request("/first"))
        sleep(1)
        second.send(request("/events", "GET", b"", _STREAM))
        sleep(1)
        spawn(server.stop)
        answer = second.answer()
        assert (answer.status, answer.body[:7]) == (200, b"retry: ")


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with (
        in_one_hub(path, tmp_path, event_stream_retry=1) as (server, _),
        RawClient(server.address, green=True) as client,
    ):
        assert client.send(request("/", "GET", b"", _STREAM, "Host: y")).answer().status == 400


_PAGE = """<!doctype html><title>events</title><p id=state></p><p id=heard></p><script>
const source = new EventSource("/events");
const show = (id, text) => { document.getElementById(id).textContent = text; };
source.onmessage = (event) => { show("heard", event.data); source.close(); };
source.onerror = () => show("state", source.readyState === EventSource.CLOSED ? "ended for good" : "will come back");
</script>"""


@pytest.mark.plain_only
@pytest.mark.skipif(browsers.MISSING, reason=browsers.REASON)
class TestBrowser:
    """Chromium's EventSource, at a server whose only slot is taken when it comes first."""

    @pytest.fixture
    def browser(self) -> Iterator[browsers.Browser]:
        with browsers.browsers(1) as (one,):
            yield one

    def app(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        asked = environ["PATH_INFO"]
        if asked == "/hold":
            self.gate.wait()
        start_response(
            "200 OK", [("Content-Type", "text/event-stream" if asked == "/events" else "text/html")]
        )
        return [b"data: here\n\n"]

    def test_it_comes_back_or_never_does(self, browser: browsers.Browser) -> None:
        for settings, state in (({}, "ended for good"), ({"event_stream_retry": 200 * MS}, "will come back")):
            self.gate = Gate()
            with serving(self.app, pool=1, queue_timeout=50 * MS, **settings) as server:
                browser.open(server.url + "/hello")
                with RawClient(server.address) as first:
                    first.send(request("/hold"))
                    self.gate.reached()
                    # A page that needs no slot, of this server's origin.
                    browser.script("document.open(); document.write(arguments[0]); document.close()", _PAGE)
                    browser.until("#state", state)
                    self.gate.open()
                    assert first.answer().status == 200
                if settings:
                    browser.until("#heard", "here")
                else:
                    assert browser.texts("#heard") == [""]
