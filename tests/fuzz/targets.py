"""What is fuzzed: for each target a function that takes any bytes at all and fails where a promise is broken.

To fuzz something else, write such a function and add a line to TARGETS; `make fuzz` and the replay of its corpus
(test_corpus.py) follow. A target raises AssertionError, or whatever the code under test should never raise.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any, Final

from tests.fuzz import proxy_targets, websocket_targets
from tests.support.protocols.both_ways import BothWays, all_settings
from tests.support.protocols.heads import LIMITS, fed, is_well_formed, read, split
from tests.support.protocols.second_opinion import agree_on_body, agree_on_head

from greenserve.core import core
from greenserve.errors import ProtocolError
from greenserve.http1 import ChunkedFraming, HeadLimits, RequestHead, read_whole_head
from greenserve.wsgi import base_environ, make_environ

_TIGHT: Final = HeadLimits(line=40, field_size=30, fields=3, head=120, refuse_underscores=True)
_SETTINGS: Final = all_settings()
_BASE: Final = base_environ("http", "server.example", "8000", "greenserve/0", io.StringIO())
_IN_ENVIRON: Final = re.compile(r"[\t -~\x80-\xff]*")  # what a value from the wire may be made of


def _cuts(data: bytes) -> tuple[bytes, list[int]]:
    """The input, whose first four bytes say where to cut the rest; 255 says nothing."""
    places, rest = data[:4], data[4:]
    return rest, [place * (len(rest) // 250 + 1) for place in places if place != 255]


# Heads -----------------------------------------------------------------------------------------------------


def _outcome(take: Callable[[], tuple[RequestHead, bytes] | None]) -> Any:
    """The head and what follows it, or "refused", or "unfinished"."""
    try:
        found = take()
    except ProtocolError as error:
        status, reason = error.status, error.reason
    except AssertionError as error:
        if str(error) != "the head never ended":
            raise
        return "unfinished"
    else:
        return "unfinished" if found is None else found
    assert 400 <= status <= 505
    assert reason
    return "refused"


def _facts(outcome: Any) -> Any:
    if isinstance(outcome, str):
        return outcome
    head, rest = outcome
    return {name: getattr(head, name) for name in RequestHead.__slots__}, rest


def _check_environ(head: RequestHead) -> None:
    try:
        environ = make_environ(_BASE, head, "192.0.2.1", "4711")
    except ProtocolError:
        return
    assert environ["PATH_INFO"][:1] in ("", "/")
    assert "\0" not in environ["PATH_INFO"]
    for key, value in environ.items():
        assert key.startswith(("HTTP_", "CONTENT_")) or key in _BASE
        if key.startswith(("HTTP_", "CONTENT_", "REQUEST_", "RAW_", "QUERY_")):
            assert _IN_ENVIRON.fullmatch(value)
            assert value.strip(" \t") == value or "," in value or ";" in value
    assert head.http11 is False or "HTTP_HOST" in environ


def heads(data: bytes) -> None:
    """A head reads the same however it is cut, and as h11 reads it; nothing but ProtocolError is raised."""
    stream, cuts = _cuts(data)
    for limits in (LIMITS, _TIGHT):
        whole = _outcome(lambda limits=limits: read(stream, limits=limits))
        pieces = _outcome(lambda limits=limits: read(*split(stream, cuts), limits=limits))
        assert _facts(pieces) == _facts(whole)
        # The short way, that most heads take.
        at_once = (
            "unfinished" if not stream else _outcome(lambda limits=limits: read_whole_head(stream, limits))
        )
        assert at_once == "unfinished" or _facts(at_once) == _facts(whole)
        if not isinstance(whole, str):
            head, rest = whole
            assert stream.endswith(rest)
            assert is_well_formed(stream, rest)
            _check_environ(head)
            agree_on_head(head, stream)


def ordinary_heads(data: bytes) -> None:
    """Heads, one behind the other, are what Python says, for the compiled core under each setting."""
    if core is None or not data:
        return
    both = BothWays(_SETTINGS[data[0] % len(_SETTINGS)])
    for head in data[1:].split(b"\r\n\r\n"):
        both.read(head + b"\r\n\r\n")


# Chunked bodies --------------------------------------------------------------------------------------------


def chunks(data: bytes) -> None:
    """A chunked body reads the same however it is cut, and as h11 reads it, and gives nothing that was not in it."""
    stream, cuts = _cuts(data)
    for settings in ((), (5, 20, 1)):
        framing = ChunkedFraming(*settings)
        whole = fed(framing, [stream])
        assert fed(ChunkedFraming(*settings), split(stream, cuts)) == whole
        if isinstance(whole, int):
            assert whole in (400, 413, 431)
            continue
        content, rest = whole
        assert len(content) + len(rest or b"") <= len(stream)
        assert not settings or len(content) <= settings[0]
        if rest is not None:
            assert stream.endswith(rest)
            agree_on_body(framing, content, stream)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "heads": heads,
    "ordinary_heads": ordinary_heads,
    "chunks": chunks,
    "proxy_headers": proxy_targets.proxy_headers,
    "forwarded": proxy_targets.forwarded,
    "websocket_frames": websocket_targets.websocket_frames,
    "ordinary_frames": websocket_targets.ordinary_frames,
    "websocket_handshake": websocket_targets.websocket_handshake,
}
# Words that an input may be made of, so that they need not be found letter by letter.
WORDS: Final[dict[str, list[bytes]]] = {
    **proxy_targets.WORDS,
    **websocket_targets.WORDS,
    "heads": [
        *(
            b"\r\n",
            b"\r\n\r\n",
            b": ",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"Host: x\r\n",
            b"Content-Length: 3\r\n",
        ),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: close\r\n",
            b"gzip, chunked",
        ),
        *(
            b"GET ",
            b"POST ",
            b"OPTIONS * ",
            b"CONNECT ",
            b"PRI ",
            b"BREW ",
            b"DESCRIBE ",
            b"http://x",
            b"https://",
        ),
        *(
            b"%00",
            b"%2F",
            b"%",
            b"[::1]",
            b":65536",
            b"Cookie: a=b\r\n",
            b"Content-Type: a/b\r\n",
            b"X_Y: z\r\n",
        ),
        *(
            b"Upgrade: websocket\r\n",
            b"Host: \r\n",
            b"HTTP/2.0",
            b"RTSP/1.0",
            b"\r\n ",
            b"?",
            b"#",
            b"@",
            b"\0",
        ),
    ],
    "chunks": [
        *(
            b"\r\n",
            b"0\r\n\r\n",
            b"0\r\n",
            b"1\r\nx\r\n",
            b";a=b",
            b';a="\\""',
            b" ;",
            b"A: b\r\n",
            b"\r\n\r\n",
        ),
        *(
            b"ffffffffffffffff\r\n",
            b"0000000000000003",
            b"Host: x\r\n",
            b"Trailer: x\r\n",
            b"\n",
            b"\r",
            b"\0",
        ),
    ],
}

WORDS["ordinary_heads"] = WORDS["heads"]


def timed(target: Callable[[bytes], None], data: bytes) -> None:
    """Call it, and fail where the time it takes grows faster than the input does."""
    began = time.process_time()
    target(data)
    took = time.process_time() - began
    assert took < 0.5 + len(data) * 200e-6, f"{took:.3f} s for {len(data)} bytes"
