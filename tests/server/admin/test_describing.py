"""describing: what a worker says that it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Routes
from tests.support.servers.running import in_one_hub

from greenserve import Event, sleep
from greenserve.admin import describe


class _App(Routes):
    def __init__(self) -> None:
        self.gate = Event()

    def wait_here(self, environ: Any, start_response: Any) -> Any:
        self.gate.wait()
        return self.index(environ, start_response)


def test_each_request_with_its_age_route_wait_and_stack(tmp_path: Path):
    app = _App()
    with (
        in_one_hub(app, tmp_path, pool=1) as (server, _),
        RawClient(server.address, green=True) as one,
        RawClient(server.address, green=True) as other,
    ):
        one.send(request("/wait_here?password=secret"))
        sleep(1)
        other.send(request("/next"))
        sleep(2)
        found = describe(server, "requests")
        assert found["count"] == 2
        runs, waits = found["requests"]
        assert (runs["route"], runs["state"], round(runs["age"])) == ("GET /wait_here", "in the app", 3)
        assert (round(runs["waited"]), runs["client"]) == (3, "unix")
        assert runs["waits_for"]
        assert "self.gate.wait()" in runs["stack"]
        assert (waits["route"], waits["state"], waits["stack"]) == ("GET /next", "waiting for a slot", "")
        assert round(waits["age"]) == 2
        assert "secret" not in json.dumps(found)
        shorter = describe(server, "routes")["requests"]
        assert [set(before) - set(now) for before, now in zip(found["requests"], shorter, strict=True)] == [
            {"stack"}
        ] * 2
        app.gate.send()
        one.answer()
        other.answer()
        assert describe(server, "requests") == {"count": 0, "requests": []}


def test_the_oldest_hundred_of_many(tmp_path: Path):
    app = _App()
    with in_one_hub(app, tmp_path) as (server, _):
        clients = []
        for _ in range(130):
            clients.append(RawClient(server.address, green=True))
            clients[-1].send(request("/wait_here"))
            sleep(0.1)
        found = describe(server, "requests")
        assert (found["count"], len(found["requests"])) == (130, 100)
        ages = [one["age"] for one in found["requests"]]
        assert ages == sorted(ages, reverse=True)
        assert ages[-1] > 3
        app.gate.send()
        for client in clients:
            client.answer()
            client.close()


def test_all_green_threads(tmp_path: Path):
    with in_one_hub(_App(), tmp_path) as (server, _):
        assert "accept_forever" in describe(server, "threads")["text"]
