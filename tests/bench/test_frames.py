"""Frames made by hand are those that wsproto makes and understands."""

from __future__ import annotations

import pytest
from tests.bench import frames
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Request, TextMessage

pytestmark = pytest.mark.repository

SIZES = [0, 1, 125, 126, 65535, 65536]


@pytest.fixture
def server():
    """A wsproto server that has had our upgrade, and its answer."""
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(frames.upgrade("/echo"))
    (request,) = server.events()
    assert isinstance(request, Request)
    assert (request.target, request.extensions) == ("/echo", [])
    server.head = server.send(AcceptConnection())
    return server


def test_the_answer_to_the_upgrade_is_known_when_it_is_whole(server):
    for cut in range(len(server.head)):
        assert frames.accepted(server.head[:cut]) is None
    assert frames.accepted(server.head + b"rest") == b"rest"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"101", b"200"),
        (frames.ACCEPT, b"another"),
        (b"Upgrade: ", b"Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: "),
    ],
)
def test_another_answer_is_refused(server, old, new):
    assert old in server.head
    with pytest.raises(ValueError, match="answered b'HTTP"):
        frames.accepted(server.head.replace(old, new))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_masked_arrives(server, size):
    text = "abcdefg" * size
    server.receive_data(frames.masked(frames.TEXT, text[:size].encode(), b"\x01\x80\xff\x00"))
    server.receive_data(frames.masked(frames.PING, b"ping", b"\0\0\0\0"))
    *parts, ping = server.events()
    assert all(isinstance(one, TextMessage) for one in parts)
    assert "".join(one.data for one in parts) == text[:size]
    assert ping == Ping(payload=b"ping")


@pytest.mark.parametrize("size", SIZES)
def test_what_a_server_sends_is_read_once_it_is_whole(server, size):
    payload = (b"0123456789" * (size // 10 + 1))[:size]
    sent = server.send(BytesMessage(data=payload))
    assert sent == frames.unmasked(frames.BINARY, payload)
    assert frames.first(sent + b"more") == (frames.BINARY, payload, len(sent))
    assert frames.first(sent[:-1]) is None
    for cut in range(12):
        assert frames.first(sent[: min(cut, len(sent) - 1)]) is None


@pytest.mark.parametrize("begin", [b"\x01\x05", b"\xc1\x05", b"\x81\x85"])
def test_fragments_compression_and_masks_are_not_understood(begin):
    with pytest.raises(ValueError, match="a frame begins with"):
        frames.first(begin + b"hello")
