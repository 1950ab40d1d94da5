"""A streaming proxy: passes requests on to one server, and bodies in both directions piece by piece.

`UPSTREAM=127.0.0.1:9000 greenserve apps.streams.proxy:app --limit-request-body 1G`. Where a proxy should do more than
nginx's configuration can say (look up a tenant, sign, count, change a piece), it is the place to begin.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, responses
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from greenserve import BodyError, PeerGone, create_connection

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# Never a part of the request, or a client could reach any host from here.
UPSTREAM = urlsplit("//" + os.environ.get("UPSTREAM", "127.0.0.1:9000"))
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 60.0  # how long the upstream may send nothing
PIECE = 65_536

# Fields of one connection, not of the message (RFC 9110 §7.6.1); and Expect, which this server has answered itself.
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
OURS = HOP_BY_HOP | {"content-length", "expect", "x-forwarded-for", "x-forwarded-proto"}


def named_by(connection: str) -> set[str]:
    """Return the other fields that a Connection field makes hop-by-hop."""
    return {name.strip().lower() for name in connection.split(",")}


def request_fields(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    """Yield the fields to pass on, and those of a proxy."""
    dropped = OURS | named_by(environ.get("HTTP_CONNECTION", ""))
    for key, value in environ.items():
        name = key.removeprefix("HTTP_").replace("_", "-").lower()
        if key.startswith("HTTP_") and name not in dropped:
            yield name, value
    if content_type := environ.get("CONTENT_TYPE"):
        yield "content-type", content_type
    if client := environ.get("REMOTE_ADDR"):  # what proxies before this one have told is in it already
        yield "x-forwarded-for", client
    yield "x-forwarded-proto", environ["wsgi.url_scheme"]


def send_request(connection: HTTPConnection, environ: WSGIEnvironment) -> None:
    """Send the request's head, then its body as it comes."""
    target = environ["RAW_URI"]
    if not target.startswith("/") and target != "*":  # http://host/path, which RFC 9112 §3.2.2 allows
        target = urlsplit(target)._replace(scheme="", netloc="").geturl() or "/"
    connection.putrequest(environ["REQUEST_METHOD"], target, skip_host=True, skip_accept_encoding=True)
    for name, value in request_fields(environ):
        connection.putheader(name, value)
    connection.putheader("connection", "close")
    read = environ["wsgi.input"].read
    if length := environ.get("CONTENT_LENGTH"):
        connection.putheader("content-length", length)
        connection.endheaders(iter(lambda: read(PIECE), b""))
    elif first := read(PIECE):  # a body without a length: chunked
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders(chain([first], iter(lambda: read(PIECE), b"")), encode_chunked=True)
    else:
        connection.endheaders()


def response_fields(answer: HTTPResponse) -> list[tuple[str, str]]:
    """Return the fields to pass on; a folded line becomes one line (RFC 9112 §5.2)."""
    dropped = HOP_BY_HOP | named_by(answer.getheader("connection", ""))
    return [
        (name, re.sub(r"\s*[\r\n]+\s*", " ", value))
        for name, value in answer.getheaders()
        if name.lower() not in dropped
    ]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Answer as the upstream does; 502 and 504 where it does not. A generator: its end closes the connection."""
    address = (UPSTREAM.hostname or "", UPSTREAM.port or 80)
    with closing(HTTPConnection(*address)) as connection:
        try:
            # A green socket, so that it works in an unpatched program too.
            connection.sock = create_connection(address, CONNECT_SECONDS)
            connection.sock.settimeout(SILENT_SECONDS)
            with suppress(
                BrokenPipeError, ConnectionResetError
            ):  # by an upstream that answered early, by 413 say
                send_request(connection, environ)
            answer = connection.getresponse()
        except (BodyError, PeerGone):
            raise  # errors of the client, which this server answers
        except (OSError, HTTPException) as error:
            environ["wsgi.errors"].write(
                f"{UPSTREAM.netloc} gave no answer: {type(error).__name__}: {error}\n"
            )
            status = "504 Gateway Timeout" if isinstance(error, TimeoutError) else "502 Bad Gateway"
            text = f"{status[4:]}: the server behind this one gave no answer. Try again later.\n".encode()
            start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
            yield text
            return
        # The phrase means nothing (RFC 9110 §15); the upstream's own could be any text.
        start_response(f"{answer.status} {responses.get(answer.status, 'Unknown')}", response_fields(answer))
        while piece := answer.read1(PIECE):
            yield piece
