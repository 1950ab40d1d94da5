"""apps: WebSockets inside of WSGI, with what stands around an app: middleware, frameworks, validators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import flask
import pytest
import webob
from tests.support.clients.raw import Answer, RawClient
from tests.support.clients.ws_client import WSClient, handshake
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import in_one_hub, serving

from greenserve import (
    AppError,
    Compression,
    ConfigError,
    HandshakeError,
    WebSocket,
    WebSocketWSGI,
    accept_websocket,
    sleep,
)
from greenserve_hub.deadlines import NEVER

pytestmark = pytest.mark.over_tls_too


def echo(ws: WebSocket) -> None:
    for one in ws:
        ws.send(one)


def _refused(app: Any, *fields: str, data: bytes = b"", **settings: Any) -> Answer:
    """What is answered to a handshake with these fields besides its own, or to `data`."""
    with serving(app, **settings) as server, RawClient(server.address) as client:
        return client.send(data or handshake("/", *fields)).answer()


def _echoes(app: Any, folder: Path, *fields: str, **settings: Any) -> Answer:
    """The answer to a handshake that an echo stands behind."""
    with (
        in_one_hub(app, folder, **settings) as (server, _),
        WSClient(server.address, "/", *fields, green=True) as client,
    ):
        client.tell("hello")
        assert client.message() == "hello"
        assert client.leave() == (1000, "")
        return client.opened


class TestWebSocketWSGI:
    def test_a_decorator(self, tmp_path: Path) -> None:
        @WebSocketWSGI
        def app(ws: WebSocket) -> None:
            echo(ws)

        assert _echoes(app, tmp_path).status == 101

    def test_a_decorator_with_options(self, tmp_path: Path) -> None:
        @WebSocketWSGI(subprotocols=["chat", "superchat"], headers=[("X-Mine", "1")])
        def app(ws: WebSocket) -> None:
            ws.send(f"{ws.subprotocol} {ws.protocol}")
            echo(ws)

        with (
            in_one_hub(app, tmp_path) as (server, _),
            WSClient(server.address, "/", "Sec-WebSocket-Protocol: other, superchat", green=True) as client,
        ):
            assert (client.opened["Sec-WebSocket-Protocol"], client.opened["X-Mine"]) == ("superchat", "1")
            assert client.message() == "superchat superchat"

    def test_a_call_with_options(self, tmp_path: Path) -> None:
        with (
            in_one_hub(WebSocketWSGI(echo, max_size=10, close_timeout="3s"), tmp_path) as (server, _),  # type: ignore[arg-type]
            WSClient(server.address, green=True) as client,
        ):
            client.tell("x" * 11)
            assert client.close_frame()[0] == 1009

    def test_without_a_handler_it_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        assert _refused(WebSocketWSGI(subprotocols=["chat"])).status == 500
        assert "has no handler" in caplog.text

    @pytest.mark.parametrize(
        ("options", "error", "told"),
        [
            ({"when_slow": "never"}, ConfigError, "keyword when_slow"),
            ({"max_sise": 1}, ConfigError, "no option max_sise; did you mean max_size"),
            ({"limit": 1}, ConfigError, "no option limit; it has subprotocols, headers, "),
            ({"compression": "maybe"}, ConfigError, "keyword compression"),
            ({"max_size": Compression()}, ConfigError, "keyword max_size"),
            ({"origins": ["example.com"]}, ConfigError, "'example.com' is not an origin"),
            ({"subprotocols": "chat"}, ValueError, "a list of tokens"),
            ({"headers": {"X-A": "1"}}, ValueError, "a list of pairs"),
            ({"headers": [("X-A", "1\n")]}, AppError, "header X-A has"),
        ],
    )
    def test_an_option_that_is_wrong_is_told_before_there_is_a_client(
        self, options: Any, error: type[Exception], told: str
    ) -> None:
        with pytest.raises(error, match=told):
            WebSocketWSGI(echo, **options)

    def test_a_handler_that_is_none(self) -> None:
        with pytest.raises(TypeError, match="'chat'"):
            WebSocketWSGI("chat")  # type: ignore[arg-type]

    def test_its_options_are_made_once_for_a_server(self, tmp_path: Path) -> None:
        seen: list[WebSocket] = []

        def handler(ws: WebSocket) -> None:
            seen.append(ws)
            echo(ws)

        app = WebSocketWSGI(handler, max_frames=3, max_ratio=9, ping_interval=0)
        for _ in range(2):
            with in_one_hub(app, tmp_path) as (server, _):
                for _ in range(2):
                    with WSClient(server.address, green=True) as client:
                        client.tell("hello")
                        assert client.message() == "hello"
        one, two, three, four = (ws._writer.options for ws in seen)
        assert one is two
        assert two is not three
        assert three is four
        assert one.limits == (16 << 20, 3, 9)
        assert one.ping_interval == NEVER

    @pytest.mark.parametrize(
        ("compression", "agreed"),
        [
            ("off", []),
            (False, []),
            ("on", ["permessage-deflate; server_max_window_bits=12"]),
            (Compression(10), ["permessage-deflate; server_max_window_bits=10"]),
        ],
    )
    def test_compression(self, tmp_path: Path, compression: Any, agreed: list[str]) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15"
        opened = _echoes(WebSocketWSGI(echo, compression=compression), tmp_path, offer)
        told = [value for name, value in opened.fields if name == "Sec-WebSocket-Extensions"]
        assert told == agreed

    def test_authorize_may_answer_instead(self, tmp_path: Path) -> None:
        def authorize(environ: Environ) -> Any:
            if environ.get("HTTP_AUTHORIZATION") == "Bearer me":
                return None
            return webob.Response("who are you?", status=401, headers={"WWW-Authenticate": "Bearer"})

        app = WebSocketWSGI(echo, authorize=authorize)
        answer = _refused(app)
        assert (answer.status, answer["WWW-Authenticate"], answer.body) == (401, "Bearer", b"who are you?")
        assert _echoes(app, tmp_path, "Authorization: Bearer me").status == 101


class TestRefused:
    """A handshake that fails is answered as RFC 6455 §4.2.2 and §4.4 have it, and the connection serves on."""

    def test_a_plain_request_is_426(self) -> None:
        """RFC 9110 §15.5.22: with the protocol to upgrade to."""
        answer = _refused(WebSocketWSGI(echo), data=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (answer.status, answer["Upgrade"]) == (426, "websocket")
        assert answer["Sec-WebSocket-Version"] == "13"

    def test_another_version_is_426(self) -> None:
        answer = _refused(WebSocketWSGI(echo), data=handshake().replace(b"Version: 13", b"Version: 8"))
        assert (answer.status, answer["Sec-WebSocket-Version"]) == (426, "13")

    def test_a_wrong_key_is_400(self) -> None:
        answer = _refused(WebSocketWSGI(echo), data=handshake().replace(b"Key: dGhl", b"Key: dGh"))
        assert answer.status == 400

    def test_a_page_of_another_site_is_403(self) -> None:
        """§10.2, and the answer says how to allow it."""
        answer = _refused(WebSocketWSGI(echo), "Origin: https://evil.example")
        assert answer.status == 403
        assert b"origins" in answer.body

    @pytest.mark.parametrize("how", ["WebSocketWSGI", "accept_websocket", "authorize"])
    def test_whoever_runs_the_server_is_told_of_it(self, how: str, caplog: pytest.LogCaptureFixture) -> None:
        """Else a site whose proxy changes Host has nothing to go by. A flood of them is a line in 10 s."""

        def view(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                accept_websocket(environ)
            except HandshakeError as error:
                return error(environ, start_response)
            return []

        app: Any = (
            view if how == "accept_websocket" else WebSocketWSGI(echo, origins=lambda origin, environ: False)
        )
        if how == "WebSocketWSGI":
            app = WebSocketWSGI(echo)
        with serving(app) as server:
            for _ in range(5):
                with RawClient(server.address) as client:
                    answer = client.send(handshake("/feed", "Origin: https://evil.example")).answer()
                    assert answer.status == 403
        (told,) = [one for one in caplog.records if one.getMessage().startswith("rejected a WebSocket")]
        assert told.levelname == "WARNING"
        message = told.getMessage()
        assert message.startswith("rejected a WebSocket at '/feed' of ")
        assert "Origin 'https://evil.example'" in message
        assert ("ws_origins" in message) == (how != "authorize")

    def test_of_other_refusals_only_the_client_is(self, caplog: pytest.LogCaptureFixture) -> None:
        assert (
            _refused(WebSocketWSGI(echo), data=handshake().replace(b"Key: dGhl", b"Key: dGh")).status == 400
        )
        assert caplog.records == []

    @pytest.mark.parametrize(
        ("origins", "settings"),
        [
            ("*", {}),
            (["https://good.example"], {}),
            (lambda origin, environ: origin == "https://good.example", {}),
            (None, {"ws_origins": "same,https://good.example"}),
        ],
    )
    def test_one_that_is_allowed_comes_in(
        self, tmp_path: Path, origins: Any, settings: dict[str, str]
    ) -> None:
        app = WebSocketWSGI(echo, origins=origins)
        assert _echoes(app, tmp_path, "Origin: https://good.example", **settings).status == 101

    def test_the_connection_serves_on(self, tmp_path: Path) -> None:
        with (
            in_one_hub(WebSocketWSGI(echo), tmp_path) as (server, _),
            RawClient(server.address, green=True) as client,
        ):
            assert client.send(handshake("/", "Origin: https://evil.example")).answer().status == 403
            assert client.send(handshake()).answer().status == 101

    @pytest.mark.parametrize("how", ["returned", "raised"])
    def test_the_error_is_an_answer_in_any_app(self, how: str) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                accept_websocket(environ)
            except HandshakeError as error:
                if how == "raised":
                    raise
                return error(environ, start_response)
            return []

        answer = _refused(app, "Origin: https://evil.example")
        assert (answer.status, b"Origin" in answer.body) == (403, True)

    def test_one_too_many_is_that_error_too(self) -> None:
        """A framework would make a 500 of any other. Room is looked for before the app, too: others may be faster."""
        seen: list[HandshakeError] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            connections = environ["greenserve.upgrade"].__self__.link.connection.services.members
            connections.upgraded += 1  # as if one had been
            try:
                accept_websocket(environ)
            except HandshakeError as error:
                seen.append(error)
                return error(environ, start_response)
            finally:
                connections.upgraded -= 1
            return []

        answer = _refused(app, limit_websockets=1)
        assert (answer.status, answer["Retry-After"]) == (503, "1")
        assert [error.status for error in seen] == [503]

    def test_one_too_many_does_not_come_to_the_app(self) -> None:
        calls: list[Environ] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            calls.append(environ)
            return []

        answer = _refused(app, limit_websockets=0)
        assert (answer.status, answer["Retry-After"]) == (503, "1")
        assert not calls

    def test_another_server_is_told(self) -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "HTTP_UPGRADE": "websocket",
            "HTTP_CONNECTION": "Upgrade",
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        with pytest.raises(AppError, match="a request that greenserve serves"):
            accept_websocket(environ)

    @pytest.mark.parametrize("data", [b"POST", b"HEAD", b"OPTIONS"])
    def test_other_methods(self, data: bytes) -> None:
        """§4.1: the method is GET."""
        with serving(WebSocketWSGI(echo)) as server, RawClient(server.address) as client:
            client.send(handshake().replace(b"GET", data, 1))
            assert client.head().status == 405


class TestInside:
    """What stands around it."""

    def test_wsgiref_validate_around_it(self, tmp_path: Path) -> None:
        assert _echoes(validator(WebSocketWSGI(echo)), tmp_path).status == 101

    def test_and_around_what_refuses(self) -> None:
        assert _refused(validator(WebSocketWSGI(echo)), "Origin: https://evil.example").status == 403

    @pytest.mark.parametrize("lazy", [False, True])
    def test_middleware_that_holds_the_answer_back(self, tmp_path: Path, lazy: bool) -> None:
        """It calls start_response itself when the app is through, or is a generator around it."""
        seen: list[Any] = []

        def middleware(environ: Environ, start_response: Start) -> Iterable[bytes]:
            held: list[Any] = []

            def hold(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., Any]:
                held.append((status, headers))
                return held.append

            body = list(WebSocketWSGI(echo)(environ, hold))
            seen.append(held)
            start_response(*held[0])
            return body

        def generator(environ: Environ, start_response: Start) -> Iterator[bytes]:
            yield from middleware(environ, start_response)
            yield b"and more"

        assert _echoes(generator if lazy else middleware, tmp_path).status == 101
        assert seen[0][0][0] == "101 Switching Protocols"

    def test_middleware_that_answered_before(self, caplog: pytest.LogCaptureFixture) -> None:
        """A streamed answer can't be taken back: the app is told, and the client gets what it has."""

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "5")])(b"begun")
            return WebSocketWSGI(echo)(environ, start_response)  # type: ignore[no-any-return]

        assert _refused(app).body == b"begun"

    def test_beside_http(self, tmp_path: Path) -> None:
        websockets = WebSocketWSGI(echo)

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/ws":
                return websockets(environ, start_response)  # type: ignore[no-any-return]
            return path(environ, start_response)

        with in_one_hub(app, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            assert client.get("/http").body == b"/http"
            assert client.send(handshake("/ws")).answer().status == 101

    def test_context_variables_are_the_requests(self, tmp_path: Path) -> None:
        user: ContextVar[str] = ContextVar("user", default="nobody")

        def middleware(environ: Environ, start_response: Start) -> Any:
            user.set(environ["PATH_INFO"])
            return WebSocketWSGI(handler)(environ, start_response)

        def handler(ws: WebSocket) -> None:
            for _ in ws:
                ws.send(user.get())

        with (
            in_one_hub(middleware, tmp_path) as (server, _),
            WSClient(server.address, "/anna", green=True) as one,
            WSClient(server.address, "/berta", green=True) as other,
        ):
            for client, name in ((one, "/anna"), (other, "/berta"), (one, "/anna")):
                client.tell("who am I?")
                assert client.message() == name


class TestInFlask:
    """Whose routes take a WebSocket's handshake where they say websocket=True."""

    def _app(self) -> flask.Flask:
        app = flask.Flask(__name__)

        @app.route("/echo", websocket=True)
        def view() -> str:
            echo(accept_websocket(flask.request.environ))
            return ""

        @app.route("/fails", websocket=True)
        def fails() -> str:
            accept_websocket(flask.request.environ).receive()
            raise LookupError("my own")

        @app.route("/callback", websocket=True)
        def callback() -> str:
            ws = accept_websocket(flask.request.environ)
            ws.on_message = ws.send
            return "still open"

        @app.route("/refuses", websocket=True)
        def refuses() -> Any:
            try:
                accept_websocket(flask.request.environ, origins=["https://good.example"])
            except HandshakeError as error:
                return error
            return ""

        @app.route("/raises", websocket=True)
        def raises() -> str:
            accept_websocket(flask.request.environ, origins=["https://good.example"])
            return ""

        app.register_error_handler(HandshakeError, lambda refusal: refusal)
        return app

    @pytest.mark.parametrize("path", ["/echo", "/callback"])
    def test_a_view_with_a_websocket(self, tmp_path: Path, path: str) -> None:
        with (
            in_one_hub(self._app(), tmp_path) as (server, _),
            WSClient(server.address, path, green=True) as client,
        ):
            for _ in range(3):
                client.tell("hello")
                assert client.message() == "hello"
                sleep(1)
            assert client.leave() == (1000, "")

    def test_its_error_is_1011(self, tmp_path: Path) -> None:
        with (
            in_one_hub(self._app(), tmp_path) as (server, _),
            WSClient(server.address, "/fails", green=True) as client,
        ):
            client.tell("go")
            assert client.agree() == (1011, "error in the app")

    @pytest.mark.parametrize("path", ["/refuses", "/raises"])
    def test_a_refused_handshake_is_a_response(self, path: str, caplog: pytest.LogCaptureFixture) -> None:
        with serving(self._app()) as server, RawClient(server.address) as client:
            assert client.send(handshake(path, "Origin: https://evil.example")).answer().status == 403
            assert client.send(handshake(path, "Origin: https://good.example")).answer().status == 101
        assert "Traceback" not in caplog.text

    def test_the_example_of_the_docs(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        text = (Path(__file__).parents[4] / "docs" / "pages" / "websockets.md").read_text()
        (example,) = re.findall(r'```python title="feed.py"\n(.*?)```', text, re.DOTALL)
        names: dict[str, Any] = {"__name__": "example"}
        exec(example, names)
        with (
            in_one_hub(names["app"], tmp_path) as (server, _),
            WSClient(server.address, "/feed", "Sec-WebSocket-Protocol: feed.v1", green=True) as one,
            WSClient(server.address, "/feed", green=True) as two,
            RawClient(server.address, green=True) as other,
        ):
            assert one.opened["Sec-WebSocket-Protocol"] == "feed.v1"
            assert [one.message(), two.message()] == ["welcome"] * 2
            one.tell("hello")
            assert [one.message(), two.message()] == ["hello"] * 2
            assert server.stats.active == 0
            assert other.send(handshake("/feed", "Origin: https://evil.example")).answer().status == 403
        assert "Traceback" not in caplog.text


def test_an_error_behind_the_upgrade_counts_where_environ_has_lost_its_key(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        accept_websocket(environ)
        del environ["greenserve.upgrade"]
        start_response("500 Internal Server Error", [])  # a framework has caught what its view has raised
        return []

    with in_one_hub(app, tmp_path) as (server, _), WSClient(server.address, green=True) as client:
        assert client.close_frame() == (1011, "error in the app")
