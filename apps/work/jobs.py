"""A job queue: a request hands a job over and is answered at once; a pool of green threads does the jobs.

`greenserve apps.work.jobs:app`, then

    curl -i localhost:8000/jobs -H 'Content-Type: application/json' -d '{"text": "to be or not to be"}'
    curl localhost:8000/jobs/ID
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter, OrderedDict
from typing import Any

from flask import Flask, Response, abort, jsonify, request, url_for

from greenserve import Full, GreenPool, Queue, Timeout, sleep, spawn_n

AT_ONCE = 20  # jobs that run at the same time: what the service that they use can take
MOST_WAITING = 200  # beyond it a client is told to come back later
JOB_SECONDS = 30.0
MOST_KEPT = 10_000  # jobs whose results can be asked for; the oldest is forgotten first

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 65_536


def work(text: str) -> dict[str, int]:
    """The job itself: a call that waits, of a slow service say."""
    sleep(0.2)
    return dict(Counter(text.split()).most_common(10))


class Jobs:
    """Jobs that wait in a queue of fixed size, those that run, and the results of the last ones."""

    def __init__(self) -> None:
        """Begin without jobs. The green thread that hands them out starts with the first one, in the server's hub."""
        self.states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.queue: Queue[tuple[str, str]] = Queue(MOST_WAITING)
        self.pool = GreenPool(AT_ONCE)
        self.runs = False

    def add(self, text: str) -> str:
        """Queue a job and return its id, which nobody can guess. Raises Full."""
        job = secrets.token_urlsafe(16)
        self.queue.put_nowait((job, text))
        self.states[job] = {"state": "waiting"}
        while len(self.states) > MOST_KEPT:
            self.states.popitem(last=False)
        if not self.runs:
            self.runs = True
            spawn_n(self.hand_out)
        return job

    def hand_out(self) -> None:
        """Take jobs from the queue for as long as the server runs, each when the pool has room for it."""
        while True:
            self.pool.spawn_n(self.run, *self.queue.get())

    def run(self, job: str, text: str) -> None:
        """Do one job. Whatever happens to it, the others go on."""
        state = self.states.get(job, {})
        state["state"] = "running"
        try:
            with Timeout(JOB_SECONDS):
                result = work(text)
        except Timeout:
            state.update(state="failed", error=f"It took longer than {JOB_SECONDS:g} s.")
        except Exception:
            logging.getLogger(__name__).exception("job %s failed", job)
            state.update(state="failed", error="It failed; the log says why.")
        else:
            state.update(state="done", result=result)


jobs = Jobs()


@app.post("/jobs")
def add() -> tuple[Response, int]:
    """Take `{"text": ...}`: 202 and where to ask for the result, or 503 while too many wait."""
    sent = request.get_json()
    if not isinstance(sent, dict) or not isinstance(text := sent.get("text"), str):
        abort(400, 'Send {"text": "..."}.')
    try:
        job = jobs.add(text)
    except Full:
        response = jsonify(error="Too many jobs wait. Send it again later.")
        response.headers["Retry-After"] = "10"
        return response, 503
    response = jsonify(id=job, state="waiting")
    response.headers["Location"] = url_for("state", job=job)
    return response, 202


@app.get("/jobs/<job>")
def state(job: str) -> dict[str, Any]:
    """The state of a job: waiting, running, done with a result, failed with an error."""
    if job not in jobs.states:
        abort(404, "There is no such job, or it is so old that its result is forgotten.")
    return jobs.states[job]
