"""apps/work/async_calls behind the command on the asyncio hub, with backends that answer, refuse, hang and flood."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tests.server.frameworks.sites import serving_app
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

import greenserve

TOGETHER = 5


@pytest.fixture
def backend():
    met = []
    event = greenserve.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        path = environ["PATH_INFO"]
        if path == "/flood":
            return iter([bytes(100_000)] * 20)
        if path == "/together":  # answers when all are here
            met.append(path)
            if len(met) == 2 * TOGETHER:
                event.send()
            event.wait()
        return [b"hello"]

    with serving(app) as running:
        yield running


def test_all_are_asked_at_once_for_all_requests_and_errors_stay_where_they_are(
    backend, tmp_path, monkeypatch
):
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))  # and never listens
        urls = {
            "one": f"{backend.url}/together?1",
            "two": f"{backend.url}/together?2",
            "flood": f"{backend.url}/flood",
            "refuses": f"http://127.0.0.1:{unbound.getsockname()[1]}/",
            "hangs": f"http://127.0.0.1:{silent.getsockname()[1]}/",
            "nonsense": "http://127.0.0.1:x/",
        }
        monkeypatch.setenv("BACKENDS", ",".join(urls.values()))
        with (
            serving_app("apps.work.async_calls:app", tmp_path, "--hub", "asyncio-plain") as site,
            ThreadPoolExecutor(TOGETHER) as clients,
        ):
            answers = list(clients.map(lambda _: requests.get(site.url, timeout=PATIENCE), range(TOGETHER)))
    for answer in answers:
        assert answer.status_code == 200
        found = {name: answer.json()[url] for name, url in urls.items()}
        assert (found["one"]["status"], found["one"]["bytes"]) == (found["two"]["status"], 5) == (200, 5)
        errors = {name: found[name]["error"].partition(":")[0] for name in urls if "error" in found[name]}
        assert errors == {
            "flood": "HTTPError",
            "refuses": "ConnectError",
            "hangs": "TimeoutError",
            "nonsense": "InvalidURL",
        }
