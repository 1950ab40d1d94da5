"""accepting: the server's half of the opening handshake, in the order of RFC 6455 §4.2.1 and §4.2.2."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import generate_accept_token

from greenserve.errors import AppError, ProtocolError
from greenserve.http1 import check_head
from greenserve.websocket import Compression, HandshakeError, is_upgrade, shake_hands

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # §1.3
_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def _environ(**changes: str | None) -> dict[str, Any]:
    """A request as browsers send it, with some of it changed; None takes a key away."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "example.com",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": _KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_ORIGIN": "http://example.com",
        **changes,
    }
    return {key: value for key, value in environ.items() if value is not None}


def _refusal(environ: dict[str, Any], **options: Any) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        shake_hands(environ, **options)
    assert isinstance(caught.value, ProtocolError)
    assert "RFC" in caught.value.reason
    return caught.value


def _fields(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert lines[-2:] == ["", ""]
    return [tuple(line.split(": ", 1)) for line in lines[1:-2]]  # type: ignore[misc]


class TestRequest:
    """RFC 6455 §4.2.1."""

    def test_1_3_the_example(self) -> None:
        done = shake_hands(_environ())
        assert (
            done.head
            == (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {_ACCEPT}\r\n\r\n"
            ).encode()
        )
        assert (done.subprotocol, done.deflate) == (None, None)

    @pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get", "CONNECT"])
    def test_4_2_1_only_get(self, method: str) -> None:
        error = _refusal(_environ(REQUEST_METHOD=method))
        assert (error.status, error.headers) == (405, (("Allow", "GET"),))

    @pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/2", "HTTP/2.0", "HTTP/0.9"])
    def test_4_2_1_only_http_1_1(self, protocol: str) -> None:
        assert _refusal(_environ(SERVER_PROTOCOL=protocol)).status == 400

    @pytest.mark.parametrize(
        ("upgrade", "connection"),
        [
            ("websocket", "Upgrade"),
            ("WebSocket", "UPGRADE"),
            ("h2c, WEBSOCKET", "keep-alive, Upgrade"),
            ("websocket,h2c", "upgrade ,keep-alive"),
            (" websocket\t", ",,upgrade,"),
        ],
    )
    def test_4_2_1_the_tokens_are_lists_in_any_case(self, upgrade: str, connection: str) -> None:
        environ = _environ(HTTP_UPGRADE=upgrade, HTTP_CONNECTION=connection)
        assert is_upgrade(environ)
        shake_hands(environ)

    @pytest.mark.parametrize(
        ("upgrade", "connection"),
        [
            (None, "Upgrade"),
            ("websocket", None),
            ("h2c", "Upgrade"),
            ("websocket", "keep-alive"),
            ("websockets", "Upgrade"),
            ("web socket", "Upgrade"),
            ("websocket/13", "Upgrade"),
            ("websocket;x", "Upgrade"),
            ("", ""),
        ],
    )
    def test_4_2_1_no_upgrade(self, upgrade: str | None, connection: str | None) -> None:
        environ = _environ(HTTP_UPGRADE=upgrade, HTTP_CONNECTION=connection)
        assert not is_upgrade(environ)
        error = _refusal(environ)
        assert error.status == 426
        assert error.headers == (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))

    @pytest.mark.parametrize(
        "changes",
        [
            {"CONTENT_LENGTH": "1"},
            {"CONTENT_LENGTH": "00"},
            {"HTTP_TRANSFER_ENCODING": "chunked"},
            {"HTTP_TRANSFER_ENCODING": ""},
            {"CONTENT_LENGTH": "0", "HTTP_TRANSFER_ENCODING": "identity"},
        ],
    )
    def test_4_1_no_body(self, changes: dict[str, str]) -> None:
        assert _refusal(_environ(**changes)).status == 400

    @pytest.mark.parametrize("length", ["", "0"])
    def test_4_1_a_length_of_nothing_is_none(self, length: str) -> None:
        shake_hands(_environ(CONTENT_LENGTH=length))

    @pytest.mark.parametrize("version", [None, "", "8", "0", "7", "13, 8", "013", "13.0", "14", " 13"])
    def test_4_4_only_version_13(self, version: str | None) -> None:
        error = _refusal(_environ(HTTP_SEC_WEBSOCKET_VERSION=version))
        assert error.status == 426
        assert ("Sec-WebSocket-Version", "13") in error.headers
        assert ("Upgrade", "websocket") in error.headers

    @pytest.mark.parametrize(
        "key",
        [
            *(
                None,
                "",
                "dGhlIHNhbXBsZSBub25jZQ",
                "dGhlIHNhbXBsZSBub25jZQ=",
                "dGhlIHNhbXBsZSBub25jZQ===",
                "x" * 24,
            ),
            *(
                b64encode(bytes(15)).decode(),
                b64encode(bytes(17)).decode(),
                b64encode(bytes(18)).decode(),
                "=" * 24,
            ),
            *(
                f"{_KEY}, {_KEY}",
                f" {_KEY}",
                f"{_KEY}\n",
                "dGhlIHNhbXBsZSBub25jZ-==",
                "dGhl IHNhbXBsZSBub25jZ==",
                "é" * 24,
            ),
        ],
    )
    def test_4_2_1_the_key_is_16_bytes_in_base64(self, key: str | None) -> None:
        assert _refusal(_environ(HTTP_SEC_WEBSOCKET_KEY=key)).status == 400

    def test_4_2_2_any_good_key_is_answered(self) -> None:
        for number in range(50):
            key = b64encode(bytes([number * 5]) * 16).decode()
            head = shake_hands(_environ(HTTP_SEC_WEBSOCKET_KEY=key)).head
            assert b"\r\nSec-WebSocket-Accept: %b\r\n" % generate_accept_token(key.encode()) in head

    def test_10_2_another_origin(self) -> None:
        other = _environ(HTTP_ORIGIN="http://evil.example")
        assert _refusal(other).status == 403
        shake_hands(other, origins="*")
        shake_hands(other, origins=["http://evil.example"])
        shake_hands(other, origins=lambda origin, environ: True)
        shake_hands(_environ(HTTP_ORIGIN=None))

    def test_4_2_1_what_is_wrong_with_the_request_is_told_before_the_origin(self) -> None:
        environ = _environ(HTTP_ORIGIN="http://evil.example", HTTP_SEC_WEBSOCKET_KEY="x")
        assert _refusal(environ).status == 400


class TestSubprotocols:
    """RFC 6455 §4.1 and §4.2.2."""

    @pytest.mark.parametrize(
        ("ours", "theirs", "chosen"),
        [
            ([], None, None),
            ([], "chat", None),
            (["chat"], None, None),
            (["chat"], "chat", "chat"),
            (["chat"], "soap, chat", "chat"),
            (("b", "a"), "a,b", "b"),
            (["a", "b"], "b , a", "a"),
            (["chat"], "CHAT", None),
            (["chat"], "soap", None),
            (["chat"], ",soap,,chat,", "chat"),
        ],
    )
    def test_4_2_2_the_first_of_ours_that_the_client_offers(
        self, ours: list[str], theirs: str | None, chosen: str | None
    ) -> None:
        done = shake_hands(_environ(HTTP_SEC_WEBSOCKET_PROTOCOL=theirs), subprotocols=ours)
        assert done.subprotocol == chosen
        assert dict(_fields(done.head)).get("Sec-WebSocket-Protocol") == chosen

    @pytest.mark.parametrize(
        "theirs", ["", ",", "a b", "a, b/c", "a;b", "é", "chat, chat", 'a, "b"', "a\x00"]
    )
    def test_4_1_tokens_that_are_none_or_come_twice(self, theirs: str) -> None:
        for ours in ([], ["chat"]):
            assert _refusal(_environ(HTTP_SEC_WEBSOCKET_PROTOCOL=theirs), subprotocols=ours).status == 400

    @pytest.mark.parametrize("ours", ["chat", ["a b"], [""], ["a\r\nB: c"], ["é"]])
    def test_4_1_ours_must_be_tokens_too(self, ours: Any) -> None:
        with pytest.raises(ValueError, match="list of tokens"):
            shake_hands(_environ(), subprotocols=ours)


class TestExtensions:
    """RFC 6455 §9.1, RFC 7692 §5."""

    def test_9_1_what_was_agreed_on(self) -> None:
        environ = _environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="foo, permessage-deflate; client_max_window_bits")
        done = shake_hands(environ, compression=Compression())
        assert done.deflate is not None
        assert (done.deflate.server_max_window_bits, done.deflate.client_max_window_bits) == (12, 12)
        wanted = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=12")
        assert wanted in _fields(done.head)

    def test_9_1_nothing(self) -> None:
        for environ, compression in (
            (_environ(), Compression()),
            (_environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="foo"), Compression()),
            (
                _environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate; server_max_window_bits=8"),
                Compression(),
            ),
            (_environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate"), None),
        ):
            done = shake_hands(environ, compression=compression)
            assert done.deflate is None
            assert b"extensions" not in done.head.lower()

    @pytest.mark.parametrize("compression", [Compression(), None])
    def test_9_1_a_malformed_field(self, compression: Compression | None) -> None:
        environ = _environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate;")
        assert _refusal(environ, compression=compression).status == 400


class TestHeaders:
    """What an app adds to the answer."""

    def test_they_are_added(self) -> None:
        added = [
            ("Set-Cookie", "a=b"),
            ("Set-Cookie", "c=\xe4"),
            ("X-Tab", "a\tb"),
            ("Server", "x"),
            ("Empty", ""),
        ]
        assert _fields(shake_hands(_environ(), headers=added).head)[3:] == added

    @pytest.mark.parametrize(
        "value",
        ["a\r\nB: c", "a\n", "\r", "a\0b", "\x1b[0m", "\x7f", "☃", "\r\n\r\n\x81\x05Hello", "\x85\u2028"],
    )
    def test_9110_5_5_values_that_would_be_more_than_that(self, value: str) -> None:
        with pytest.raises(AppError, match="at character") as caught:
            shake_hands(_environ(), headers=[("X-Secret", value)])
        assert "Hello" not in str(caught.value)

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\n", "a\0"])
    def test_9110_5_1_names_that_are_no_tokens(self, name: str) -> None:
        with pytest.raises(AppError, match="not a token"):
            shake_hands(_environ(), headers=[(name, "x")])

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "Upgrade",
                "Connection",
                "Sec-WebSocket-Accept",
                "sec-websocket-protocol",
                "SEC-WEBSOCKET-EXTENSIONS",
            ),
            *("Sec-WebSocket-Version", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Trailer"),
        ],
    )
    def test_4_2_2_names_that_are_ours(self, name: str) -> None:
        with pytest.raises(AppError, match="the server's to send"):
            shake_hands(_environ(), headers=[(name, "x")])

    @pytest.mark.parametrize("pair", [("a", 1), (b"a", "b"), ("a", b"b"), ("a", None)])
    def test_3333_only_text(self, pair: Any) -> None:
        with pytest.raises(AppError, match=r"\(str, str\)"):
            shake_hands(_environ(), headers=[pair])


def test_3333_a_refusal_is_an_app() -> None:
    answers = []
    error = _refusal(_environ(HTTP_SEC_WEBSOCKET_VERSION="8"))
    body = b"".join(error({}, lambda status, headers: answers.append((status, headers))))
    ((status, headers),) = answers
    assert status == "426 Upgrade Required"
    assert body.decode() == "426 Upgrade Required\nSec-WebSocket-Version must be 13 (RFC 6455 §4.4)\n"
    assert headers == [("Content-Type", "text/plain; charset=utf-8"), *error.headers]
    check_head(status, headers)


def test_wsproto_as_the_client_is_content() -> None:
    client = WSConnection(ConnectionType.CLIENT)
    asked = client.send(
        Request(
            host="example.com", target="/", subprotocols=["soap", "chat"], extensions=[PerMessageDeflate()]
        )
    ).decode()
    names = [line.split(": ", 1) for line in asked.split("\r\n")[1:-2]]
    environ = _environ(**{"HTTP_" + name.upper().replace("-", "_"): value for name, value in names})
    done = shake_hands(environ, subprotocols=["chat"], compression=Compression(), headers=[("X-A", "b")])
    client.receive_data(done.head)
    (event,) = client.events()
    assert isinstance(event, AcceptConnection)
    assert event.subprotocol == "chat"
    assert [type(one) for one in event.extensions] == [PerMessageDeflate]
    assert (b"x-a", b"b") in event.extra_headers
