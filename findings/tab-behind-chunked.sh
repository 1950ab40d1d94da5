#!/usr/bin/env bash
# llhttp, and with it httptools and uvicorn's default, refuses `Transfer-Encoding: chunked` with a tab behind it.
#
# Seen with httptools 0.9.0 (llhttp 9), h11 0.16.0 and uvicorn 0.54.0, on CPython 3.11: httptools raises HttpParserError, "Request has
# invalid `Transfer-Encoding`", at the end of the head, and uvicorn answers 400. Spaces in the same place, and tabs in front of the value or
# behind any other field's, are taken. Whitespace around a value is none of it (RFC 9110 §5.5: OWS is spaces and tabs), and h11 reads it so.
# greenserve, whose grammar is llhttp's, looks at such a head a second time without the tab.
. "$(dirname "$0")/lib.sh"
venv httptools==0.9.0 h11==0.16.0 uvicorn==0.54.0

cat >"$work/try.py" <<'PY'
import http.client
import socket
import subprocess
import sys
import time

import h11
import httptools


def head(name, value):
    return b"POST / HTTP/1.1\r\nHost: x\r\n%b:%b\r\n\r\n" % (name, value)


def by_httptools(data):
    try:
        httptools.HttpRequestParser(object()).feed_data(data)
    except httptools.HttpParserError as error:
        return str(error)
    return "taken"


def by_h11(data):
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        return "taken" if isinstance(connection.next_event(), h11.Request) else "?"
    except h11.RemoteProtocolError as error:
        return str(error)


cases = [(b"Transfer-Encoding", value) for value in (b" chunked", b"\tchunked", b" chunked ", b" chunked\t")]
cases += [(b"Content-Length", b" 0\t"), (b"Connection", b" close\t")]
seen = [(name.decode(), value.decode(), by_httptools(head(name, value)), by_h11(head(name, value))) for name, value in cases]
for one in seen:
    print(one)
refused = [one[:2] for one in seen if one[2] != "taken"]
ok = refused == [("Transfer-Encoding", " chunked\t")] and all(one[3] == "taken" for one in seen)

statuses = {}
for parser in ("httptools", "h11"):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    app = f"import sys; sys.path.insert(0, {sys.argv[1]!r}); import uvicorn; uvicorn.run('app:app', port={port}, http={parser!r}, log_level='critical')"
    server = subprocess.Popen([sys.executable, "-c", app])
    try:
        for attempt in range(200):
            try:
                client = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.1)
        client.settimeout(20)
        client.sendall(head(b"Transfer-Encoding", b" chunked\t") + b"0\r\n\r\n")
        statuses[parser] = client.recv(1000).split()[1].decode()
        client.close()
    finally:
        server.terminate()
        server.wait(20)
print("uvicorn answers", statuses)
sys.exit(not (ok and statuses == {"httptools": "400", "h11": "200"}))
PY
cat >"$work/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
PY
timeout 120 "$work/venv/bin/python" "$work/try.py" "$work"
