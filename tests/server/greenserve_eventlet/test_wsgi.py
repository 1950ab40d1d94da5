"""wsgi.server and its keywords, each where it shows to a client."""

from __future__ import annotations

import socket as plain_socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.as_eventlet import OK, PLAIN, Environ, ask, body_of, hello, serving
from tests.support.servers.certificates import issue
from tests.support.times import PATIENCE

import greenserve_eventlet as eventlet
from greenserve_eventlet.serving import wsgi
from greenserve_hub import GreenPool, Timeout, sleep, spawn


class TestApps:
    def test_str_and_numbers_are_taken(self) -> None:
        def app(environ: Environ, start: Any) -> list[Any]:
            start(OK, {"Content-length": 5, "Transfer-Encoding": "chunked", "x-a-b": 1})
            return ["he", b"llo"]

        with serving(app) as (address, _):
            response = ask(address)
        assert body_of(response) == b"hello"
        assert b"\r\nX-A-B: 1\r\n" in response
        assert b"chunked" not in response

    def test_what_an_iterable_gives_is_gathered_until_it_fails_or_fills_a_chunk(self) -> None:
        def app(environ: Environ, start: Any) -> Iterator[Any]:
            start(OK, PLAIN)
            yield "a" * int(environ["QUERY_STRING"])
            raise RuntimeError("in the middle")

        with serving(app) as (address, log):
            few = ask(address, "GET /?10 HTTP/1.1")
            many = ask(address, "GET /?5000 HTTP/1.1")
        assert few.startswith(b"HTTP/1.1 500 ")
        assert body_of(few) == b""
        assert many.startswith(b"HTTP/1.1 200 ")
        assert many.endswith(b"a\r\n"), "the last chunk is missing, so that the client sees that it is cut"
        assert log.getvalue().count("RuntimeError: in the middle") == 2

    def test_events_go_out_when_they_happen(self) -> None:
        seen: list[bytes] = []

        def app(environ: Environ, start: Any) -> Iterator[bytes]:
            start(OK, [("Content-Type", "text/event-stream")])
            yield b"data: 1\n\n"
            while not seen:
                sleep(0)
            yield b"data: 2\n\n"

        with serving(app) as (address, _), eventlet.connect(address) as client, Timeout(PATIENCE):
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            received = b""
            while b"data: 1\n\n" not in received:
                received += client.recv(1000)
            seen.append(received)
            while piece := client.recv(1000):
                received += piece
        assert received.endswith(b"data: 1\n\ndata: 2\n\n")

    @pytest.mark.parametrize(("debug", "shown"), [(None, False), (False, False), (True, True)])
    def test_a_traceback_reaches_clients_only_if_it_is_asked_for(
        self, debug: bool | None, shown: bool
    ) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            raise RuntimeError("secret")

        with serving(app, debug=debug) as (address, log):
            response = ask(address)
        assert response.startswith(b"HTTP/1.1 500 ")
        assert (b"secret" in response) is shown
        assert "RuntimeError: secret" in log.getvalue()

    def test_write_sends_the_head_even_without_content(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            write = start(OK, PLAIN)
            write(b"")
            write("abc")
            return []

        with serving(app) as (address, _):
            assert body_of(ask(address)) == b"3\r\nabc\r\n0\r\n\r\n"

    def test_no_content_of_unknown_length_is_chunked(self) -> None:
        def app(environ: Environ, start: Any) -> Iterator[bytes]:
            start(OK, PLAIN)
            yield b""

        with serving(app) as (address, _):
            assert body_of(ask(address)) == b"0\r\n\r\n"

    def test_start_response_is_required(self) -> None:
        with serving(lambda environ, start: [b"a"]) as (address, log):
            assert ask(address).startswith(b"HTTP/1.1 500 ")
        assert "before start_response()" in log.getvalue()

    def test_already_handled_closes_without_an_answer(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            wsgi.WSGI_LOCAL.already_handled = environ["PATH_INFO"] == "/mine"
            start(OK, PLAIN)
            return [b"a"]

        with serving(app) as (address, _):
            assert ask(address, "GET /mine HTTP/1.1") == b""
            assert body_of(ask(address, "GET / HTTP/1.1")) == b"a"

    @pytest.mark.parametrize("pool", [None, GreenPool])
    def test_the_iterable_is_closed(self, pool: Callable[[], GreenPool] | None) -> None:
        closed: list[str] = []

        class Pieces:
            def __init__(self, *pieces: bytes) -> None:
                self.pieces = pieces

            def __iter__(self) -> Iterator[bytes]:
                return iter(self.pieces)

            def close(self) -> None:
                closed.append("closed")

        def app(environ: Environ, start: Any) -> Pieces:
            start(OK, PLAIN)
            return Pieces(b"a" * int(environ["QUERY_STRING"]), b"b")

        with serving(app, custom_pool=pool and pool()) as (address, _):
            for size in (1, 10_000):
                assert b"b" in ask(address, f"GET /?{size} HTTP/1.1")
        assert closed == ["closed"] * 2


class TestEnviron:
    def test_has_eventlets_keys(self) -> None:
        seen: list[Environ] = []

        def app(environ: Environ, start: Any) -> list[bytes]:
            seen.append(environ)
            return hello(environ, start)

        with serving(app, environ={"mine": 1, "wsgi.url_scheme": "https"}) as (address, _):
            ask(
                address,
                "GET /%41?b HTTP/1.1",
                "X-Any: one",
                "x-any: two",
                "X-Forwarded-For: 1.2.3.4, 5.6.7.8",
            )
        (environ,) = seen
        assert (environ["mine"], environ["wsgi.url_scheme"]) == (1, "https")
        assert environ["RAW_PATH_INFO"] == "/%41"
        raw = environ["headers_raw"]
        assert raw[:2] == (("X-Any", "one"), ("x-any", "two"))
        assert (len(raw), hash(raw), repr(raw)) == (4, hash(tuple(raw)), repr(tuple(raw)))
        assert raw == tuple(raw)
        assert environ["CONTENT_TYPE"] == "text/plain"
        assert environ["REMOTE_ADDR"] == "127.0.0.1", "the peer, whatever a proxy says"
        assert environ["HTTP_X_FORWARDED_FOR"] == "1.2.3.4, 5.6.7.8"
        environ["eventlet.set_idle"]()

    def test_at_a_unix_socket(self, tmp_path: Path) -> None:
        def app(environ: Environ, start: Any) -> list[Any]:
            start(OK, PLAIN)
            return [f"{environ['REMOTE_ADDR']} {environ['SERVER_NAME']} {environ['SERVER_PORT']}"]

        path = str(tmp_path / "socket")
        with serving(app, eventlet.listen(path, plain_socket.AF_UNIX)) as (address, log):
            assert body_of(ask(address)) == b"unix unix "
        assert f"http:{path}\n" in log.getvalue()
        assert "\nunix - - [" in log.getvalue()
        assert Path(path).exists(), "other processes may listen there still"

    @pytest.mark.parametrize("replaces", [False, True])
    @pytest.mark.parametrize("streams", [False, True])
    def test_posthooks_run_after_the_response(self, replaces: bool, streams: bool) -> None:
        called: list[Any] = []

        def app(environ: Environ, start: Any) -> Any:
            hook = (lambda env, *args, **kwargs: called.append((args, kwargs)), (1,), {"a": 2})
            if replaces:
                environ["eventlet.posthooks"] = [hook]
            else:
                environ["eventlet.posthooks"].append(hook)
            start(OK, PLAIN)
            return (piece for piece in [b"a" * 5000, b"b"]) if streams else [b"ab"]

        with serving(app) as (address, _):
            assert b"b" in ask(address)
        assert called == [((1,), {"a": 2})]


class TestInput:
    def test_is_one_piece_when_iterated_over(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            start(OK, PLAIN)
            assert environ["eventlet.input"].content_length == 4
            return [b"|".join(environ["wsgi.input"]), b"%d" % environ["wsgi.input"].position]

        with serving(app) as (address, _):
            assert body_of(ask(address, "POST / HTTP/1.1", "Content-Length: 4", body=b"a\nb\n")) == b"a\nb\n4"

    @pytest.mark.parametrize(
        ("body", "error"),
        [(b"cats\r\nx", wsgi.ChunkReadError), (b"3\r\nab", OSError), (b"1\r\na\r\n", wsgi.ChunkReadError)],
    )
    def test_a_chunked_body_that_breaks(self, body: bytes, error: type[Exception]) -> None:
        seen: list[Exception] = []

        def app(environ: Environ, start: Any) -> list[bytes]:
            assert environ["HTTP_TRANSFER_ENCODING"] == "chunked"
            try:
                environ["wsgi.input"].read()
            except (OSError, ValueError) as error:
                seen.append(error)
            return hello(environ, start)  # type: ignore[return-value]

        with serving(app) as (address, _), eventlet.connect(address) as client, Timeout(PATIENCE):
            client.sendall(b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            client.shutdown(plain_socket.SHUT_WR)
            while not seen:
                sleep(0.001)
        assert isinstance(seen[0], error)

    def test_several_bodies_in_one_request(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            body = environ["wsgi.input"]
            body.set_hundred_continue_response_headers([("x-step", "1")])
            assert body.should_send_hundred_continue
            first = body.read()
            assert body.is_hundred_continue_response_sent
            body.set_hundred_continue_response_headers([("x-step", "2")])
            body.send_hundred_continue_response()
            second = body.readlines()
            start(OK, [])
            body.send_hundred_continue_response()  # the response has not begun: once more
            return [first, *second]

        with serving(app) as (address, _), eventlet.connect(address) as client, Timeout(PATIENCE):
            client.sendall(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
            file = client.makefile("rb")
            for step, chunks in (("1", b"1\r\na\r\n0\r\n\r\n"), ("2", b"2\r\nb\n\r\n1\r\nc\r\n0\r\n\r\n")):
                assert file.readline() == b"HTTP/1.1 100 Continue\r\n"
                assert file.readline() == f"X-Step: {step}\r\n".encode()
                assert file.readline() == b"\r\n"
                client.sendall(chunks)
            assert b"100 Continue" in file.readline()
            rest = b""
            while not rest.endswith(b"ab\nc"):
                rest += file.read1(100)
            file.close()
        assert b"200 OK" in rest

    def test_has_no_limit(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            start(OK, PLAIN)
            size = 0
            while piece := environ["wsgi.input"].read(1 << 20):
                size += len(piece)
            return [b"%d" % size]

        size = 17 << 20
        with serving(app) as (address, _):
            assert (
                body_of(ask(address, "PUT / HTTP/1.1", f"Content-Length: {size}", body=b"x" * size))
                == b"%d" % size
            )

    def test_gives_the_socket(self) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            sock = environ["eventlet.input"].get_socket()
            sock.sendall(b"mine: " + sock.recv(10))
            wsgi.WSGI_LOCAL.already_handled = True
            return []

        with serving(app) as (address, log), eventlet.connect(address) as client, Timeout(PATIENCE):
            client.sendall(b"GET / HTTP/1.1\r\n\r\nabc")
            assert client.recv(100) == b"mine: abc", log.getvalue()
            assert client.recv(100) == b""


class TestRequests:
    def test_heads_that_are_too_long(self) -> None:
        with serving(hello) as (address, _):
            line = ask(address, "GET / HTTP/1.1", "A: " + "a" * 9000)
            several = ask(address, "GET / HTTP/1.1", *(f"A{number}: {'a' * 8000}" for number in range(9)))
        assert line.startswith(b"HTTP/1.0 400 Header Line Too Long\r\n")
        assert several.startswith(b"HTTP/1.0 400 Headers Too Large\r\n")

    def test_a_head_that_takes_longer_than_socket_timeout_is_not_answered(self) -> None:
        with serving(hello, socket_timeout=0.05) as (address, _), eventlet.connect(address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            with Timeout(PATIENCE):
                assert client.recv(10) == b""

    def test_without_host(self) -> None:
        with serving(hello) as (address, _):
            assert body_of(ask(address, "GET / HTTP/1.1")) == b"hello"

    def test_over_tls(self, tmp_path: Path) -> None:
        certificate = issue(tmp_path / "pem", "localhost")
        sock = eventlet.wrap_ssl(
            eventlet.listen(("127.0.0.1", 0)),
            certfile=certificate,
            server_side=True,
        )

        def app(environ: Environ, start: Any) -> list[Any]:
            start(OK, PLAIN)
            return [environ["wsgi.url_scheme"], environ["HTTPS"]]

        with serving(app, sock) as (address, log), Timeout(PATIENCE):
            silent = eventlet.connect(address)  # keeps no other out
            client = eventlet.wrap_ssl(eventlet.connect(address))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            received = b""
            while piece := client.recv(1000):
                received += piece
            client.close()
            silent.close()
        assert body_of(received) == b"httpson"
        assert "https://127.0.0.1:" in log.getvalue()

    def test_not_with_pyopenssl(self) -> None:
        class Connection:
            def do_handshake(self) -> None:
                """As pyOpenSSL's."""

            def getsockname(self) -> Any:
                return ("127.0.0.1", 1)

        with pytest.raises(TypeError, match=r"use eventlet\.wrap_ssl"):
            wsgi.server(Connection(), hello)


class TestTheEnd:
    def test_a_listening_socket_that_is_shut_down(self) -> None:
        sock = eventlet.listen(("127.0.0.1", 0))
        green = spawn(wsgi.server, sock, hello, log_output=False)
        sleep(0)
        sock.shutdown(plain_socket.SHUT_RDWR)
        with pytest.raises(OSError, match=r"Invalid argument|Bad file descriptor"):
            green.wait()
        sock.close()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_is_no_error_where_it_was_asked_for(self, error: type[BaseException]) -> None:
        green = spawn(wsgi.server, eventlet.listen(("127.0.0.1", 0)), hello, log_output=False)
        sleep(0)
        green.kill(error)
        green.wait()

    def test_what_runs_is_waited_for(self) -> None:
        begun, goes_on = eventlet.Event(), eventlet.Event()

        def app(environ: Environ, start: Any) -> list[bytes]:
            begun.send()
            goes_on.wait()
            return hello(environ, start)  # type: ignore[return-value]

        sock = eventlet.listen(("127.0.0.1", 0))
        green = spawn(wsgi.server, sock, app, log_output=False)
        asked = spawn(ask, sock.getsockname())
        begun.wait()
        killer = spawn(green.kill)
        sleep(0)
        goes_on.send()
        assert body_of(asked.wait()) == b"hello"
        killer.wait()
        assert sock.fileno() == -1


def test_a_value_that_equals_an_earlier_one_has_its_own_text() -> None:
    values: list[Any] = ["1", 1, 1.0, True]

    def app(environ: Environ, start: Any) -> list[bytes]:
        start(OK, [("X-V", values.pop(0))])
        return []

    with serving(app) as (address, _):
        found = [ask(address).partition(b"\r\nX-V: ")[2].partition(b"\r")[0] for _ in range(4)]
    assert found == [b"1", b"1", b"1.0", b"True"]


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_an_app_may_answer_before_the_body_comes(framing: str) -> None:
    with serving(hello) as (address, _):
        assert body_of(ask(address, "POST / HTTP/1.1", "Host: a", framing)) == b"hello"
