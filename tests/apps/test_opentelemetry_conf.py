"""apps/opentelemetry_conf: each request is counted once, by the worker that served it, and none is lost at the end."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import ROOT, command

REQUESTS = 17


@pytest.mark.parametrize("workers", [1, 2])
def test_every_request_is_counted_once(workers: int) -> None:
    flags = ("-c", "apps/opentelemetry_conf.py", "-w", str(workers), "-b", "127.0.0.1:0", "apps.hello:app")
    with command("-m", "greenserve", *flags, folder=ROOT) as program:
        address = program.listens()
        program.until("runs as process")
        for _ in range(REQUESTS):
            assert ask(address, request()).status == 200
        program.signal(signal.SIGTERM)
        assert program.ended() == 0
        assert program.process.stdout is not None
        told = list(_objects(program.process.stdout.read()))
    assert "Traceback" not in program.text
    counts: dict[int, int] = {}
    for one in told:
        for resource in one["resource_metrics"]:
            pid = resource["resource"]["attributes"]["process.pid"]
            for metric in (metric for scope in resource["scope_metrics"] for metric in scope["metrics"]):
                assert metric["name"] == "http.server.request.duration"
                (point,) = metric["data"]["data_points"]
                assert point["attributes"] == {"http.request.method": "GET", "http.response.status_code": 200}
                counts[pid] = max(counts.get(pid, 0), point["count"])  # they are sums since the start
    assert sum(counts.values()) == REQUESTS
    assert (program.process.pid in counts) is (workers == 1)


def _objects(text: str) -> Any:
    """JSON objects one behind the other."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        one, end = decoder.raw_decode(text)
        yield one
        text = text[end:]
