"""apps/work/jobs: how many run, how many wait, and what becomes of those that fail."""

from __future__ import annotations

import pytest
import requests
from apps.work import jobs
from tests.support.servers.running import Gate, serving
from tests.support.times import PATIENCE, eventually

import greenserve


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    monkeypatch.setattr(jobs, "MOST_WAITING", 3)
    monkeypatch.setattr(jobs, "MOST_KEPT", 7)
    monkeypatch.setattr(jobs, "jobs", jobs.Jobs())
    with serving(jobs.app) as running:
        yield running


@pytest.fixture
def gate(monkeypatch):
    """Holds each job until it is opened."""
    gate = Gate()

    def work(text):
        gate.wait()
        return {text: 1}

    monkeypatch.setattr(jobs, "work", work)
    return gate


def add(server, text="a b a"):
    return requests.post(f"{server.url}/jobs", json={"text": text}, timeout=PATIENCE)


def states(server, answers):
    urls = [server.url + answer.headers["Location"] for answer in answers]
    return [requests.get(url, timeout=PATIENCE).json()["state"] for url in urls]


def test_a_job_is_done_after_its_request(server):
    answer = add(server)
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    url = server.url + answer.headers["Location"]
    eventually(lambda: requests.get(url, timeout=PATIENCE).json()["state"] == "done", "the result")
    assert requests.get(url, timeout=PATIENCE).json()["result"] == {"a": 2, "b": 1}


def test_so_many_run_so_many_wait_and_more_are_refused(server, gate):
    running = [add(server) for _ in range(2)]
    gate.reached(2)
    waiting = [add(server)]
    eventually(
        lambda: jobs.jobs.queue.empty(), "the one that is next"
    )  # it is out of the queue, and waits for the pool
    waiting += [add(server) for _ in range(3)]
    refused = add(server)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert states(server, running + waiting) == ["running"] * 2 + ["waiting"] * 4
    gate.open()
    eventually(lambda: states(server, running + waiting) == ["done"] * 6, "the end of all")


def test_the_oldest_result_is_forgotten(server, monkeypatch):
    monkeypatch.setattr(jobs, "work", len)
    answers = []
    for _ in range(8):
        answers.append(add(server))
        eventually(lambda: states(server, answers[-1:]) == ["done"], "the result")
    gone = requests.get(server.url + answers[0].headers["Location"], timeout=PATIENCE)
    assert gone.status_code == 404
    assert states(server, answers[1:]) == ["done"] * 7


def test_a_job_that_fails_or_takes_too_long_harms_no_other(server, monkeypatch, caplog):
    def work(text):
        if text == "fail":
            raise LookupError("a secret")
        if text == "hang":
            greenserve.sleep(1000)
        return {}

    monkeypatch.setattr(jobs, "work", work)
    monkeypatch.setattr(jobs, "JOB_SECONDS", 0.05)
    answers = [add(server, text) for text in ("fail", "hang", "fine")]
    eventually(lambda: states(server, answers) == ["failed", "failed", "done"], "the end of all")
    told = [
        requests.get(server.url + one.headers["Location"], timeout=PATIENCE).json() for one in answers[:2]
    ]
    assert [one["error"] for one in told] == ["It failed; the log says why.", "It took longer than 0.05 s."]
    assert "a secret" in caplog.text


@pytest.mark.parametrize("body", ["{", "[]", "{}", '{"text": 7}'])
def test_refuses_what_is_no_job(server, body):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server.url}/jobs", data=body, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 400


def test_refuses_what_is_too_long(server):
    assert add(server, "x" * 70_000).status_code == 413
    assert requests.get(f"{server.url}/jobs/nothing", timeout=PATIENCE).status_code == 404
