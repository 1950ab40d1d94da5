"""The client of swift.py: it knows nothing of greenserve, and runs as `python -c`, with the proxy's port."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PORT = int(sys.argv[1])
BIG = os.urandom(1 << 20) * 30
PIECE = 65521  # no divisor of anything
token = ""


class Answer:
    """A response that was read to its end."""

    def __init__(self, got: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = got.status, got.headers, got.read()


def ask(method: str, path: str, body: Any = None, **fields: str) -> Answer:
    """Send one request, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=150)
    told = {name.replace("_", "-"): value for name, value in fields.items()}
    if token:
        told["X-Auth-Token"] = token
    connection.request(method, path, body, told)
    try:
        return Answer(connection.getresponse())
    finally:
        connection.close()


def expect(status: int, method: str, path: str, body: Any = None, **fields: str) -> Answer:
    """Send one request that is answered with `status`."""
    answer = ask(method, path, body, **fields)
    assert answer.status == status, (method, path, answer.status, answer.body[:500])
    return answer


def pieces(body: bytes) -> Iterable[bytes]:
    """What http.client sends in chunks."""
    return (body[at : at + PIECE] for at in range(0, len(body), PIECE))


def check_container(url: str, policy: str) -> None:
    """Upload, read and delete in a container of this policy."""
    box = f"{url}/{policy}"
    etag = hashlib.md5(BIG, usedforsecurity=False).hexdigest()
    expect(201, "PUT", box, X_Storage_Policy=policy)
    for name, body in (("length", BIG), ("chunked", pieces(BIG))):
        answer = expect(201, "PUT", f"{box}/{name}", body, X_Object_Meta_Kind=name)
        assert answer.headers["Etag"].strip('"') == etag
        answer = expect(200, "GET", f"{box}/{name}")
        assert answer.body == BIG
        assert answer.headers["X-Object-Meta-Kind"] == name
    head = expect(200, "HEAD", f"{box}/length")
    assert (int(head.headers["Content-Length"]), head.body) == (len(BIG), b"")
    for span, part in (("1000-1999", BIG[1000:2000]), ("-500", BIG[-500:]), ("20000000-", BIG[20_000_000:])):
        assert expect(206, "GET", f"{box}/length", Range=f"bytes={span}").body == part
    several = expect(206, "GET", f"{box}/length", Range="bytes=0-9,1048570-1048579")
    assert several.headers.get_content_type() == "multipart/byteranges"
    assert BIG[:10] in several.body
    assert BIG[1048570:1048580] in several.body
    expect(416, "GET", f"{box}/length", Range=f"bytes={len(BIG)}-")
    expect(304, "GET", f"{box}/length", If_None_Match=etag)
    expect(422, "PUT", f"{box}/wrong", b"other bytes", ETag=etag)
    listed = json.loads(expect(200, "GET", f"{box}?format=json").body)
    assert [(one["name"], one["bytes"], one["hash"]) for one in listed] == [
        ("chunked", len(BIG), etag),
        ("length", len(BIG), etag),
    ]
    check_ten_at_once(box)
    for name in ("length", "chunked"):
        expect(204, "DELETE", f"{box}/{name}")
        expect(404, "GET", f"{box}/{name}")
    assert expect(204, "GET", box).body == b""
    expect(204, "DELETE", box)
    expect(404, "HEAD", box)


def check_ten_at_once(box: str) -> None:
    """Upload, read and delete ten objects at the same time."""

    def one(number: int) -> None:
        body = bytes([number]) * 3_000_000
        expect(201, "PUT", f"{box}/{number}", body)
        assert expect(200, "GET", f"{box}/{number}").body == body
        expect(204, "DELETE", f"{box}/{number}")

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(10)))


begin = time.monotonic()
expect(401, "GET", "/v1/AUTH_test")
expect(401, "GET", "/auth/v1.0", X_Auth_User="test:tester", X_Auth_Key="wrong")
token = expect(200, "GET", "/auth/v1.0", X_Auth_User="test:tester", X_Auth_Key="testing").headers[
    "X-Auth-Token"
]
for policy in ("copies", "codes"):
    check_container("/v1/AUTH_test", policy)
    print(
        f"{policy}: uploads and downloads of 30 MB, ranges, listings, ten at once; {time.monotonic() - begin:.1f} s"
    )
