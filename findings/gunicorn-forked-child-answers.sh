#!/usr/bin/env bash
# gunicorn 27.0.1 (seen on Python 3.11.7): a child that an app forks, and that raises, answers the client: with the sync worker the
# client gets the child's 500 in the place of the parent's 200, with gthread both, one behind the other on a connection that is
# kept, so that the second would be taken for the answer to the next request.
#
# The error goes up through the worker's code, which the child has a copy of, as it has of the client's socket.
# greenserve: a child closes the server's sockets as its first act, and ends with status 1 and a traceback in the log.
source "$(dirname "$0")/lib.sh"
venv gunicorn==27.0.1

cat >"$work/web.py" <<'PYTHON'
import os, time

children = []

def app(environ, start_response):
    pid = os.fork()
    if not pid:
        raise ValueError("in the child")
    children.append(pid)
    time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    with open("children", "a") as file:
        file.write(f"{pid} ")
    return [b"parent"]
PYTHON
cat >"$work/client.py" <<'PYTHON'
import re, socket

with socket.socket(socket.AF_UNIX) as client:
    client.connect("socket")
    client.settimeout(2)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    said = b""
    try:
        while data := client.recv(4096):
            said += data
    except (TimeoutError, ConnectionResetError):
        pass
print(*(status.decode() for status in re.findall(rb"HTTP/1\.1 (\d+)", said)))
PYTHON

cd "$work"
for worker in sync gthread; do
  venv/bin/python -m gunicorn -k "$worker" -b unix:socket web:app 2>log &
  server=$!
  for _ in {1..50}; do [[ -S socket ]] && break; sleep 0.1; done
  echo "$worker: one request, answered: $(timeout 30 venv/bin/python client.py)"
  kill $server && wait $server || true
  kill -KILL $(cat children) 2>/dev/null || true
  rm -f socket children
done | tee said
diff said - <<'EXPECTED'
sync: one request, answered: 500
gthread: one request, answered: 500 200
EXPECTED
