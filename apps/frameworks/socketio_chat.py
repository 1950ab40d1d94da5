"""Flask-SocketIO: a chat with rooms, for browsers and for the Socket.IO clients of phones and games.

`greenserve apps.frameworks.socketio_chat:app`. Its threading mode is the one to use: the command makes threads green.
Every event is answered by an acknowledgement, so that a client knows what became of it.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

MOST_NAME, MOST_TEXT = 32, 1000  # characters
BURST, BURST_SECONDS = 10, 5.0  # so many messages of one client in so many seconds

app = Flask(__name__)
# Pages of other sites are refused unless cors_allowed_origins names them. A message has at most 16 KiB, not 1 MB.
socketio = SocketIO(app, async_mode="threading", max_http_buffer_size=16_384)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Chat</title>
<h1>Chat</h1>
<form><label>Name <input id="name" required maxlength="32"></label>
<label>Text <input id="text" required maxlength="1000" autocomplete="off"></label> <button>Send</button></form>
<p role="alert"></p><ol role="log"></ol>
<script src="https://cdn.jsdelivr.net/npm/socket.io-client@4.8.1/dist/socket.io.min.js" crossorigin="anonymous"
  integrity="sha384-mkQ3/7FUtcGyoppY6bz/PORYoGqOl7/aSUMn2ymDOJcapfS6PHqxhRTMh1RR0Q6+"></script>
<script>
  const get = (selector) => document.querySelector(selector), socket = io();
  const show = (text) => get("ol").appendChild(document.createElement("li")).textContent = text;
  const told = (answer) => get("[role=alert]").textContent = answer.error ?? "";
  let joined = false;
  socket.on("said", ({name, text}) => show(`${name}: ${text}`));
  socket.on("came", (name) => show(`${name} has come`));
  socket.on("left", (name) => show(`${name} has left`));
  socket.on("disconnect", () => joined = false);
  get("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!joined) {
      const answer = await socket.emitWithAck("join", {name: get("#name").value, room: "lobby"});
      told(answer);
      if (!(joined = !answer.error)) return;
    }
    const answer = await socket.emitWithAck("say", get("#text").value);
    told(answer);
    if (!answer.error) get("#text").value = "";
  });
</script>
"""


@dataclass
class Visitor:
    """One client that has joined."""

    name: str
    room: str
    times: deque[float] = field(default_factory=lambda: deque(maxlen=BURST))  # of its last messages


visitors: dict[str, Visitor] = {}  # by Socket.IO's id of the connection


def sid() -> str:
    """Return the id of the connection that this event came by."""
    return str(request.sid)  # type: ignore[attr-defined]


def line(value: Any, most: int) -> str:
    """Return a text without its outer spaces; "" for what is no printable line of at most so many characters."""
    text = value.strip() if isinstance(value, str) and len(value) <= most else ""
    return text if text.isprintable() else ""


@app.get("/")
def page() -> str:
    """The page."""
    return PAGE


@socketio.on("join")  # type: ignore[untyped-decorator]
def join(wanted: Any = None) -> dict[str, str]:
    """Enter a room, once for each connection."""
    wanted = wanted if isinstance(wanted, dict) else {}
    name, room = line(wanted.get("name"), MOST_NAME), line(wanted.get("room"), MOST_NAME)
    if not name or not room:
        return {"error": f"Send a name and a room of 1 to {MOST_NAME} characters."}
    if sid() in visitors:
        return {"error": "You have joined already. Connect again to change the room."}
    visitors[sid()] = Visitor(name, room)
    join_room(f"chat {room}")  # a name of its own: each connection is in a room that is called by its id
    emit("came", name, to=f"chat {room}", include_self=False)
    return {"name": name, "room": room}


@socketio.on("say")  # type: ignore[untyped-decorator]
def say(text: Any = None) -> dict[str, str]:
    """Send a line to all in the room, the sender too."""
    visitor = visitors.get(sid())
    if visitor is None:
        return {"error": "Join a room first."}
    if not (text := line(text, MOST_TEXT)):
        return {"error": f"Send one line of 1 to {MOST_TEXT} characters."}
    now = time.monotonic()
    if len(visitor.times) == BURST and now - visitor.times[0] < BURST_SECONDS:
        return {"error": "Too many messages at once. Wait for a few seconds."}
    visitor.times.append(now)
    emit("said", {"name": visitor.name, "text": text}, to=f"chat {visitor.room}")
    return {}


@socketio.on("disconnect")  # type: ignore[untyped-decorator]
def leave(_reason: str) -> None:
    """Tell the room. Called for every connection that ends, however it ends."""
    if visitor := visitors.pop(sid(), None):
        emit("left", visitor.name, to=f"chat {visitor.room}", include_self=False)
