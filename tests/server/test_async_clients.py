"""An async client library in blocking handlers: httpx on the asyncio hub, on both kinds of loop."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests
from tests.support.times import MS, PATIENCE

from greenserve import Timeout, serve, sleep, wait_for_awaitable


def backend(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        sleep(PATIENCE)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"backend " + environ["PATH_INFO"].encode()]


class Gateway:
    """An app that asks the backend, by one client for all requests."""

    def __init__(self, url: str) -> None:
        self.client = httpx.AsyncClient(base_url=url, timeout=None)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/close":
            wait_for_awaitable(self.client.aclose())
            start_response("204 No Content", [])
            return []
        try:
            with Timeout(50 * MS if path == "/slow" else PATIENCE):
                answer = wait_for_awaitable(self.client.get(path))
        except Timeout:
            start_response("504 Gateway Timeout", [])
            return [b"too slow"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [answer.content]


@pytest.fixture(params=["asyncio", "asyncio-plain"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the gateway."""
    with (
        serve(backend, graceful_timeout=0) as behind,
        serve(Gateway(behind.url), hub=request.param, graceful_timeout=0) as front,
    ):
        yield front.url
        assert requests.get(f"{front.url}/close", timeout=PATIENCE).status_code == 204


def test_a_handler_waits_for_httpx_in_one_line(url):
    with requests.Session() as session:
        for number in range(3):
            assert session.get(f"{url}/{number}", timeout=PATIENCE).text == f"backend /{number}"


def test_a_handlers_timeout_cancels_the_clients_request(url):
    assert requests.get(f"{url}/slow", timeout=PATIENCE).status_code == 504
    assert requests.get(f"{url}/after", timeout=PATIENCE).text == "backend /after"


def test_many_handlers_share_the_client(url):
    def ask(number: int) -> str:
        return requests.get(f"{url}/{number}", timeout=PATIENCE).text

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(40))) == [f"backend /{number}" for number in range(40)]
