"""What is fuzzed of websocket/: streams of frames, and the fields of a handshake."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.support.protocols.frames import NO_LIMITS, by_wsproto, comparable, deflated, fragments, frame, read
from tests.support.protocols.frames_both_ways import BothReaders, all_settings, encode_both_ways
from tests.support.protocols.heads import split

from greenserve.core import core
from greenserve.errors import ProtocolError
from greenserve.websocket import (
    Close,
    Compression,
    Deflate,
    Event,
    Failure,
    ReadLimits,
    encode_close,
    is_upgrade,
    shake_hands,
)
from greenserve.websocket.framing.events import Broken
from greenserve.websocket.framing.fragmented import Inflating

_TIGHT: Final = ReadLimits(size=300, frames=5, ratio=20)
_NO_KEY: Final = bytes(4)
_SETTINGS: Final = all_settings()


# Frames ------------------------------------------------------------------------------------------------------


def _deflate(choice: int) -> Deflate | None:
    """None for every other choice; of the others some forget.

    The window is always the largest. Of a client that refers to what is behind a smaller one zlib reads what it has
    still at hand, which goes by how the data was cut.
    """
    return Deflate(client_no_context_takeover=bool(choice & 2)) if choice & 1 else None


def _second_opinion(stream: bytes, deflate: Deflate | None) -> list[Any]:
    """wsproto's reading, with our Deflate: a fuzzer soon finds where theirs differs (test_second_opinion.py)."""
    found: list[Any] = []
    try:
        by_wsproto([stream], None if deflate is None else Inflating(deflate), found)
    except Broken as broken:
        found += ["failure", broken.failure.code]
    return found


def _may_be_1014(event: Event) -> bool:
    """Whether wsproto, which does not know that code, would refuse a close for it."""
    return (isinstance(event, Close) and event.code == 1014) or (
        isinstance(event, Failure) and "reason of a close" in event.reason
    )


def websocket_frames(data: bytes) -> None:
    """A stream reads the same however it is cut, and as wsproto reads it, and limits hold."""
    choice, cuts, stream = (data[:1] or b"\0")[0], list(data[1:5]), data[5:]
    pieces = split(stream, cuts)
    whole = read(stream, limits=NO_LIMITS, deflate=_deflate(choice))
    cut = read(*pieces, limits=NO_LIMITS, deflate=_deflate(choice), eager=bool(choice & 128))
    assert comparable(cut) == comparable(whole)
    theirs = _second_opinion(stream, _deflate(choice))
    ours = comparable(whole)
    if whole and theirs[-2:] == ["failure", 1002] and _may_be_1014(whole[-1]):
        ours[-len(comparable(whole[-1:])) :] = theirs[-2:]
    assert ours == theirs
    limited = read(*pieces, limits=_TIGHT, deflate=_deflate(choice))
    for number, event in enumerate(limited):
        if isinstance(event, Failure):
            assert number == len(limited) - 1
            assert encode_close(event.code, event.reason)
        else:
            assert event == whole[number]
            assert (
                len(event.encode() if isinstance(event, str) else event if isinstance(event, bytes) else b"")
                <= 300
            )


def ordinary_frames(data: bytes) -> None:
    """Frames in, and messages out, are what Python says, for the compiled core under each setting."""
    if core is None:
        return
    setting, cuts, stream = _SETTINGS[(data[:1] or b"\0")[0] % len(_SETTINGS)], list(data[1:5]), data[5:]
    BothReaders(setting).read(split(stream, cuts))
    for message in (stream, stream.decode("latin-1"), stream.decode(errors="surrogateescape")):
        encode_both_ways(message, setting)


# Handshakes --------------------------------------------------------------------------------------------------

_NAMES: Final = (
    *("HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION"),
    *("HTTP_SEC_WEBSOCKET_EXTENSIONS", "HTTP_SEC_WEBSOCKET_PROTOCOL", "HTTP_ORIGIN", "HTTP_HOST"),
)
_GOOD: Final = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_HOST": "example.com",
}
_HEAD: Final = re.compile(
    rb"HTTP/1\.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    rb"Sec-WebSocket-Accept: [A-Za-z0-9+/]{27}=\r\n"
    rb"(?:Sec-WebSocket-Protocol: (?:chat|soap)\r\n)?"
    rb"(?:Sec-WebSocket-Extensions: permessage-deflate(?:; [a-z_]+(?:=(?:9|1[0-5]))?){0,4}\r\n)?\r\n"
)


def _check_refusal(error: ProtocolError) -> None:
    assert error.status in (400, 403, 426)
    assert error.reason.isprintable()


def websocket_handshake(data: bytes) -> None:
    """Whatever the fields of a request say, the answer is one of ours or a refusal, and says nothing that they said."""
    place, text = (data[:1] or b"\0")[0] % len(_NAMES), data[1:].decode("latin-1")
    for fields in ({_NAMES[place]: text}, dict(zip(_NAMES[4:], text.split("\n"), strict=False))):
        environ = {**_GOOD, **fields}
        is_upgrade(environ)
        try:
            done = shake_hands(environ, subprotocols=["chat", "soap"], compression=Compression())
        except ProtocolError as error:
            _check_refusal(error)
            continue
        assert _HEAD.fullmatch(done.head)
        assert is_upgrade(environ)
        assert (done.deflate is not None) == (b"permessage-deflate" in done.head)
        if "HTTP_ORIGIN" in fields:
            assert (
                environ["HTTP_HOST"].lower().rstrip(":").removesuffix(":80").removesuffix(":443")
                in text.lower()
            )


_FRAME_WORDS: Final = (
    *(frame(opcode, payload, key=_NO_KEY) for opcode in (1, 2) for payload in (b"", b"\xce\xba", b"x" * 130)),
    *(frame(opcode, b"x", key=_NO_KEY) for opcode in (8, 9, 10)),
    *fragments(1, b"\xce", b"\xba", b""),
    *fragments(2, deflated(b"a" * 400)[:3], deflated(b"a" * 400)[3:], rsv=4),
    *(
        frame(1, deflated(b"Hello"), rsv=4, key=_NO_KEY),
        frame(1, b"\xf2\x00\x11\x00\x00", rsv=4, key=_NO_KEY),
    ),
    *(
        frame(1, b"\x03\0", rsv=4, key=_NO_KEY),
        frame(8, b"\x03\xf6", key=_NO_KEY),
        b"\x81\xfe\0\x7e",
        b"\x82\xff",
    ),
    *(b"\x88\x82\0\0\0\0\x03", b"\xff\xff\xff\xff", bytes(9)),
)
_FIELD_WORDS: Final = (
    *(
        b"permessage-deflate",
        b"; ",
        b", ",
        b"=",
        b'"',
        b"\\",
        b"\n",
        b"server_max_window_bits",
        b"client_max_window_bits",
    ),
    *(
        b"server_no_context_takeover",
        b"client_no_context_takeover",
        b"8",
        b"15",
        b"chat",
        b"soap",
        b"http://",
    ),
    *(
        b"https://",
        b"example.com",
        b":80",
        b":443",
        b"[::1]",
        b"null",
        b"websocket",
        b"Upgrade",
        b"13",
        b"\r\n",
    ),
)
WORDS: Final = {
    "websocket_frames": list(_FRAME_WORDS),
    "ordinary_frames": list(_FRAME_WORDS),
    "websocket_handshake": list(_FIELD_WORDS),
}
