"""endpoint: connections of one address share an environ, also over TLS."""

from __future__ import annotations

from typing import Any

from greenserve.net.opening.endpoint import Endpoint

BASE: dict[str, Any] = {"wsgi.url_scheme": "https"}
SESSION = {"SSL_PROTOCOL": "TLSv1.3", "SSL_TLS_SNI": "a.example"}


def _endpoint() -> Endpoint:
    return Endpoint(BASE, None, lambda request: None)


def test_the_same_session_is_the_same_environ() -> None:
    endpoint = _endpoint()
    first = endpoint.environ_over_tls(endpoint.environ, SESSION, {})
    assert first == {**BASE, **SESSION}
    assert endpoint.environ_over_tls(endpoint.environ, dict(SESSION), {}) is first
    assert endpoint.environ == {"wsgi.url_scheme": "https"}


def test_a_client_certificate_or_a_proxy_header_makes_one_of_its_own() -> None:
    endpoint = _endpoint()
    mine = endpoint.environ_over_tls(endpoint.environ, SESSION, {"SSL_CLIENT_VERIFY": "SUCCESS"})
    assert mine == {**BASE, **SESSION, "SSL_CLIENT_VERIFY": "SUCCESS"}
    behind_a_proxy = {**BASE, "SERVER_NAME": "b.example"}
    assert endpoint.environ_over_tls(behind_a_proxy, SESSION, {})["SERVER_NAME"] == "b.example"
    assert "SERVER_NAME" not in endpoint.environ_over_tls(endpoint.environ, SESSION, {})
