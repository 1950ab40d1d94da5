"""apps/frameworks/socketio_chat behind the command, by python-socketio's client over both transports."""

from __future__ import annotations

import queue
from contextlib import contextmanager

import pytest
import requests
import socketio
from apps.frameworks import socketio_chat
from tests.server.frameworks.sites import serving_app
from tests.support.times import PATIENCE


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving_app("apps.frameworks.socketio_chat:app", tmp_path_factory.mktemp("chat")) as site:
        yield site


@contextmanager
def client(site, name=None, room=None, transport="websocket"):
    """One that keeps what it is told in `told`, and has joined if it has a name."""
    session = requests.Session()  # which the client would leave open
    one = socketio.Client(reconnection=False, handle_sigint=False, http_session=session)
    one.told = queue.Queue()
    for event in ("came", "said", "left"):
        one.on(event, lambda data, event=event: one.told.put((event, data)))
    one.connect(site.url, transports=[transport], wait_timeout=PATIENCE)
    ws = one.eio.ws
    try:
        if name is not None:
            assert one.call("join", {"name": name, "room": room}, timeout=PATIENCE) == {
                "name": name,
                "room": room,
            }
        yield one
    finally:
        one.disconnect()
        # Where the server was first, the client leaves its socket open, and a thread that waits for packets.
        one.eio.queue.put(None)
        if ws is not None:
            ws.shutdown()
        session.close()


def ask(one, event, *data):
    return one.call(event, *data, timeout=PATIENCE)


def next_of(one):
    return one.told.get(timeout=PATIENCE)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_room_hears_what_is_said_and_no_other_does(site, transport):
    room = f"those of {transport}"  # those of the other may still be leaving
    with client(site, "Ada", room, transport) as ada, client(site, "Eve", "tea", transport) as eve:
        with client(site, "Grace", room, transport) as grace:
            assert next_of(ada) == ("came", "Grace")
            assert ask(grace, "say", " hello ") == {}
            assert next_of(ada) == next_of(grace) == ("said", {"name": "Grace", "text": "hello"})
        assert next_of(ada) == ("left", "Grace")
        assert eve.told.empty()


@pytest.mark.parametrize(
    "wanted", [None, 7, [], {}, {"name": "Ada"}, {"name": " ", "room": "x"}, {"name": "x" * 33, "room": "x"}]
)
def test_refuses_names_that_are_none(site, wanted):
    with client(site) as one:
        assert "Send a name and a room" in ask(one, "join", wanted)["error"]
        assert ask(one, "say", "hello") == {"error": "Join a room first."}


def test_refuses_a_second_room_and_texts_that_are_none(site):
    with client(site, "Ada", "alone") as ada:
        assert "already" in ask(ada, "join", {"name": "Ada", "room": "tea"})["error"]
        for text in (None, 7, "", " ", "two\nlines", "x" * 1001, {"a": []}):
            assert "Send one line" in ask(ada, "say", text)["error"]
        assert ada.told.empty()


def test_nobody_can_flood(site):
    with client(site, "Ada", "flood") as ada:
        answers = [ask(ada, "say", "x") for _ in range(socketio_chat.BURST + 1)]
    assert answers[:-1] == [{}] * socketio_chat.BURST
    assert "Too many messages" in answers[-1]["error"]


def test_a_message_that_is_too_large_ends_the_connection(site):
    with client(site, "Ada", "large") as ada:
        ended = queue.Queue()
        ada.on("disconnect", lambda reason: ended.put(reason))
        ada.emit("say", "x" * 20_000)
        ended.get(timeout=PATIENCE)


def test_the_page_of_another_site_is_not_let_in(site):
    url = f"{site.url}/socket.io/?EIO=4&transport=polling"
    assert (
        requests.get(url, headers={"Origin": "https://elsewhere.example"}, timeout=PATIENCE).status_code
        == 400
    )
    assert requests.get(url, headers={"Origin": site.url}, timeout=PATIENCE).status_code == 200


def test_the_page_loads_nothing_that_could_change(site):
    page = requests.get(site.url, timeout=PATIENCE).text
    assert page.count("src=") == page.count("integrity=") == 1
