"""The fixture that comes with the package, used as a user would."""

from __future__ import annotations

import pytest
import requests

from greenserve import ConfigError


def _app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


def test_serves_an_app_for_one_test(greenserve_server):
    server = greenserve_server(_app)
    assert requests.get(f"{server.url}/here", timeout=5).text == "/here"


def test_starts_several_servers(greenserve_server):
    one, other = greenserve_server(_app), greenserve_server(_app, pool=1)
    assert one.port != other.port
    assert [requests.get(s.url, timeout=5).status_code for s in (one, other)] == [200, 200]


def test_a_bad_setting_is_told(greenserve_server):
    with pytest.raises(ConfigError, match="pool"):
        greenserve_server(_app, pool="many")
