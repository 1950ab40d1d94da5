"""The upload panel: a body read piece by piece, and one refused before a byte of it was sent.

A client that says `Expect: 100-continue` (RFC 9110 §10.1.1) waits for a go-ahead. greenserve gives it at
the app's first read; an app that answers without reading spares the client the upload. Browsers never ask, so
`dialogue` plays such a client.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from typing import Any

from webob import Response
from webob.exc import HTTPBadRequest

from greenserve import connect, sleep

from .mirror import address, number

LIMIT = 10 * 2**20
PIECE = 64 * 2**10
MOST = 2**40


def upload(request: Any) -> Any:
    """Counts and hashes a body. It holds one piece at a time, and so would a body of any size."""
    if (request.content_length or 0) > LIMIT:
        return refusal()
    source = request.environ["wsgi.input"]
    if hasattr(source, "set_hundred_continue_response_headers"):
        # The go-ahead can carry headers: here, how much there may be.
        source.set_hundred_continue_response_headers([("Upload-Limit", str(LIMIT))])
    body, began, count, digest = request.body_file, time.monotonic(), 0, hashlib.sha256()
    while piece := body.read(PIECE):
        count += len(piece)
        if count > LIMIT:  # a chunked body tells no length ahead
            return refusal()
        digest.update(piece)
        # Slower than the network on purpose: TCP holds the client back, and the progress bar can show it.
        sleep(0.01)
    seconds = time.monotonic() - began
    return Response(json_body={"bytes": count, "seconds": seconds, "sha256": digest.hexdigest()})


def refusal() -> Any:
    """413, and how much there may be."""
    response = Response(status=413, json_body={"error": f"more than {LIMIT} bytes"})
    response.headers["Upload-Limit"] = str(LIMIT)
    return response


def dialogue(request: Any) -> Any:
    """Plays a client that asks before it uploads `bytes` bytes, and answers with what was said."""
    size = number(request, "bytes", PIECE, MOST)
    if size is None:
        return HTTPBadRequest("bytes: a number from 1 to 1 TiB")
    said: list[dict[str, str | float]] = []
    began = time.monotonic()

    def say(who: str, text: str) -> None:
        said.append({"who": who, "text": text.strip(), "ms": round((time.monotonic() - began) * 1000, 1)})

    with closing(connect(address(request))) as sock:
        head = f"PUT /upload HTTP/1.1\r\nHost: demo\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
        sock.sendall(head.encode())
        say("client", head)
        reply = read_head(sock)
        say("server", reply)
        if reply.startswith("HTTP/1.1 100 "):
            for start in range(0, size, PIECE):
                sock.sendall(bytes(min(PIECE, size - start)))
            say("client", f"({size:,} bytes of body)")
            say("server", read_head(sock))
        else:
            say("client", "(sends no body)")
    return Response(json_body=said)


def read_head(sock: Any) -> str:
    """The next answer up to its empty line, without what follows."""
    data = b""
    while b"\r\n\r\n" not in data and (piece := sock.recv(4096)):
        data += piece
    return str(data.partition(b"\r\n\r\n")[0].decode("latin-1"))
