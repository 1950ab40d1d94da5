"""The panels of work: many sleepers at once, and work that goes on after the answer was sent."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from webob import Response
from webob.exc import HTTPBadRequest, HTTPNotFound

from greenserve import Event, GreenPool, Queue, Timeout, connect, sleep

from .mirror import address, number

MOST_SLEEPERS = 500
MOST_JOBS = 100

jobs: dict[int, Event] = {}
job_numbers = itertools.count(1)


def nap(request: Any) -> Any:
    """Sleeps for a second, as a slow database would make it wait."""
    sleep(1)
    return Response("rested\n", content_type="text/plain")


def crowd(request: Any) -> Any:
    """Sends `n` requests to /nap at once, each over its own connection; a line of JSON for each answer."""
    count = number(request, "n", 200, MOST_SLEEPERS)
    if count is None:
        return HTTPBadRequest(f"n: a number from 1 to {MOST_SLEEPERS}")
    answered: Queue[dict[str, int]] = Queue()
    where = address(request)

    def visit(index: int) -> None:
        began, status = time.monotonic(), 0
        try:
            with closing(connect(where)) as sock:
                sock.sendall(b"GET /nap HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
                status = int(sock.recv(4096).split(b" ", 2)[1])
        except (OSError, IndexError, ValueError):
            pass  # a refused or broken connection shows as status 0
        answered.put({"index": index, "status": status, "ms": round((time.monotonic() - began) * 1000)})

    def lines() -> Iterator[bytes]:
        pool = GreenPool(count)
        for index in range(count):
            pool.spawn_n(visit, index)
        for _ in range(count):
            yield json.dumps(answered.get()).encode() + b"\n"

    return Response(app_iter=lines(), content_type="application/x-ndjson")


def later(request: Any) -> Any:
    """Answers at once; the second of work is a post-hook, which greenserve calls when the answer is out."""
    job, done = next(job_numbers), Event()
    jobs[job] = done
    while len(jobs) > MOST_JOBS:
        del jobs[next(iter(jobs))]
    request.environ["greenserve.posthooks"].append((work_on, (done,), {"began": time.monotonic()}))
    return Response(json_body={"job": job})


def work_on(environ: dict[str, Any], done: Event, *, began: float) -> None:
    """The post-hook: a second of work, then whoever waits for the event is told."""
    sleep(1)
    done.send(time.monotonic() - began)


def later_done(request: Any) -> Any:
    """Waits until the job is done: a long poll is one parked green thread."""
    done = jobs.get(number(request, "job", 0, 10**9) or 0)
    if done is None:
        return HTTPNotFound("no such job")
    try:
        with Timeout(10):
            return Response(json_body={"seconds": done.wait()})
    except Timeout:
        return Response(status=504, json_body={"error": "not done in 10 s"})
