"""environ: what an app is told of its request (PEP 3333, "environ Variables")."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tests.support.heads import head
from tests.support.links import exchange

from greenserve.wsgi import FileWrapper, base_environ, make_environ


def _environ(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "x") -> dict[str, Any]:
    base = base_environ("http", "server.example", "8000", "greenserve/0", io.StringIO())
    return make_environ(base, head(line, *fields, host=host), "192.0.2.1", "4711")


def test_the_request_line() -> None:
    environ = _environ("PUT /a%20%C3%A4/b?q=%20&r HTTP/1.1")
    assert {name: environ[name] for name in environ if name.isupper() and not name.startswith("HTTP_")} == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a \xc3\xa4/b",
        "QUERY_STRING": "q=%20&r",
        "RAW_URI": "/a%20%C3%A4/b?q=%20&r",
        "REQUEST_URI": "/a%20%C3%A4/b?q=%20&r",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "server.example",
        "SERVER_PORT": "8000",
        "SERVER_SOFTWARE": "greenserve/0",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "4711",
    }


def test_the_wsgi_variables() -> None:
    environ = _environ()
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.file_wrapper"] is FileWrapper
    assert [
        environ[f"wsgi.{name}"] for name in ("multithread", "multiprocess", "run_once", "input_terminated")
    ] == [
        True,
        False,
        False,
        True,
    ]


def test_the_version_is_the_clients() -> None:
    assert _environ("GET / HTTP/1.0", host=None)["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_query_string_is_there_without_a_query() -> None:
    assert _environ("GET /a HTTP/1.1")["QUERY_STRING"] == ""
    assert _environ("GET /a? HTTP/1.1")["QUERY_STRING"] == ""


def test_fields_become_http_keys() -> None:
    environ = _environ(
        "GET / HTTP/1.1", "X-Some-Thing: \xe4", "accept: a/b", "CONTENT-type: c/d", "content-LENGTH: 0"
    )
    assert environ["HTTP_X_SOME_THING"] == "\xe4"
    assert environ["HTTP_ACCEPT"] == "a/b"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("c/d", "0")
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_nothing_is_there_that_was_not_sent() -> None:
    assert not {"CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST"} & _environ("GET / HTTP/1.0", host=None).keys()


def test_doubles_are_joined_as_lists_and_cookies_as_crumbs() -> None:
    environ = _environ("GET / HTTP/1.1", "Accept: a", "Cookie: b=1", "accept: c", "cookie: d=2")
    assert environ["HTTP_ACCEPT"] == "a,c"
    assert environ["HTTP_COOKIE"] == "b=1; d=2"


@pytest.mark.parametrize("name", ["X_Forwarded_For", "Content_Length", "_", "X-A_B", "Proxy", "pRoXy"])
def test_what_could_pass_for_something_else_is_dropped(name: str) -> None:
    for _ in range(2):  # the second time it comes from a table
        environ = _environ("GET / HTTP/1.1", f"{name}: 7", f"{name}: 8")
        assert environ.keys() == _environ().keys()


def test_a_field_cannot_take_the_place_of_a_variable() -> None:
    environ = _environ(
        "GET / HTTP/1.1", "Remote-Addr: evil", "Server-Name: evil", "wsgi.input: evil", "Host-: evil"
    )
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == ("192.0.2.1", "server.example")
    assert environ["HTTP_REMOTE_ADDR"] == "evil"
    assert environ["wsgi.input"] != "evil"


def test_an_absolute_target_is_the_host_asked_for() -> None:
    environ = _environ("GET http://y:81/p?q HTTP/1.1", host="x")
    assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("y:81", "/p", "q")


def test_asterisk_form() -> None:
    assert _environ("OPTIONS * HTTP/1.1")["PATH_INFO"] == "*"


def test_requests_share_nothing() -> None:
    base = base_environ("http", "s", "1", "g", io.StringIO())
    one, other = (make_environ(base, head("GET / HTTP/1.1"), "p", "1") for _ in range(2))
    one["x"] = 1
    assert "x" not in other
    assert "x" not in base


def test_what_an_exchange_adds() -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    x = exchange(app, validated=False)
    (environ,) = seen
    assert type(environ) is dict
    assert environ["wsgi.input"].read() == b""
    assert environ["greenserve.posthooks"] == []
    assert environ["greenserve.client_disconnected"]() is False
    assert x.status == 200
