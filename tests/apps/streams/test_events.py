"""apps/streams/events: what arrives, and what a client gets that comes back."""

from __future__ import annotations

import pytest
import requests
from apps.streams import events
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

from greenserve import Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(events, "history", events.History())
    with serving(events.app) as running:
        yield running


class Listener:
    """As a browser's EventSource reads: blocks of lines, and a field is its name, a colon and the rest."""

    def __init__(self, server: Server, last: str | None = None) -> None:
        headers = {} if last is None else {"Last-Event-ID": last}
        self.response = requests.get(f"{server.url}/events", headers=headers, stream=True, timeout=PATIENCE)
        self.lines = self.response.iter_lines(chunk_size=1, decode_unicode=True)
        assert self.next() == {"retry": "2000"}

    def next(self) -> dict[str, str]:
        event: dict[str, str] = {}
        while line := next(self.lines):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            event[name] = f"{event[name]}\n{value}" if name in event else value
        return event

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.response.close()


def publish(server, text):
    return requests.post(f"{server.url}/news", json={"text": text}, timeout=PATIENCE)


def test_all_who_listen_get_what_is_published(server):
    with Listener(server) as one, Listener(server) as other:
        assert one.response.headers["Content-Type"].startswith("text/event-stream")
        assert publish(server, "first").json() == {"number": 1}
        first = {"event": "news", "id": f"{events.history.run}-1", "data": "first"}
        assert one.next() == other.next() == first


def test_one_that_comes_back_gets_what_it_has_missed_once(server):
    with Listener(server) as one:
        publish(server, "seen")
        last = one.next()["id"]
    publish(server, "missed")
    with Listener(server, last) as again:
        assert again.next()["data"] == "missed"
        publish(server, "new")
        assert again.next()["data"] == "new"


def test_one_that_comes_back_too_late_is_told(server, monkeypatch):
    monkeypatch.setattr(events, "KEPT", 2)
    monkeypatch.setattr(events, "history", events.History())
    with Listener(server) as one:
        publish(server, "1")
        last = one.next()["id"]
    for number in "234":
        publish(server, number)
    with Listener(server, last) as again:
        assert [again.next().get(name) for name in ("event", "data", "data")] == ["missed", "3", "4"]


@pytest.mark.parametrize("last", ["", "nonsense", "another-run-7", "999"])
def test_an_id_that_is_not_its_own_means_that_something_is_missing(server, last):
    publish(server, "kept")
    with Listener(server, last) as one:
        assert one.next()["event"] == "missed"
        assert one.next()["data"] == "kept"
        publish(server, "new")
        assert one.next()["data"] == "new"


def test_an_id_of_the_future_is_not_its_own(server):
    with Listener(server, f"{events.history.run}-7") as one:
        assert one.next()["event"] == "missed"


def test_text_cannot_begin_another_event(server):
    with Listener(server) as one:
        publish(server, "a\n\nevent: forged\r\rdata: x\r\nid: 9")
        assert one.next()["data"] == "a\n\nevent: forged\n\ndata: x\nid: 9"


def test_silence_is_filled(server, monkeypatch):
    monkeypatch.setattr(events, "PING_SECONDS", 0.01)
    with Listener(server) as one:
        assert one.next() == {"": "still here"}


@pytest.mark.parametrize(
    "body", ["{", "[]", "{}", '{"text": ""}', '{"text": 7}', '{"text": "%s"}' % ("x" * 1001)]
)
def test_refuses_what_is_no_text(server, body):
    answer = requests.post(
        f"{server.url}/news", data=body, headers={"Content-Type": "application/json"}, timeout=PATIENCE
    )
    assert answer.status_code == 400


def test_refuses_forms_and_what_is_too_long(server):
    assert requests.post(f"{server.url}/news", data={"text": "x"}, timeout=PATIENCE).status_code == 415
    assert publish(server, "x" * 5000).status_code == 413


def test_has_a_page(server):
    assert 'new EventSource("events")' in requests.get(server.url, timeout=PATIENCE).text
