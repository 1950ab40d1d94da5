"""apps/hello: both of the commands that apps/README.md gives, and PEP 3333 as wsgiref checks it."""

from __future__ import annotations

from pathlib import Path
from wsgiref.validate import validator

import pytest
import requests
from apps.hello import app
from tests.support.servers.running import serving

from greenserve.loading.loader import load_app

ROOT = Path(__file__).parents[2]


def test_greets():
    with serving(app) as server:
        answer = requests.get(server.url, timeout=5)
    assert (answer.status_code, answer.text) == (200, "Hello, world!\n")
    assert answer.headers["Content-Type"] == "text/plain"


def test_keeps_to_pep_3333():
    with serving(validator(app)) as server:
        assert requests.get(server.url, timeout=5).text == "Hello, world!\n"


@pytest.mark.parametrize("spec", ["apps.hello:app", "apps.hello", "apps/hello.py"])
def test_is_found_by_its_names(spec, monkeypatch):
    monkeypatch.chdir(ROOT)
    with serving(load_app(spec)) as server:
        assert requests.get(server.url, timeout=5).status_code == 200
