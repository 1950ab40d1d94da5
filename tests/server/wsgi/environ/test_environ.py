"""environ: what an app is told of its request (PEP 3333, "environ Variables")."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tests.support.protocols.heads import head
from tests.support.servers.links import FakeLink, exchange

from greenserve.errors import ProtocolError
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


def test_9110_5_3_doubles_are_joined_as_lists_and_cookies_as_crumbs() -> None:
    environ = _environ(
        "GET / HTTP/1.1", "Accept: a", "Cookie: b=1", "accept: c", "cookie: d=2", "ACCEPT: e, f"
    )
    assert environ["HTTP_ACCEPT"] == "a, c, e, f"
    assert environ["HTTP_COOKIE"] == "b=1; d=2"


@pytest.mark.parametrize(
    "name",
    [
        "If-None-Match",
        "Accept-Encoding",
        "Cache-Control",
        "Via",
        "Connection",
        "X-Anything",
        "TE",
    ],
)
def test_9110_5_3_what_may_be_a_list_is_one(name: str) -> None:
    key = "HTTP_" + name.upper().replace("-", "_")
    assert _environ("GET / HTTP/1.1", f"{name}: a", f"{name}: ", f"{name}: a")[key] == "a, , a"


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type",
        "Authorization",
        "Referer",
        "User-Agent",
        "If-Modified-Since",
        "If-Unmodified-Since",
        "If-Range",
        "Range",
        "Origin",
        "From",
        "Date",
        "Max-Forwards",
        "Proxy-Authorization",
        "Sec-WebSocket-Key",
        "Content-Range",
    ],
)
def test_9110_5_5_what_is_no_list_may_come_twice_but_not_differ(name: str) -> None:
    key = name.upper().replace("-", "_")
    key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
    assert _environ("GET / HTTP/1.1", f"{name}: a", f"{name.lower()}: a")[key] == "a"
    for other in ("b", "A", ""):
        with pytest.raises(ProtocolError) as caught:
            _environ("GET / HTTP/1.1", f"{name}: a", "Accept: x", f"{name.lower()}: {other}")
        assert (caught.value.status, name.lower() in caught.value.reason.lower()) == (400, True)


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
    for version, host in (("1.1", "Y:81"), ("1.0", "Y:81"), ("1.0", None)):
        environ = _environ(f"GET http://y:81/p%2Fr?q HTTP/{version}", host=host)
        assert {
            key: environ[key] for key in ("HTTP_HOST", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI")
        } == {
            "HTTP_HOST": "y:81",
            "PATH_INFO": "/p/r",
            "QUERY_STRING": "q",
            "REQUEST_URI": "http://y:81/p%2Fr?q",
            "RAW_URI": "http://y:81/p%2Fr?q",
        }
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("server.example", "8000")


def test_9110_7_4_https_is_not_asked_for_in_the_clear() -> None:
    with pytest.raises(ProtocolError) as caught:
        _environ("GET HTTPS://x/ HTTP/1.1")
    assert caught.value.status == 421
    base = base_environ("https", "server.example", "8000", "greenserve/0", io.StringIO())
    for scheme in ("https", "http"):  # TLS is good enough for both
        environ = make_environ(base, head(f"GET {scheme}://x/ HTTP/1.1"), "192.0.2.1", "4711")
        assert environ["wsgi.url_scheme"] == "https"


def test_3875_4_1_5_asterisk_form_has_no_path() -> None:
    environ = _environ("OPTIONS * HTTP/1.1")
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["RAW_URI"]) == ("", "", "*")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%2Fb", "/a/b"),
        ("/%252F", "/%2F"),
        ("//host/path", "//host/path"),
        ("/a;p=1/b", "/a;p=1/b"),
        ("/%E2%82%AC", "/\xe2\x82\xac"),
        ("/%FF", "/\xff"),
    ],
)
def test_path_info_is_decoded_once_to_bytes_as_latin_1(target: str, path: str) -> None:
    environ = _environ(f"GET {target}?%2F HTTP/1.1")
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, "%2F")
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == f"{target}?%2F"


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
    assert environ["greenserve.trailers"] == ()
    assert environ["greenserve.client_disconnected"]() is False
    assert x.response.status == 200


@pytest.mark.parametrize("name", ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"])
@pytest.mark.parametrize("value", ["chunked", "Chunked", " chunked\t"])
def test_9112_7_1_3_chunks_are_none_any_more_where_the_app_reads(name: str, value: str) -> None:
    environ = _environ("POST / HTTP/1.1", f"{name}:{value}", "TE: trailers", "Trailer: X-Sum")
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert "CONTENT_LENGTH" not in environ
    assert environ["wsgi.input_terminated"] is True
    # These are still true: trailers are handed on, and which the client takes is the app's to know.
    assert (environ["HTTP_TE"], environ["HTTP_TRAILER"]) == ("trailers", "X-Sum")


def _trailers(body: list[bytes], read: int, *fields: str) -> list[Any]:
    """What the app finds in greenserve.trailers before it reads so much of its body, and after."""
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(list(environ["greenserve.trailers"]))
        environ["wsgi.input"].read(read)
        seen.append(list(environ["greenserve.trailers"]))
        assert not [key for key in environ if "SUM" in key]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    x = exchange(app, "POST / HTTP/1.1", *fields, link=FakeLink(*body))
    assert x.response.status == 200
    return seen


def test_9110_6_5_trailers_are_there_when_the_body_was_read_to_its_end() -> None:
    chunked = "Transfer-Encoding: chunked"
    body = [b"3\r\nabc\r\n", b"0\r\nX-Sum: \xe4\r\nx-sum: 2\r\n\r\n"]
    both = [("X-Sum", "\xe4"), ("x-sum", "2")]
    assert _trailers(body, -1, chunked) == [[], both]
    assert _trailers(body, 4, chunked) == [[], both]
    assert _trailers([b"3\r\nabc\r\n0\r\n\r\n"], -1, chunked) == [[], []]
    assert _trailers(body, 2, chunked, "Trailer: X-Sum") == [[], []]


def test_9110_6_5_a_body_with_a_length_and_none_at_all_have_no_trailers() -> None:
    assert _trailers([b"abc"], -1, "Content-Length: 3") == [[], []]
    assert _trailers([], -1) == [[], []]
