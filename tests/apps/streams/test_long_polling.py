"""apps/streams/long_polling: who waits, for what and for how long."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
import requests
from apps.streams import long_polling
from tests.support.clients.raw import RawClient, request
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(long_polling, "document", long_polling.Document())
    with serving(long_polling.app, cancel_on_disconnect="close") as running:
        yield running


def read(server, tag=None, wait=None):
    headers = {"If-None-Match": tag, "Prefer": None if wait is None else f"respond-async, wait={wait}"}
    return requests.get(f"{server.url}/document", headers=headers, timeout=PATIENCE)


def write(server, text, tag):
    return requests.put(f"{server.url}/document", data=text, headers={"If-Match": tag}, timeout=PATIENCE)


def waiting():
    return len(long_polling.document.changed._waiters)


def test_a_newcomer_gets_the_document_at_once(server):
    answer = read(server, wait=20)
    assert (answer.status_code, answer.text, answer.headers["ETag"]) == (200, "", '"1"')
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_who_has_the_version_waits_for_the_next_one(server):
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(read(server, '"1"', 20))) for _ in range(20)]
    for client in clients:
        client.start()
    eventually(lambda: waiting() == 20, "all of them")
    assert write(server, "better", '"1"').headers["ETag"] == '"2"'
    for client in clients:
        client.join()
    assert [(one.status_code, one.text, one.headers["ETag"]) for one in answers] == [
        (200, "better", '"2"')
    ] * 20


def test_a_wait_without_a_change_ends_with_304(server, monkeypatch):
    monkeypatch.setattr(long_polling, "MOST_SECONDS", 0.01)
    answer = read(server, '"1"', 999_999_999)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["Preference-Applied"] == "wait=0.01"


@pytest.mark.parametrize("wait", [None, 0, "-1", "x", "9" * 5000])
def test_without_a_preference_nobody_waits(server, wait):
    assert read(server, '"1"', wait).status_code == 304


def test_two_that_write_at_once_lose_no_text(server):
    assert write(server, "mine", '"1"').status_code == 200
    refused = write(server, "yours", '"1"')
    assert refused.status_code == 412
    assert "Read the document again" in refused.text
    assert read(server).text == "mine"
    assert requests.put(f"{server.url}/document", data="x", timeout=PATIENCE).status_code == 428


def test_refuses_a_text_that_is_too_long(server):
    assert write(server, "x" * (long_polling.MOST_BYTES + 1), '"1"').status_code == 413
    assert read(server).text == ""


def test_who_goes_away_waits_no_longer(server):
    with RawClient(server.address) as client:
        client.send(request("/document", "GET", b"", 'If-None-Match: "1"', "Prefer: wait=20"))
        eventually(lambda: waiting() == 1, "its wait")
        client.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # close by a reset
    eventually(lambda: server.stats.cancelled == 1, "the end of its wait")
    assert waiting() == 0
