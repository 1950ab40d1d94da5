"""Flask-SocketIO in its threading mode, as its users write it: events, rooms, broadcasts, binary, acknowledgements."""

from __future__ import annotations

import os
import threading
from typing import Any

import flask
from flask_socketio import SocketIO, emit, join_room, leave_room, send
from tests.server.frameworks.leftovers import Leftovers

app = flask.Flask(__name__)
# Without async_mode it takes eventlet or gevent where they are installed. The pings are sent by threads that sleep for
# so long, also after their client has gone; who goes without a word, as a polling client may that is busy, is missed
# within twice ping_timeout.
_SECOND = float(os.environ.get("GREENSERVE_TEST_SLOWNESS", "1"))
socketio = SocketIO(app, async_mode="threading", ping_interval=_SECOND, ping_timeout=10 * _SECOND)
ended: list[list[str]] = []  # who has gone, and why
lock = threading.Lock()


@app.get("/hello")
def hello() -> str:
    return "hello"


@app.get("/ended")
def tell() -> list[list[str]]:
    return ended


@app.get("/transport/<sid>")
def transport(sid: str) -> str:
    return str(socketio.server.transport(sid))


@app.post("/announce")
def announce() -> str:
    """From an ordinary request to all clients."""
    socketio.emit("news", flask.request.get_data(as_text=True))
    return "told"


@socketio.on("connect")
def connect(auth: Any) -> bool:
    return not (auth or {}).get("unwanted")


@socketio.on("disconnect")
def disconnect(reason: str) -> None:
    with lock:
        ended.append([flask.request.sid, reason])  # type: ignore[attr-defined]


@socketio.on("message")
def message(data: Any) -> None:
    send(data)


@socketio.on("echo")
def echo(data: Any) -> None:
    emit("echoed", data)


@socketio.on("ask")
def ask(data: Any) -> Any:
    return {"answer": data}


@socketio.on("ask me")
def ask_me() -> None:
    """The server's question, and what the client has answered."""
    emit("question", "how many?", callback=lambda number: socketio.emit("thanks", number))


@socketio.on("join")
def join(room: str) -> str:
    join_room(room)
    return room


@socketio.on("leave")
def leave(room: str) -> str:
    leave_room(room)
    return room


@socketio.on("say")
def say(room: str, data: Any) -> None:
    emit("said", data, to=room, include_self=False)


@socketio.on("shout")
def shout(data: Any) -> None:
    emit("shouted", data, broadcast=True)


@socketio.on("count")
def count(last: int) -> None:
    """From a thread of its own, while the handler has returned."""
    sid = flask.request.sid  # type: ignore[attr-defined]

    def run() -> None:
        for number in range(last):
            socketio.emit("counted", number, to=sid)
            socketio.sleep(0)

    socketio.start_background_task(run)


@socketio.on("throw me out")
def throw_out() -> None:
    socketio.server.disconnect(flask.request.sid)  # type: ignore[attr-defined]


app.wsgi_app = Leftovers(app.wsgi_app)  # type: ignore[method-assign]
