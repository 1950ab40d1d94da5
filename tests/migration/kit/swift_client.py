"""The client of swift.py: it knows nothing of greenserve, and runs as `python -c`, with the proxy's port and a task."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import signal
import socket
import sys
import tarfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

PORT = int(sys.argv[1])
BIG = os.urandom(1 << 20) * 30
LEFT = bytes(range(256)) * 10_000
POLICIES = ("copies", "codes")
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
        told.setdefault("X-Auth-Token", token)
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


def check_manners(url: str) -> None:
    """Everything about one upload that a server could do in another way."""
    box = f"{url}/manners"
    expect(201, "PUT", box)
    for name, kind in (("page.html", "text/html"), ("unknown", "application/octet-stream")):
        expect(201, "PUT", f"{box}/{name}", b"x")
        assert expect(200, "GET", f"{box}/{name}").headers["Content-Type"].startswith(kind)
    check_names_and_values(box)
    check_one_connection(box)
    check_continue(box)
    check_interrupted(box)
    check_manifests(box)
    check_archive(box)
    for one in json.loads(expect(200, "GET", f"{box}?format=json").body):
        expect(204, "DELETE", f"{box}/{quote(one['name'])}")
    expect(204, "DELETE", box)


def check_names_and_values(box: str) -> None:
    """Send bytes outside ASCII in a path, and in a field's value."""
    path = f"{box}/{quote('Käse %2F')}"
    value = "süß ☃".encode().decode("latin-1")
    expect(201, "PUT", path, b"", X_Object_Meta_Taste=value)
    assert expect(200, "HEAD", path).headers["X-Object-Meta-Taste"] == value
    listed = json.loads(expect(200, "GET", f"{box}?format=json&prefix=K").body)
    assert [one["name"] for one in listed] == ["Käse %2F"]


def check_one_connection(box: str) -> None:
    """Send many requests over one connection, some with a body that is refused unread."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=150)
    connection.connect()
    sock = connection.sock
    for number in range(20):
        body = bytes([number]) * 10_000
        connection.request("PUT", f"{box}/kept", body, {"X-Auth-Token": token})
        assert Answer(connection.getresponse()).status == 201
        connection.request("GET", f"{box}/kept", headers={"X-Auth-Token": token})
        assert Answer(connection.getresponse()).body == body
    assert connection.sock is sock
    connection.request("PUT", f"{box}/kept", b"x" * 200_000)
    assert Answer(connection.getresponse()).status == 401
    connection.request("HEAD", f"{box}/kept", headers={"X-Auth-Token": token})
    assert Answer(connection.getresponse()).headers["Content-Length"] == "10000"
    connection.close()


def check_continue(box: str) -> None:
    """Ask before the body is sent."""
    head = "Host: a\r\nX-Auth-Token: {}\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", PORT), 150) as sock:
        sock.sendall(f"PUT {box}/asked HTTP/1.1\r\n{head.format(token)}".encode())
        answered = sock.recv(1000)
        assert answered == b"HTTP/1.1 100 Continue\r\n\r\n", answered
        sock.sendall(b"hello")
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert expect(200, "GET", f"{box}/asked").body == b"hello"
    refused = raw_answer(f"PUT {box}/asked HTTP/1.1\r\n{head.format('wrong')}")
    assert refused.startswith(b"HTTP/1.1 401 "), refused


def check_interrupted(box: str) -> None:
    """Go away in the middle of an upload, and of a download."""
    told = f"Host: a\r\nX-Auth-Token: {token}\r\n"
    with socket.create_connection(("127.0.0.1", PORT), 150) as sock:
        sock.sendall(f"PUT {box}/cut HTTP/1.1\r\n{told}Content-Length: {len(BIG)}\r\n\r\n".encode())
        sock.sendall(BIG[: len(BIG) // 2])
    with socket.create_connection(("127.0.0.1", PORT), 150) as sock:
        sock.sendall(f"PUT {box}/cut HTTP/1.1\r\n{told}Transfer-Encoding: chunked\r\n\r\n".encode())
        sock.sendall(b"5\r\nhello\r\n5\r\nhe")
    expect(201, "PUT", f"{box}/whole", BIG)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", PORT), 150) as sock:
            sock.sendall(f"GET {box}/whole HTTP/1.1\r\n{told}\r\n".encode())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert expect(200, "GET", f"{box}/whole").body == BIG
    expect(404, "GET", f"{box}/cut")


def check_manifests(box: str) -> None:
    """Read large objects in segments, and copy one on the server."""
    parts = [BIG[:2_000_000], BIG[2_000_000:3_500_000]]
    for number, part in enumerate(parts):
        expect(201, "PUT", f"{box}/part{number}", part)
    listed = [{"path": f"{box.removeprefix('/v1/AUTH_test')}/part{number}"} for number in range(2)]
    expect(201, "PUT", f"{box}/static?multipart-manifest=put", json.dumps(listed))
    expect(201, "PUT", f"{box}/dynamic", b"", X_Object_Manifest="manners/part")
    for name in ("static", "dynamic"):
        assert expect(200, "GET", f"{box}/{name}").body == BIG[:3_500_000]
        span = "bytes=1999990-2000009"
        assert expect(206, "GET", f"{box}/{name}", Range=span).body == BIG[1_999_990:2_000_010]
    expect(201, "COPY", f"{box}/part1", Destination="manners/copied")
    assert expect(200, "GET", f"{box}/copied").body == parts[1]


def check_archive(box: str) -> None:
    """Upload a tar file that the proxy unpacks, and delete many objects by one request."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number in range(10):
            member = tarfile.TarInfo(f"tar/{number}")
            member.size = 1000
            tar.addfile(member, io.BytesIO(bytes([number]) * 1000))
    answer = expect(200, "PUT", f"{box}?extract-archive=tar", packed.getvalue(), Accept="application/json")
    assert json.loads(answer.body)["Number Files Created"] == 10
    assert expect(200, "GET", f"{box}/tar/7").body == b"\7" * 1000
    names = "\n".join(f"manners/tar/{number}" for number in range(10))
    answer = expect(
        200, "POST", "/v1/AUTH_test?bulk-delete", names, Content_Type="text/plain", Accept="application/json"
    )
    assert json.loads(answer.body)["Number Deleted"] == 10


def raw_answer(request: str) -> bytes:
    """Send a request of one's own wording, and return all until the server closes."""
    with socket.create_connection(("127.0.0.1", PORT), 150) as sock:
        sock.sendall(request.encode())
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def check_everything(url: str) -> None:
    """Do all that a client can."""
    begin = time.monotonic()
    expect(401, "GET", url, X_Auth_Token="wrong")
    expect(401, "GET", "/auth/v1.0", X_Auth_User="test:tester", X_Auth_Key="wrong")
    for policy in POLICIES:
        check_container(url, policy)
        did = "uploads and downloads of 30 MB, ranges, listings, ten at once"
        print(f"{policy}: {did}; {time.monotonic() - begin:.1f} s")
    check_manners(url)
    print(f"manifests, archives, 100 Continue, interrupted uploads; {time.monotonic() - begin:.1f} s")


def leave(url: str) -> None:
    """Upload one object for each policy."""
    for policy in POLICIES:
        expect(201, "PUT", f"{url}/left-{policy}", X_Storage_Policy=policy)
        expect(201, "PUT", f"{url}/left-{policy}/one", LEFT)


def find(url: str) -> None:
    """Download what leave() uploaded."""
    for policy in POLICIES:
        assert expect(200, "GET", f"{url}/left-{policy}/one").body == LEFT


def reload_proxy(url: str) -> None:
    """Have the proxy start anew in the middle of an upload, and ask it all the time."""
    told = f"Host: a\r\nX-Auth-Token: {token}\r\nContent-Length: {len(LEFT)}\r\n"
    with socket.create_connection(("127.0.0.1", PORT), 150) as sock:
        sock.sendall(f"PUT {url}/left-copies/slow HTTP/1.1\r\n{told}\r\n".encode() + LEFT[:1000])
        os.kill(int(sys.argv[3]), signal.SIGUSR1)
        while "notified to shutdown old listen sockets" not in Path(sys.argv[4]).read_text():
            expect(200, "GET", f"{url}/left-copies/one")
        for _ in range(20):
            expect(200, "GET", f"{url}/left-copies/one")
        sock.sendall(LEFT[1000:])
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert expect(200, "GET", f"{url}/left-copies/slow").body == LEFT


authentication = expect(200, "GET", "/auth/v1.0", X_Auth_User="test:tester", X_Auth_Key="testing")
token = authentication.headers["X-Auth-Token"]
tasks = {"everything": check_everything, "leave": leave, "find": find, "reload": reload_proxy}
tasks[sys.argv[2]]("/v1/AUTH_test")
