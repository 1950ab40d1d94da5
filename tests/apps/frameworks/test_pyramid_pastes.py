"""apps/frameworks/pyramid_pastes: what is kept, for whom, and what is refused."""

from __future__ import annotations

import pytest
import requests
from apps.frameworks import pyramid_pastes
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(pyramid_pastes, "pastes", type(pyramid_pastes.pastes)())
    with serving(pyramid_pastes.app) as running:
        yield running


def post(server, data, **headers):
    return requests.post(
        f"{server.url}/pastes", data=data, headers=headers, timeout=PATIENCE, allow_redirects=False
    )


def get(url, **headers):
    return requests.get(url, headers=headers, timeout=PATIENCE)


def test_a_program_gets_the_address_of_what_it_has_sent(server):
    kept = post(server, "<b>tea</b> ☕".encode())
    assert (kept.status_code, kept.text) == (201, kept.headers["Location"] + "\n")
    shown = get(kept.headers["Location"])
    assert (shown.status_code, shown.text) == (200, "<b>tea</b> ☕")
    assert shown.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"


def test_a_browser_is_sent_to_what_it_has_sent(server):
    assert '<form method="post" action="pastes">' in get(server.url).text
    kept = post(server, {"text": "tea & more ☕"}, **BROWSER)
    assert kept.status_code == 303
    assert get(kept.headers["Location"]).text == "tea & more ☕"


def test_curl_sends_any_text_as_a_form(server):
    """Its --data-binary says application/x-www-form-urlencoded, whatever it sends."""
    kept = post(server, b"a=b&c%20", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert get(kept.headers["Location"]).text == "a=b&c%20"


def test_who_has_it_does_not_get_it_again(server):
    url = post(server, b"0123456789").headers["Location"]
    tag = get(url).headers["ETag"]
    assert get(url, **{"If-None-Match": tag}).status_code == 304
    part = get(url, Range="bytes=2-4")
    assert (part.status_code, part.content) == (206, b"234")


def test_reads_a_body_in_chunks(server):
    assert post(server, iter([b"one ", b"two"])).status_code == 201


@pytest.mark.parametrize(
    ("data", "status", "told"),
    [
        (b"", 400, "Send some text.\n"),
        (b" \n", 400, "Send some text.\n"),
        (b"\xff", 400, "Send text in UTF-8.\n"),
        (b"x" * 65_537, 413, "Send at most 65536 bytes.\n"),
        ([b"x" * 65_000] * 2, 413, "Send at most 65536 bytes.\n"),
        ({"text": "x" * 65_537}, 413, "Send at most 65536 bytes.\n"),
    ],
)
def test_refuses_what_is_no_text(server, data, status, told):
    answer = post(server, iter(data) if isinstance(data, list) else data)
    assert (answer.status_code, answer.text) == (status, told)


@pytest.mark.parametrize("body", [b"text=%ff", b"text=", b"text=\xff"])
def test_refuses_forms_that_are_none(server, body):
    answer = post(server, body, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 400


def test_the_oldest_makes_way(server, monkeypatch):
    monkeypatch.setattr(pyramid_pastes, "MOST_KEPT", 2)
    urls = [post(server, text).headers["Location"] for text in (b"1", b"2", b"3")]
    assert [get(url).status_code for url in urls] == [404, 200, 200]
    assert "so old that it is gone" in get(urls[0]).text


def test_other_paths_and_methods(server):
    assert get(f"{server.url}/nothing").status_code == 404
    assert requests.delete(server.url, timeout=PATIENCE).status_code == 404
