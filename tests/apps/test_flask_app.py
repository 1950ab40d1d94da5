"""apps/flask_app through the server: its form, its JSON, its stream."""

from __future__ import annotations

import pytest
import requests
from apps.flask_app import app
from tests.support.clients.raw import RawClient, request
from tests.support.servers.running import serving


@pytest.fixture(scope="module")
def server():
    with serving(app) as running:
        yield running


def test_shows_its_form(server):
    page = requests.get(server.url, timeout=5)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert 'role="status"' not in page.text


def test_greets_whoever_fills_the_form(server):
    assert "Hello, Ada!" in requests.post(server.url, data={"name": "Ada"}, timeout=5).text


def test_escapes_what_it_is_told(server):
    page = requests.post(server.url, data={"name": "<script>alert(1)</script>"}, timeout=5).text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_adds_numbers(server):
    answer = requests.post(f"{server.url}/sum", json={"numbers": [1, 2.5, -3]}, timeout=5)
    assert (answer.status_code, answer.json()) == (200, {"sum": 0.5})


@pytest.mark.parametrize("body", ["", "nonsense", "[1]", '{"numbers": "12"}', '{"numbers": [1, "2"]}'])
def test_refuses_what_is_no_list_of_numbers(server, body):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server.url}/sum", data=body, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert "error" in answer.json()


def test_reads_a_chunked_body(server):
    """Flask reads such a body only from a server that says wsgi.input_terminated."""
    answer = requests.post(
        f"{server.url}/sum",
        data=iter([b'{"numbers": [1, ', b"2]}"]),
        headers={"Content-Type": "application/json"},
        timeout=5,
    )
    assert answer.json() == {"sum": 3}


def test_counts_down_line_by_line(server):
    with RawClient(server.address) as client:
        client.send(request("/countdown?from=2"))
        head = client.head()
        assert head["Transfer-Encoding"] == "chunked"
        # The app goes on to the next line half a second later, so a line alone in its chunk was flushed by itself.
        assert [client.chunk() for _ in range(4)] == [b"2\n", b"1\n", b"lift-off\n", b""]
