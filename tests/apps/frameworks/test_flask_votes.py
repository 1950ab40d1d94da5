"""apps/frameworks/flask_votes behind the command, by websocket-client."""

from __future__ import annotations

import json
import struct
import time

import pytest
import requests
import websocket
from apps.frameworks import flask_votes
from tests.server.frameworks.sites import serving_app
from tests.support.times import PATIENCE


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving_app("apps.frameworks.flask_votes:app", tmp_path_factory.mktemp("votes")) as site:
        yield site


def result(ws, wanted):
    """The next result that is `wanted`; others may come before."""
    while (found := json.loads(ws.recv())) != wanted:
        pass
    return found


def test_all_see_every_vote_and_one_that_leaves_takes_its_vote_along(site):
    with site.connect("/ws") as ada, site.connect("/ws") as grace:
        result(ada, {"tea": 0, "coffee": 0, "water": 0})
        ada.send("tea")
        grace.send("tea")
        for ws in (ada, grace):
            result(ws, {"tea": 2, "coffee": 0, "water": 0})
        ada.send("coffee")
        for ws in (ada, grace):
            result(ws, {"tea": 1, "coffee": 1, "water": 0})
        grace.close()
        result(ada, {"tea": 0, "coffee": 1, "water": 0})


def test_results_come_no_more_often_than_somebody_can_read(site):
    with site.connect("/ws") as ada:
        began = time.monotonic()
        for choice in ("tea", "coffee", "tea", "coffee"):
            ada.send(choice)
            while json.loads(ada.recv())[choice] != 1:
                pass
        assert time.monotonic() - began >= 3 * flask_votes.PAUSE


@pytest.mark.parametrize(("message", "code"), [("beer", 1008), ("", 1008), ("x" * 101, 1009)])
def test_closes_what_is_no_vote(site, message, code):
    with site.connect("/ws") as ws:
        ws.send(message)
        while (frame := ws.recv_frame()).opcode != websocket.ABNF.OPCODE_CLOSE:
            pass
        assert struct.unpack("!H", frame.data[:2])[0] == code


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://["])
def test_the_page_of_another_site_is_not_let_in(site, origin):
    with (
        pytest.raises(websocket.WebSocketBadStatusException) as refused,
        site.connect("/ws", origin=origin),
    ):
        pass
    assert refused.value.status_code == 403
    with site.connect("/ws", origin=site.url):
        pass


def test_has_a_page(site):
    page = requests.get(site.url, timeout=PATIENCE).text
    assert all(f'<output id="{choice}">' in page for choice in ("tea", "coffee", "water"))
