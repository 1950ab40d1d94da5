"""`python -m tests.migration.flask_socketio`: Flask-SocketIO with async_mode="eventlet", unmodified, on greenserve.

Its own server (socketio.run), and gunicorn -k eventlet: polling, a WebSocket, and the upgrade from one to
the other; an emit from a background task.
"""

from __future__ import annotations

import sys

from tests.migration.kit.driving import ask, free_port, running
from tests.migration.kit.installing import installed

APP = """\
import sys
import eventlet
eventlet.monkey_patch()
from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode="eventlet")
assert socketio.async_mode == "eventlet"
assert eventlet.__name__ == "greenserve_eventlet"

@app.route("/")
def index():
    return "page"

@socketio.on("double")
def double(number):
    socketio.start_background_task(later, number)
    emit("doubled", 2 * number)
    return "taken"

def later(number):
    socketio.sleep(0.1)
    socketio.emit("later", number)

if __name__ == "__main__":
    socketio.run(app, "127.0.0.1", int(sys.argv[1]))
"""
CLIENT = """\
import sys, urllib.request
import socketio

url = f"http://127.0.0.1:{sys.argv[1]}"
assert urllib.request.urlopen(url).read() == b"page"
for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
    client = socketio.SimpleClient()
    client.connect(url, transports=transports)
    for number in range(20):
        assert client.call("double", number, timeout=30) == "taken"
    heard = sorted(tuple(client.receive(timeout=30)) for _ in range(40))
    assert heard == sorted([("doubled", 2 * n) for n in range(20)] + [("later", n) for n in range(20)]), heard
    print(transports, client.transport, "worked")
    client.disconnect()
"""
HOOK = ("-m", "greenserve_eventlet")


def main() -> int:
    """Run all ways and return the exit code."""
    needs = ("flask-socketio==5.7.0", "python-socketio[client]==5.18.1", "gunicorn==23.0.0", "setuptools<81")
    with installed(*needs) as here:
        (here.folder / "app.py").write_text(APP)
        port = free_port()
        with running(here, port, here.python, *HOOK, "app.py", port):
            ask(here, CLIENT, port)
        print("socketio.run() worked", flush=True)
        port = free_port()
        gunicorn = ("-m", "gunicorn", "-k", "eventlet", "-w", "1", "-b", f"127.0.0.1:{port}", "app:app")
        with running(here, port, here.python, *HOOK, *gunicorn):
            ask(here, CLIENT, port)
        print("gunicorn -k eventlet worked", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
