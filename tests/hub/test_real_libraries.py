"""Libraries that know nothing of green threads, patched: 200 of their calls wait at once, in one OS thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.programs import waiting_calls
from tests.support.programs.commands import run_python
from tests.support.servers import services
from tests.support.servers.running import serving

import greenserve

ROOT = Path(__file__).parents[2]
AT_ONCE = 3 * waiting_calls.DELAY  # one after another they would wait for 200 times as long


def wait_and_answer(environ, start_response):
    """GET /SECONDS/NUMBER"""
    _, seconds, number = environ["PATH_INFO"].split("/")
    greenserve.sleep(float(seconds))
    start_response("200 OK", [("Content-Length", str(len(number)))])
    return [number.encode()]


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    with serving(wait_and_answer, pool=200) as server:
        yield server.url


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with services.redis() as address:
        yield address


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with services.postgres() as address:
        yield address


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    with services.mariadb() as address:
        yield address


@pytest.mark.parametrize(
    ("library", "service"),
    [
        ("requests", "http"),
        ("urllib3", "http"),
        ("http_client", "http"),
        ("redis", "redis"),
        ("psycopg", "postgres"),
        ("psycopg2", "postgres"),
        ("pymysql", "mariadb"),
        ("subprocess", None),
        ("time", None),
        ("queue", None),
        ("futures", None),
    ],
)
def test_two_hundred_calls_wait_at_once(library, service, request):
    address = [request.getfixturevalue(service)] if service else []
    done = run_python("-m", "greenserve.patched", waiting_calls.__file__, library, *address, folder=ROOT)
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)
    nothing, waited = rounds[-1]
    assert waited - nothing < AT_ONCE, rounds
