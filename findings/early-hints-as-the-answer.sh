#!/usr/bin/env bash
# A 103 Early Hints (RFC 8297) is taken for the answer itself by clients that any HTTP/1.1 server meets.
#
# Seen with CPython 3.11.7 to 3.13.0, requests 2.32, urllib3 2, httpx 0.28 and nginx 1.22.1 (Debian 12):
#
# - http.client gives the 103, without a body, as the answer. The real one stays on the connection, and is given for the answer to
#   the next request: each one after it is shifted by one. requests and urllib3 stand on it: they give the 103, too, but notice
#   that something has come on the connection unasked, and take a new one for the next request.
# - httpx (h11) passes over it, as RFC 9110 §15.2 has it.
# - nginx as a proxy takes what follows a 103, the real head included, for a body without a length. Its client gets nothing before the server
#   behind closes the connection, and then all of it as it is: 103, and behind it what the server has sent.
#
# So a server must not send hints to whoever asks. greenserve leaves that to the app (`wsgi.early_hints`), and closes the connection behind
# an answer that had one, unless a browser asks for a page with no proxy in between: nothing is shifted, and nothing waits.
. "$(dirname "$0")/lib.sh"
venv 'requests==2.32.*' 'httpx==0.28.*'

cat >"$work/try.py" <<'PY'
import http.client
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import requests


def serve(connection):
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            try:
                data = connection.recv(65536)
            except ConnectionError:
                return
            if not data:
                return
            received += data
        head, _, received = received.partition(b"\r\n\r\n")
        body = b"answer to " + head.split()[1]
        if b"/hint" in head:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
            time.sleep(0.2)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        if b"/hint-and-close" in head:
            connection.shutdown(socket.SHUT_WR)
            return


def accept(sock):
    while True:
        threading.Thread(target=serve, args=(sock.accept()[0],), daemon=True).start()


sock = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, args=(sock,), daemon=True).start()
port = sock.getsockname()[1]
url = f"http://127.0.0.1:{port}"
seen = {}

connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
seen["http.client"] = []
for path in ("/hint", "/b", "/c"):
    connection.request("GET", path)
    answer = connection.getresponse()
    seen["http.client"].append((path, answer.status, answer.read().decode()))
    time.sleep(0.4)

with requests.Session() as session:
    seen["requests"] = []
    for path in ("/hint", "/b"):
        answer = session.get(url + path, timeout=10)
        seen["requests"].append((path, answer.status_code, answer.text))
        time.sleep(0.4)

with httpx.Client() as client:
    seen["httpx"] = [(path, answer.status_code, answer.text) for path in ("/hint", "/b") for answer in [client.get(url + path)]]

wanted = {
    "http.client": [("/hint", 103, ""), ("/b", 200, "answer to /hint"), ("/c", 200, "answer to /b")],
    "requests": [("/hint", 103, ""), ("/b", 200, "answer to /b")],
    "httpx": [("/hint", 200, "answer to /hint"), ("/b", 200, "answer to /b")],
}

nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
version = nginx and subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr.strip()
if version and version.endswith("/1.22.1"):
    with socket.create_server(("127.0.0.1", 0)) as free:
        front = free.getsockname()[1]
    folder = Path(sys.argv[1])
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}} http {{ access_log off; {paths}"
        f"server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass {url}; proxy_http_version 1.1; }} }} }}"
    )
    proxy = subprocess.Popen([nginx, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        seen["nginx 1.22.1"] = []
        for path in ("/hint", "/hint-and-close"):
            for attempt in range(100):
                try:
                    client = socket.create_connection(("127.0.0.1", front))
                    break
                except OSError:
                    time.sleep(0.1)
            client.settimeout(3)
            client.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            got = b""
            try:
                while not got.endswith(path.encode()):
                    got += client.recv(65536)
            except TimeoutError:
                pass
            client.close()
            lines = got.decode().split("\r\n")
            seen["nginx 1.22.1"].append((path, [line for line in lines if line.startswith("HTTP/")], lines[-1]))
    finally:
        proxy.terminate()
        proxy.wait(10)
    wanted["nginx 1.22.1"] = [
        ("/hint", [], ""),
        ("/hint-and-close", ["HTTP/1.1 103 Early Hints", "HTTP/1.1 200 OK"], "answer to /hint-and-close"),
    ]
else:
    print("nginx 1.22.1 is not here: not asked")
for name, found in seen.items():
    print(f"{name:14}", found)
sys.exit(seen != wanted)
PY
timeout 120 "$work/venv/bin/python" "$work/try.py" "$work"
