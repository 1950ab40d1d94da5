"""Flask and Flask-Sock: a vote whose result all pages see at once.

`greenserve apps.frameworks.flask_votes:app`. Nothing in it is written for greenserve: the command makes threads green.
A connection has one vote, which it may change, and which goes with it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import suppress

from flask import Flask, abort, render_template_string, request
from flask_sock import ConnectionClosed, Server, Sock

CHOICES = ("tea", "coffee", "water")
PAUSE = 0.2  # seconds between two results to one client, however many vote meanwhile

app = Flask(__name__)
# Without these Flask-Sock takes messages of any size, and never misses a client that has gone without a word.
app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": 100, "ping_interval": 25}
sock = Sock(app)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A vote</title>
<h1>What would you like?</h1>
{% for choice in choices %}<p><button>{{ choice }}</button> <output id="{{ choice }}">0</output>{% endfor %}
<script>
  let ws;
  const connect = () => {
    ws = new WebSocket(new URL("ws", location.href.replace("http", "ws")));
    ws.onmessage = ({data}) => Object.entries(JSON.parse(data)).forEach(
      ([choice, count]) => document.getElementById(choice).value = count);
    ws.onclose = () => setTimeout(connect, 1000 + 2000 * Math.random());
  };
  connect();
  document.querySelectorAll("button").forEach(
    (button) => button.addEventListener("click", () => ws.send(button.textContent)));
</script>
"""


class Votes:
    """How many connections vote for what, and a wait for the next change."""

    def __init__(self) -> None:
        """Begin without votes."""
        self.counts = Counter(dict.fromkeys(CHOICES, 0))
        self.version = 1
        self.changed = threading.Condition()

    def move(self, before: str | None, after: str | None) -> None:
        """Take one vote from `before` and give it to `after`, and wake all that wait."""
        with self.changed:
            if before is not None:
                self.counts[before] -= 1
            if after is not None:
                self.counts[after] += 1
            self.version += 1
            self.changed.notify_all()

    def newer_than(self, version: int) -> tuple[int, str]:
        """Wait for another version than this, and return it and the counts."""
        with self.changed:
            self.changed.wait_for(lambda: self.version != version)
            return self.version, json.dumps(self.counts)


votes = Votes()


def tell(ws: Server) -> None:
    """Send results while there is somebody to see them. Who is slow misses some, and holds up nobody."""
    version = 0
    with suppress(ConnectionClosed, OSError):
        while ws.connected:
            version, result = votes.newer_than(version)
            ws.send(result)
            time.sleep(PAUSE)


@app.before_request
def refuse_other_sites() -> None:
    """A browser lets every page open a WebSocket to every site, with its cookies. Origin says whose page it is."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        abort(403, "This is for pages of its own site only.")


@app.get("/")
def page() -> str:
    """The page."""
    return render_template_string(PAGE, choices=CHOICES)


@sock.route("/ws")  # type: ignore[untyped-decorator]
def vote(ws: Server) -> None:
    """One connection: take its votes until it ends. Results come from a thread of its own, which no vote waits for."""
    threading.Thread(target=tell, args=(ws,), daemon=True).start()
    choice = None
    try:
        while (message := ws.receive()) in CHOICES:
            votes.move(choice, message)
            choice = message
        ws.close(1008, f"Send one of {', '.join(CHOICES)}.")
    finally:
        votes.move(choice, None)  # which also wakes its teller, so that it ends
