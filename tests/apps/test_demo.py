"""apps/demo through the server: the page, and each panel of it with a real client."""

from __future__ import annotations

import _thread
import hashlib
import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests
from apps.demo import app, live, work
from apps.demo.uploads import LIMIT
from tests.support.clients.raw import RawClient, request
from tests.support.servers.running import Gate, serving
from tests.support.times import PATIENCE, eventually

from greenserve import sleep


@pytest.fixture(scope="module")
def server():
    with serving(app) as running:
        yield running


def get(server, path, **options):
    return requests.get(server.url + path, timeout=PATIENCE, **options)


# The page


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "html"), ("/style.css", "css"), ("/script.js", "javascript")]
)
def test_serves_its_files(server, path, kind):
    answer = get(server, path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"text/{kind}; charset=utf-8"
    assert int(answer.headers["Content-Length"]) == len(answer.content) > 1000
    head = requests.head(server.url + path, timeout=5)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (
        200,
        b"",
        answer.headers["Content-Length"],
    )


def test_loads_nothing_from_elsewhere(server):
    page = get(server, "/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
    everything = page.text + get(server, "/style.css").text + get(server, "/script.js").text
    assert set(re.findall(r"https?://[^\s'\"]+", everything)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, not a place
    assert not re.search(r"<[^>]+\son\w+=|<script>|\sstyle=", page.text), (
        "the policy would refuse inline code"
    )


def test_every_control_of_the_page_is_labelled_and_known_to_the_script(server):
    page, script = get(server, "/").text, get(server, "/script.js").text
    ids = set(re.findall(r'\bid="([\w-]+)"', page))
    assert set(re.findall(r'\$\("([\w-]+)"\)', script)) <= ids
    assert set(re.findall(r'(?:for|aria-labelledby)="([\w-]+)"', page)) <= ids
    for control in re.findall(r"<(?:input|progress)[^>]*>", page):
        assert f'for="{re.search("id=.([a-z]+)", control)[1]}"' in page
    assert page.count('role="status"') + page.count('aria-live="polite"') >= 5


def test_answers_other_paths_and_methods(server):
    assert get(server, "/nothing").status_code == 404
    refused = requests.delete(f"{server.url}/upload", timeout=5)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST, PUT")


# Right now


def test_sends_an_event_each_second(server):
    with RawClient(server.address) as client:
        client.send(request("/events"))
        head = client.head()
        assert head["Content-Type"] == "text/event-stream; charset=utf-8"
        assert client.chunk() == b"retry: 1000\n\n"
        first, second = client.chunk().decode(), client.chunk().decode()
    times = []
    for event in first, second:
        kind, data, *end = event.split("\n")
        assert (kind, end) == ("event: tick", ["", ""])
        told = json.loads(data.removeprefix("data: "))
        times.append(told["time"])
        assert re.fullmatch(r"\d\d:\d\d:\d\d", told["time"])
        assert told["in_flight"] >= 1
        assert told["os_threads"] >= 1
        assert 5 < told["peak_mib"] < 5000
    assert times[0] != times[1]


def test_counts_a_client_that_went_away_as_gone(server):
    eventually(lambda: live.in_flight.now == 0, "an end to the tests before")
    with RawClient(server.address) as client:
        client.send(request("/events"))
        client.head()
        assert live.in_flight.now == 1
    eventually(lambda: live.in_flight.now == 0, "the end of the stream")


def test_shows_a_request(server):
    rows = dict(get(server, "/request?x=1").json())
    assert rows["REQUEST_METHOD"] == "GET"
    assert rows["PATH_INFO"] == "/request"
    assert rows["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert rows["greenserve.posthooks"] == "available"
    assert int(rows["green thread"], 16)
    assert int(rows["OS thread"]) > 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_counts_os_threads_and_no_dummies():
    """threading makes a dummy for each green thread, and each OS thread made in C, that asks who it is."""
    ended = _thread.allocate_lock()
    ended.acquire()

    def ask():
        threading.current_thread()
        ended.release()

    before = live.os_threads()
    _thread.start_new_thread(ask, ())
    ended.acquire()
    eventually(lambda: live.os_threads() == before, "as many as before")


# Uploads


def test_counts_and_hashes_an_upload(server):
    body = bytes(range(256)) * 1000
    answer = requests.post(f"{server.url}/upload", data=body, timeout=PATIENCE).json()
    assert (answer["bytes"], answer["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_counts_a_chunked_upload(server):
    answer = requests.put(
        f"{server.url}/upload", data=iter([b"a" * 1000, b"b" * 500]), timeout=PATIENCE
    ).json()
    assert (answer["bytes"], answer["sha256"]) == (1500, hashlib.sha256(b"a" * 1000 + b"b" * 500).hexdigest())


def ask_first(server, size):
    """Offers a body of `size` bytes as a client does that waits for the go-ahead."""
    client = RawClient(server.address)
    return client.send(
        f"PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n".encode()
    )


def test_gives_the_go_ahead_with_its_own_header(server):
    with ask_first(server, 3) as client:
        go_ahead = client.head()
        assert go_ahead.status == 100
        assert go_ahead["Upload-Limit"] == str(LIMIT)
        answer = client.send(b"abc").answer()
        assert (answer.status, json.loads(answer.body)["bytes"]) == (200, 3)
        assert client.get("/request").status == 200


def test_refuses_a_large_upload_before_a_byte_of_it(server):
    with ask_first(server, LIMIT + 1) as client:
        answer = client.answer()
        assert answer.status == 413
        assert answer["Upload-Limit"] == str(LIMIT)
        assert answer.closes
        assert client.rest() == b""


def test_refuses_a_chunked_upload_once_it_is_too_large(server):
    def endless():
        for _ in range(LIMIT // 65536 + 1):
            yield bytes(65536)

    # The server answers and closes while the client still sends: requests meets either the one or the other.
    try:
        answer = requests.post(f"{server.url}/upload", data=endless(), timeout=PATIENCE)
    except requests.ConnectionError:
        return
    assert answer.status_code == 413


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_asks_first(server, tmp_path):
    def upload(size):
        (tmp_path / "file").write_bytes(bytes(size))
        command = [
            "curl",
            "-sv",
            "-H",
            "Expect: 100-continue",
            "-T",
            tmp_path / "file",
            f"{server.url}/upload",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return done.stdout, done.stderr

    said, heard = upload(100_000)
    assert "< HTTP/1.1 100 Continue" in heard
    assert json.loads(said)["bytes"] == 100_000
    said, heard = upload(LIMIT + 1)
    assert "100 Continue" not in heard
    assert "< HTTP/1.1 413 " in heard
    assert "error" in json.loads(said)


@pytest.mark.parametrize(
    ("size", "lines"),
    [
        (1000, ["PUT /upload", "HTTP/1.1 100 ", "(1,000 bytes", "HTTP/1.1 200 "]),
        (LIMIT + 1, ["PUT /upload", "HTTP/1.1 413 ", "(sends no body)"]),  # the app's refusal
        (2**40, ["PUT /upload", "HTTP/1.1 413 ", "(sends no body)"]),  # the server's own
    ],
)
def test_plays_the_dialogue(server, size, lines):
    said = get(server, f"/dialogue?bytes={size}").json()
    assert [line["text"][: len(start)] for line, start in zip(said, lines, strict=True)] == lines
    assert [line["who"] for line in said] == ["client", "server", "client", "server"][: len(said)]


@pytest.mark.parametrize(
    "path", ["/dialogue?bytes=x", "/dialogue?bytes=-1", "/dialogue?bytes=0", "/crowd?n=501"]
)
def test_refuses_numbers_that_are_none(server, path):
    assert get(server, path).status_code == 400


# Work


def test_two_hundred_sleepers_sleep_at_once(server):
    began = time.monotonic()
    rows = [json.loads(line) for line in get(server, "/crowd?n=200").text.splitlines()]
    took = time.monotonic() - began
    assert sorted(row["index"] for row in rows) == list(range(200))
    assert {row["status"] for row in rows} == {200}
    assert took < 100, "200 s one after another, little more than 1 s at once"


def test_works_after_the_answer(server, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(work, "sleep", lambda seconds: (gate.wait(), sleep(seconds)))
    job = requests.post(f"{server.url}/later", timeout=PATIENCE).json()["job"]  # while the post-hook waits
    gate.reached()
    gate.open()
    done = get(server, f"/later/done?job={job}").json()
    assert done["seconds"] >= 1
    assert get(server, f"/later/done?job={job}").json() == done, "an event can be asked again"
    assert get(server, "/later/done?job=0").status_code == 404


def test_remembers_no_more_than_the_last_jobs(server, monkeypatch):
    monkeypatch.setattr(work, "MOST_JOBS", 1)
    first, second = (requests.post(f"{server.url}/later", timeout=PATIENCE).json()["job"] for _ in range(2))
    assert get(server, f"/later/done?job={first}").status_code == 404
    assert get(server, f"/later/done?job={second}").status_code == 200
