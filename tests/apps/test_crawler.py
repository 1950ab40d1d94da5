"""apps/crawler against its own site and against what a network can do to it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apps import crawler
from tests.support.servers.running import own_hub, serving
from tests.support.times import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def hub():
    with own_hub() as running:
        yield running


@pytest.fixture(scope="module")
def site():
    with serving(crawler.site) as server:
        yield server


def test_follows_the_links_of_a_page(site):
    began = time.monotonic()
    rows = list(crawler.crawl([f"{site.url}/"]))
    took = time.monotonic() - began
    assert [row.url for row in rows] == [f"{site.url}/", *(f"{site.url}/page/{n}" for n in range(50))]
    assert {row.status for row in rows} == {200}
    assert rows[-1].body == b"<p>/page/49</p>"
    assert took < sum(row.seconds for row in rows) / 3, "the fetches did not overlap"


def test_fetches_each_page_once(site):
    pages = [f"{site.url}/page/1", f"{site.url}/page/1", f"{site.url}/"]
    urls = [row.url for row in crawler.crawl(pages)]
    assert len(urls) == len(set(urls)) == 51


def test_stays_on_the_host():
    def pages(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b'<a href="http://127.0.0.1:1/elsewhere">x</a><a href="#here">y</a>']

    with serving(pages) as server:
        assert [row.url for row in crawler.crawl([f"{server.url}/"])] == [f"{server.url}/"]


def test_reads_a_body_in_chunks():
    def pages(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"one ", b"two"])

    with serving(pages) as server:
        assert crawler.fetch(server.url).body == b"one two"


def test_tells_of_what_it_cannot_fetch():
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))  # and never listens
        refused = crawler.fetch(f"http://127.0.0.1:{unbound.getsockname()[1]}/")
    assert "ConnectionRefusedError" in str(refused.status)
    assert "http://" in str(crawler.fetch("https://127.0.0.1/").status)


def test_gives_up_on_a_silent_host(monkeypatch):
    monkeypatch.setattr(crawler, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        row = crawler.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert "Timeout" in str(row.status)


def test_runs_as_a_command():
    command = [sys.executable, "-m", "apps.crawler"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    lines = out.stdout.splitlines()
    assert lines[0].split() == ["status", "bytes", "ms", "url"]
    assert re.fullmatch(r"51 pages in \d\.\d s; one after another \d\d\.\d s", lines[-1]), out.stdout
    assert out.stderr == ""
